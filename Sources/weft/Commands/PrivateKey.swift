// weft key private

import ArgumentParser
import Gateway
import IPLD
import Weft

struct KeyPrivate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "private",
        abstract: "Make the key file of a private network.",
        discussion: """
            Give every node of the network the same file; whoever has it can join. It is as Kubo's \
            swarm.key. With --json an object with file is printed.


            """
                + Examples.text(
                    ("weft key private swarm.key", "make a network"),
                    ("weft up --private swarm.key", "join it")))

    @OptionGroup var common: CommonOptions

    @Argument(help: "The file to write; there must be none of that name.", completion: .file())
    var file: String

    func run() throws {
        do {
            try PrivateNetwork.makeKeyFile(at: file)
        } catch {
            throw CommandFailure(error)
        }
        guard common.json else { return }
        try StandardOutput.line(JSONText.text(of: .object(["file": .string(file)])))
    }
}
