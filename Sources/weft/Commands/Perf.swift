// weft perf

import ArgumentParser
import Gateway
import IPLD
import Weft

struct Perf: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure how fast the connection to a peer is, each way.",
        discussion: """
            The node sends bytes that mean nothing, then receives as many. The peer has to allow \
            it ('weft config set mesh.perf on' on a Weft node), and all limits of bandwidth hold. \
            With --json an object with peer, sentBytes, sentNanoseconds, receivedBytes and \
            receivedNanoseconds.


            """
                + Examples.text(
                    ("weft perf PEER", "16 MiB each way"),
                    ("weft perf --bytes 1GiB PEER", "the most, for a fast line")))

    @OptionGroup var common: CommonOptions

    @Option(name: [.short, .long], help: "How much each way, such as 64MiB, up to 1GiB.")
    var bytes = "16MiB"

    @Argument(help: PeerArgument.help)
    var peer: PeerArgument

    func validate() throws {
        guard let count = ByteCount.parse(bytes), 1...Mesh.maxMeasured ~= count else {
            throw ValidationError("--bytes must be a size up to 1GiB")
        }
    }

    func run() async throws {
        try await LocalClient.with(common) { client in
            try client.requireNode()
            let count = ByteCount.parse(bytes) ?? 0
            let answer = try await client.value(
                APICall("/weft/v1/perf", [("arg", peer.text), ("bytes", String(count))]))
            if common.json { return try StandardOutput.line(JSONText.text(of: answer)) }
            try StandardOutput.line(
                "sent \(Self.rate(answer, "sent"))/s, received \(Self.rate(answer, "received"))/s")
        }
    }

    private static func rate(_ answer: Value, _ way: String) -> String {
        let bytes = answer["\(way)Bytes"]?.count ?? 0
        let time = max(1, answer["\(way)Nanoseconds"]?.count ?? 1)
        return HumanBytes.text(UInt64(Double(bytes) / Double(time) * 1e9))
    }
}
