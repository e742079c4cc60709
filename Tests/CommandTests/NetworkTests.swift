// Nodes that find each other in networks of their own (Tests/Interop/join.py).

import Foundation
import Testing

@Suite(.serialized) struct NetworkTests {
    private func held(_ scene: String) throws -> [String] {
        let place = try Workplace()
        let outcome = try place.python("join.py", [DocumentationTests.executable.path, scene])
        #expect(outcome.status == 0, "\(outcome.errors)\(outcome.output)")
        return try outcome.objects().compactMap { $0["held"] as? String }
    }

    /// Three nodes that were told nothing find each other in a local network; what the first adds
    /// comes to the others, several at once, and stays when the first is gone.
    @Test("neighbours find each other and what they have") func neighbours() throws {
        #expect(
            try held("neighbours") == [
                "three nodes found each other", "the second fetched a folder from the first",
                "the third from both at once", "without the first, the content is there",
                "py-libp2p fetches the folder, too",
                "without a node, a command finds neighbours",
                "two nodes on one machine found each other", "the doctor explains it",
            ])
    }

    /// Where there is no IPv4, neighbours find each other all the same; one that goes says so.
    @Test("neighbours find each other over IPv6, and say goodbye") func six() throws {
        #expect(
            try held("six") == [
                "two nodes found each other over IPv6", "the one that stopped said goodbye",
            ])
    }

    /// A node that is told of one other finds them all, and finds them again without that one.
    @Test("an internet is joined by a name, and joined again without it") func join() throws {
        #expect(
            try held("public") == [
                "four nodes joined by a name, were reached, and serve the DHT",
                "one found where another is",
                "a name was connected to, and the gateway says who is nearest to a key",
                "what one announced, another found and fetched",
                "what was added was announced, and a name published",
                "without a node, a command joins and fetches",
                "py-libp2p finds, provides, gets and puts, and is found",
                "without the one that it joined by, a node finds the network again",
                "a second node on a machine chose another port",
            ])
    }
}
