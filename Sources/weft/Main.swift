// The program: finds the command, runs it, and turns what went wrong into one line and a code.

import ArgumentParser
import Glibc

@main
enum Main {
    static func main() async {
        // A file that may not grow further is an error to report, as a full disk is.
        _ = signal(SIGXFSZ, SIG_IGN)
        let arguments = LeadingOptions.moved(behind: Array(CommandLine.arguments.dropFirst()))
        let status = await run(arguments)
        // Threads of event loops and of tasks still run, and `exit` would take down what they use.
        fflush(nil)
        _exit(status)
    }

    private static func run(_ arguments: [String]) async -> Int32 {
        do {
            var command = try WeftCommand.parseAsRoot(arguments)
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
            try StandardOutput.flush()
            return ExitStatus.ok.rawValue
        } catch {
            return report(error, arguments)
        }
    }

    private static func report(_ error: any Error, _ arguments: [String]) -> Int32 {
        // What was printed before the failure belongs before its message. If it cannot be
        // written any more, the failure at hand is still the one to report.
        try? StandardOutput.flush()
        switch error {
        case let failure as CommandFailure:
            failure.print()
            return failure.status.rawValue
        case let code as ExitCode:
            return code.rawValue
        default:
            return reportParsing(error, arguments)
        }
    }

    private static func reportParsing(_ error: any Error, _ arguments: [String]) -> Int32 {
        let code = WeftCommand.exitCode(for: error)
        let message = WeftCommand.message(for: error)
        if code == .success {
            print(WeftCommand.fullMessage(for: error))
            return ExitStatus.ok.rawValue
        }
        guard code == .validationFailure else {
            CommandFailure(String(describing: error)).print()
            return ExitStatus.failed.rawValue
        }
        let help = (["weft", "help"] + WeftCommand.path(in: arguments)).joined(separator: " ")
        let line = message.split(separator: "\n").joined(separator: " ")
        CommandFailure("\(line); see '\(help)'", status: .usage).print()
        return ExitStatus.usage.rawValue
    }
}

/// The exit codes of the program.
enum ExitStatus: Int32 {
    case ok = 0
    case failed = 1
    case usage = 2
    /// A contract came to no answer: it ran out of gas or trapped, and would do so again.
    case noAnswer = 3
    /// A call could not be computed now, here or by peers; later it may be.
    case unavailable = 75
    case deadline = 124
}

/// Options that every command has, written before the command's name.
enum LeadingOptions {
    /// The same arguments with such options moved behind the command, where they are parsed.
    static func moved(behind arguments: [String]) -> [String] {
        var leading: [String] = []
        var index = 0
        while index < arguments.count {
            let argument = arguments[index]
            if argument == "--repo", index + 1 < arguments.count {
                leading += [argument, arguments[index + 1]]
                index += 2
            } else if argument.hasPrefix("--repo=") || argument == "--json" {
                leading.append(argument)
                index += 1
            } else {
                break
            }
        }
        guard index < arguments.count else { return arguments }
        var rest = Array(arguments[index...])
        let end = rest.firstIndex(of: "--") ?? rest.endIndex
        rest.insert(contentsOf: leading, at: end)
        return rest
    }
}
