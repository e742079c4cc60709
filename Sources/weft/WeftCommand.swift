// The tree of commands.

import ArgumentParser
import Weft

struct WeftCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "weft",
        abstract: "Content and computation by hash: add, keep, serve, fetch, and call contracts.",
        discussion: Examples.text(
            ("weft add album", "add a folder and print its CID"),
            ("weft up", "run a node with an HTTP gateway"),
            ("weft fetch ipfs://CID/cover.jpg -o cover.jpg", "fetch and verify a file"),
            ("weft fetch 'weft://CID/greet?name=Ada'", "call a contract, here or on a peer"),
            ("weft help fetch", "explain a command, with examples")),
        version: "weft \(WeftVersion.current)",
        subcommands: [
            Up.self, Add.self, Cat.self, Get.self, List.self, Fetch.self, DAG.self, Block.self,
            Pin.self, Repo.self, Name.self, Key.self, Identifier.self, Identity.self,
            Config.self, Contract.self, CallCommand.self, EvidenceCommand.self, Balance.self,
            Peers.self, Connect.self, Disconnect.self, Ping.self, Providers.self, Provide.self,
            Find.self, PubSub.self, Perf.self, Doctor.self, Status.self, Bandwidth.self,
            OpenDashboard.self, Help.self,
        ])

    /// The names of the commands that `arguments` lead to, such as `["dag", "import"]`.
    static func path(in arguments: [String]) -> [String] {
        var path: [String] = []
        var commands = configuration.subcommands
        for argument in arguments where !argument.hasPrefix("-") {
            guard let next = commands.first(where: { name(of: $0) == argument })
            else { break }
            path.append(argument)
            commands = next.configuration.subcommands
        }
        return path
    }

    /// The name of a command, which is that of its type in lower case unless it says otherwise.
    static func name(of command: any ParsableCommand.Type) -> String {
        command.configuration.commandName ?? "\(command)".lowercased()
    }

    /// The command of a path of names; nil if there is none.
    static func command(at path: [String]) -> (any ParsableCommand.Type)? {
        var command: any ParsableCommand.Type = WeftCommand.self
        for name in path {
            guard
                let next = command.configuration.subcommands.first(where: {
                    Self.name(of: $0) == name
                })
            else { return nil }
            command = next
        }
        return command
    }
}

/// Examples as the help of a command shows them.
enum Examples {
    /// Lines of a command and what it does.
    static func text(_ examples: (command: String, purpose: String)...) -> String {
        "Examples:\n"
            + examples.map { "  \($0.command)\n      \($0.purpose)" }.joined(separator: "\n")
    }
}

/// What every command has.
struct CommonOptions: ParsableArguments {
    @Option(
        name: .customLong("repo"),
        help: ArgumentHelp(
            "The repository, before or after the command (default: $WEFT_HOME, else weft in"
                + " $XDG_DATA_HOME or ~/.local/share).",
            valueName: "dir"))
    var repository: String?

    @Flag(help: "Print JSON: one object, or one object a line.")
    var json = false
}
