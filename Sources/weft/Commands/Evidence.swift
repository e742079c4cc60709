// weft evidence

import ArgumentParser
import Gateway
import IPLD
import Weft

struct EvidenceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "evidence", abstract: "Look into proofs that a peer has lied.",
        subcommands: [EvidenceVerify.self])
}

struct EvidenceVerify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Say whether a file proves that a peer has lied.",
        discussion: """
            The file holds everything that is needed but the contract and the content that it \
            read. One activation is run again if that decides. The exit code is 1 if nothing is \
            proven. With --json the answer is an object with accused, kind, proven and reason.


            """ + Examples.text(("weft evidence verify liar.evidence", "look into a proof")))

    @OptionGroup var common: CommonOptions

    @Argument(help: "The file; '-' is standard input.", completion: .file())
    var file: String

    func run() async throws {
        try await LocalClient.with(common) { client in
            var call = APICall("/weft/v1/evidence/verify")
            call.body = .init(uploading: [(file, InputFile(path: file))])
            let finding = try await client.value(call)
            let (accused, reason) = (finding["accused"]?.text ?? "", finding["reason"]?.text ?? "")
            let isProven = finding["proven"] == .bool(true)
            try StandardOutput.line(
                common.json
                    ? JSONText.text(of: finding)
                    : isProven ? "\(accused) has lied: \(reason)" : "nothing is proven: \(reason)")
            if !isProven { throw CommandFailure("nothing is proven against \(accused)") }
        }
    }
}
