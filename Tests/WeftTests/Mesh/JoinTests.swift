// Joining the network: names become addresses within bounds, servers are remembered, and nodes that
// know one peer find the others.

import Foundation
import IPLD
import Multiformats
import NodeCore
import Testing
import Wire

@testable import Weft

@Suite(.serialized, .timeLimit(.minutes(10))) struct JoinTests {
    private static let peer = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"
    private static let other = "12D3KooWLU2znyJMtDiHArqAGbZn8CgUGp92kxDBtefftEEaHSZS"

    /// Follows a `dnsaddr` through records as written; answers who was asked.
    private func resolve(
        _ text: String, _ records: [String: [String]]
    ) async throws -> (found: [String], asked: Int, failure: (any Error)?) {
        var asked = 0
        let lookUp = BootstrapLookUp { name in
            asked += 1
            guard let texts = records[name] else { throw FetchError(.network, "no answer") }
            return texts
        }
        let (addresses, failure) = await lookUp.resolve([try Multiaddr(text: text)])
        return (addresses.map(\.description), asked, failure)
    }

    @Test("a dnsaddr leads to what its domain says of this peer, through other domains")
    func dnsaddr() async throws {
        let (peer, other) = (Self.peer, Self.other)
        let (found, asked, failure) = try await resolve(
            "/dnsaddr/a.example/p2p/\(peer)",
            [
                "_dnsaddr.a.example": [
                    "dnsaddr=/ip4/192.0.2.1/tcp/4001/p2p/\(peer)", "something else",
                    "dnsaddr=/ip4/192.0.2.2/tcp/4001/p2p/\(other)", "dnsaddr=nonsense",
                    "dnsaddr=/dnsaddr/b.example/p2p/\(peer)",
                    "dnsaddr=/ip4/192.0.2.1/tcp/4001/p2p/\(peer)",
                ],
                "_dnsaddr.b.example": ["dnsaddr=/ip6/2001:db8::1/tcp/4001/p2p/\(peer)"],
            ])
        #expect(
            found == [
                "/ip4/192.0.2.1/tcp/4001/p2p/\(peer)", "/ip6/2001:db8::1/tcp/4001/p2p/\(peer)",
            ])
        #expect(asked == 2 && failure == nil)
        let nobody = try await resolve("/dnsaddr/a.example/p2p/\(peer)", [:])
        #expect(nobody.found.isEmpty && nobody.failure is FetchError)
        let plain = try await resolve("/ip4/192.0.2.1/tcp/1/p2p/\(peer)", [:])
        #expect(plain.found == ["/ip4/192.0.2.1/tcp/1/p2p/\(peer)"] && plain.asked == 0)
    }

    @Test("domains that lead on for ever, or to very much, are followed within bounds")
    func hostileDomains() async throws {
        let peer = Self.peer
        var chain: [String: [String]] = [:]
        for number in 0..<100 {
            chain["_dnsaddr.d\(number).example"] = ["dnsaddr=/dnsaddr/d\(number + 1).example"]
        }
        let long = try await resolve("/dnsaddr/d0.example", chain)
        #expect(long.found.isEmpty && long.asked == BootstrapLookUp.maxDepth)
        let loop = try await resolve(
            "/dnsaddr/d.example", ["_dnsaddr.d.example": ["dnsaddr=/dnsaddr/d.example"]])
        #expect(loop.asked == 1)
        let wide = try await resolve(
            "/dnsaddr/d.example",
            [
                "_dnsaddr.d.example": (0..<500).map {
                    "dnsaddr=/ip4/192.0.2.1/tcp/\($0 + 1)/p2p/\(peer)"
                }
            ])
        #expect(wide.found.count == BootstrapLookUp.maxAddresses)
        let tree = Dictionary(
            uniqueKeysWithValues: (0..<200).map { number in
                (
                    "_dnsaddr.\(number).example",
                    (1...10).map { "dnsaddr=/dnsaddr/\(number * 10 + $0).example" }
                )
            })
        #expect(
            try await resolve("/dnsaddr/0.example", tree).asked == BootstrapLookUp.maxQuestions)
    }

    @Test("servers are remembered by their public addresses, and a damaged file does no harm")
    func remembered() throws {
        let base = try TemporaryDirectory()
        let file = KnownServers(path: base.path + "/servers")
        #expect(try file.read().isEmpty)
        let (one, two) = (try PeerID(text: Self.peer), try PeerID(text: Self.other))
        let open = try Multiaddr(text: "/ip4/5.6.7.8/tcp/4001")
        let near = try Multiaddr(text: "/ip4/192.168.1.2/tcp/4001")
        try file.write([(one, [near, open]), (two, [near])])
        let found = try file.read()
        #expect(found.map(\.peer) == [one])
        #expect(found.first?.addresses == [try #require(open.ending(in: one))])
        // Nobody at all is a node that is cut off, which still wants to know whom it knew.
        try file.write([(two, [near])])
        #expect(try file.read().map(\.peer) == [one])
        let many = (0..<100).map { index in
            (
                peer: PeerID(PrivateKey.generateEd25519().publicKey),
                addresses: (0..<9).compactMap {
                    try? Multiaddr(text: "/ip4/5.\(index).\($0).8/tcp/4001")
                }
            )
        }
        try file.write(many)
        #expect(try file.read().count == KnownServers.maxCount)
        #expect(try file.read().allSatisfy { $0.addresses.count == KnownServers.maxAddresses })
        try base.write("servers", Array("nonsense\n\u{0}\n/ip4/5.6.7.8/tcp/1/p2p/\(one)\n".utf8))
        #expect(try file.read().map(\.peer) == [one])
    }

    /// A node that listens on loopback and joins by others, which are in its local DHT.
    private static func configuration(by others: Node...) -> Configuration {
        var configuration = PeerFetchTests.configuration
        configuration.mesh.listen = ["/ip4/127.0.0.1/tcp/0"]
        configuration.mesh.bootstrap = others.flatMap { $0.mesh.addresses.map(\.description) }
        return configuration
    }

    /// Asks again until it is so; each question takes its time.
    static func until(_ what: String, _ isSo: () async throws -> Bool) async throws {
        let end = ContinuousClock.now + .seconds(240)
        while try await !isSo() {
            try #require(ContinuousClock.now < end, "there was no \(what)")
            await Task.yield()
        }
    }

    /// Three nodes, of which each knows the first alone: the third finds what the second has and
    /// fetches it, and learns where the second is.
    @Test("nodes that know one peer find content and each other") func finding() async throws {
        try await withNode(Self.configuration()) { first, _ in
            try await first.listen()
            try await withNode(Self.configuration(by: first)) { second, base in
                try base.write("file", Array("found by its hash".utf8))
                let root = try #require(
                    try await second.add([base.path + "/file"]).roots.first
                ).cid
                try await second.listen()
                try await Self.until("server") {
                    try await second.mesh.dhtStatus().contains { $0.peers > 0 }
                }
                #expect(try await second.mesh.provide(root).stored == 1)
                try await withNode(Self.configuration(by: first)) { third, _ in
                    try await third.listen()
                    try await Self.until("server") {
                        try await third.mesh.dhtStatus().contains { $0.peers > 0 }
                    }
                    #expect(third.mesh.joiningStatus.peers == 1)
                    let found = try await third.mesh.providers(
                        of: root, limit: 5, within: .seconds(120))
                    #expect(found.map(\.peer) == [second.peer])
                    let place = try await third.mesh.findPeer(second.peer)
                    #expect(
                        place.addresses.compactMap { $0.ending(in: second.peer) }
                            == second.mesh.addresses)
                    // A connected peer is asked anyway; one that is not has to be found.
                    if try await third.mesh.peers().contains(where: { $0.peer == second.peer }) {
                        try await third.mesh.disconnect(from: second.peer)
                    }
                    let page = try await third.fetch("ipfs://\(root)")
                    #expect(try await body(page) == Array("found by its hash".utf8))
                    #expect(
                        page.mesh.trace.entries.contains {
                            $0.step == .routing && $0.peer == "DHT" && $0.succeeded == true
                        }, "\(page.mesh.trace)")
                }
            }
        }
    }

    /// A name that one node publishes is resolved by another, which asks nobody but the DHT, and a
    /// newer record replaces the older one there.
    @Test("names are published and resolved by the DHT") func names() async throws {
        try await withNode(Self.configuration()) { first, _ in
            try await first.listen()
            try await withNode(Self.configuration(by: first)) { second, _ in
                try await withNode(Self.configuration(by: first)) { third, _ in
                    for node in [second, third] {
                        try await node.listen()
                        try await Self.until("server") {
                            try await node.mesh.dhtStatus().contains { $0.peers > 0 }
                        }
                    }
                    let old = try await second.publish("/ipfs/bafkqaaa")
                    #expect(old.announcements == [.init(router: "DHT", failure: nil)])
                    let path = "/ipns/\(old.name.ipnsName)"
                    let trace = Trace()
                    let found = try await third.names.resolve(path, trace: trace)
                    #expect(found.path == "/ipfs/bafkqaaa")
                    #expect(trace.entries.contains { $0.peer == "DHT" })
                    _ = try await second.publish(
                        "/ipfs/bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy")
                    let newer = try await third.names.resolve(path, cache: .noCache)
                    #expect(
                        newer.path
                            == "/ipfs/bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy")
                    let stranger = PeerID(PrivateKey.generateEd25519().publicKey)
                    await #expect(throws: FetchError.self) {
                        try await third.names.resolve("/ipns/\(stranger.ipnsName)")
                    }
                    let routed = try await first.names.recordFromDHT(
                        of: old.name, within: .seconds(120))
                    #expect(routed != nil)
                }
            }
        }
    }

    /// A node that does not listen takes part in nothing, and one that joins by nobody asks nobody.
    @Test("nothing is joined unasked") func unasked() async throws {
        try await withNode(PeerFetchTests.configuration) { node, _ in
            #expect(try await node.mesh.dhtStatus().allSatisfy { $0.peers == 0 })
            #expect(node.mesh.joiningStatus.attempts == 0 && node.mesh.addresses.isEmpty)
            let nowhere = CID(.raw, Multihash.sha2_256(of: Array("nowhere".utf8).rawSpan))
            let answer = try await node.mesh.findProviders(of: nowhere, limit: 1)
            #expect(answer.obstacle != nil)
        }
        var offline = Self.configuration()
        offline.network = .offline
        offline.mesh.listen = Configuration.Mesh.usualListen
        offline.mesh.bootstrap = Configuration.Mesh.publicBootstrap
        try await withNode(offline) { node, _ in
            try await node.listen()
            #expect(node.mesh.joiningStatus.attempts == 0 && node.mesh.addresses.isEmpty)
            #expect(try await node.mesh.dhtStatus().count == 1)
        }
    }
}
