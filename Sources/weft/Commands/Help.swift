// weft help

import ArgumentParser
import Glibc

struct Help: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "help",
        abstract: "Explain a command, with examples.",
        discussion: Examples.text(
            ("weft help fetch", "explain a command"),
            ("weft help dag import", "explain a command of a group")))

    @Flag(help: ArgumentHelp("Print the manual page (roff).", visibility: .hidden))
    var man = false

    @Argument(help: "The command.")
    var command: [String] = []

    func run() throws {
        if man { return try StandardOutput.line(ManualPage.text()) }
        guard let found = WeftCommand.command(at: command) else {
            let name = command.joined(separator: " ")
            throw CommandFailure("there is no command '\(name)'; see 'weft help'", status: .usage)
        }
        var columns: Int?
        if !StandardOutput.isTerminal { columns = 80 }
        try StandardOutput.line(
            found == WeftCommand.self
                ? WeftCommand.helpMessage(columns: columns)
                : WeftCommand.helpMessage(for: found, columns: columns))
    }
}
