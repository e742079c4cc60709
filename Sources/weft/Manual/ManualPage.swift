// The manual page, made from the same text as the help (man-pages(7), groff_man(7)).

import ArgumentParser
import Weft

/// Writes the manual page of the program and all its commands.
enum ManualPage {
    /// The page in roff.
    static func text() -> String {
        var page = """
            .TH WEFT 1 "" "weft \(WeftVersion.current)" "Weft Manual"
            .SH NAME
            weft \\- \(escaped(WeftCommand.configuration.abstract))
            .SH SYNOPSIS
            .B weft
            .RI [ --repo " DIR" ]
            .RI [ --json ]
            .I COMMAND
            .RI [ ARGUMENT ]...
            .SH DESCRIPTION
            Weft turns files and folders into IPFS CIDs, keeps them within a limit, serves them \
            over HTTP, and fetches any ipfs:// or ipns:// URL, checked byte for byte. Commands \
            work with and without a running node.
            .SH COMMANDS

            """
        for command in commands(below: WeftCommand.self, path: []) {
            let help = WeftCommand.helpMessage(for: command.type, columns: 76)
            page += ".SS weft \(escaped(command.path.joined(separator: " ")))\n.nf\n"
            page += escaped(help) + "\n.fi\n"
        }
        page += """
            .SH EXIT STATUS
            0 when all went well, 1 when something failed, 2 when the command was not understood, \
            124 when a deadline passed.
            .SH ENVIRONMENT
            .TP
            .B WEFT_HOME
            The repository, unless --repo names one.
            .TP
            .B NO_COLOR
            Turns colour off.
            .SH FILES
            .TP
            .I ~/.local/share/weft
            The repository, unless XDG_DATA_HOME says otherwise; its config.toml explains itself.
            """
        return page
    }

    private static func commands(
        below parent: any ParsableCommand.Type, path: [String]
    ) -> [(path: [String], type: any ParsableCommand.Type)] {
        parent.configuration.subcommands.flatMap { command in
            let path = path + [WeftCommand.name(of: command)]
            return command.configuration.subcommands.isEmpty
                ? [(path, command)] : commands(below: command, path: path)
        }
    }

    /// Text in which roff finds nothing of its own.
    private static func escaped(_ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            let line = line.replacing("\\", with: "\\e").replacing("-", with: "\\-")
            return line.hasPrefix(".") || line.hasPrefix("'") ? "\\&" + line : String(line)
        }.joined(separator: "\n")
    }
}
