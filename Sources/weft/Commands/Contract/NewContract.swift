// weft contract new

import ArgumentParser
import ContractKit
import Gateway
import IPLD
import Weft

/// A language on the command line.
struct LanguageArgument: ExpressibleByArgument {
    let language: ContractKit.Language

    init?(argument: String) {
        guard let language = ContractKit.Language(rawValue: argument) else { return nil }
        self.language = language
    }

    static var allValueStrings: [String] { ContractKit.Language.allCases.map(\.rawValue) }
}

struct NewContract: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "new", abstract: "Make the folder of a new contract.",
        discussion: """
            The folder has the source of a small contract that works, and a case in tests/ that \
            shows that. Swift and C need the Swift toolchain, Rust needs cargo. With --json an \
            object with folder, language and files is printed.


            """
                + Examples.text(
                    ("weft contract new hello", "one in Swift"),
                    ("weft contract new hello --language c", "one in C")))

    @OptionGroup var common: CommonOptions

    @Option(name: .shortAndLong, help: "The language: swift (default), c or rust.")
    var language: LanguageArgument?

    @Argument(help: "The folder to make.")
    var name: String

    func run() throws {
        guard !name.isEmpty else { throw CommandFailure("the folder needs a name") }
        guard WholeFile.kind(of: name) == .nothing else {
            throw CommandFailure("'\(name)' is there already; choose another name")
        }
        let language = language?.language ?? .swift
        let files = ContractKit.template(language)
        for file in files { try WholeFile.write(file.bytes, "\(name)/\(file.path)") }
        if common.json {
            return try StandardOutput.line(
                JSONText.text(
                    of: .object([
                        "folder": .string(name), "language": .string(language.rawValue),
                        "files": .list(files.map { .string($0.path) }),
                    ])))
        }
        for file in files {
            try StandardOutput.line("\(StandardOutput.dim("made")) \(name)/\(file.path)")
        }
        try StandardOutput.line("next: weft contract test \(name)")
    }
}
