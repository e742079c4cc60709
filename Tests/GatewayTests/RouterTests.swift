// Names through another node's Routing V1: one node publishes, its router keeps the record, a third
// finds it there. All three are real, and so is the HTTP between them.

import AsyncHTTPClient
import Foundation
import IPLD
import Multiformats
import NIOCore
import NIOHTTP1
import Testing
import Weft
import Wire

@testable import Gateway

@Suite(.timeLimit(.minutes(10))) struct RouterTests {
    /// Runs nodes in a directory that is gone afterwards.
    private func withNodes(
        _ configurations: [Configuration], _ body: ([Node]) async throws -> Void
    ) async throws {
        let base = FileManager.default.temporaryDirectory.appending(path: "weft-router-\(UUID())")
        // What is left of a test that failed is no second failure.
        defer { try? FileManager.default.removeItem(at: base) }
        var nodes: [Node] = []
        for (index, configuration) in configurations.enumerated() {
            nodes.append(
                try await Node.start(
                    at: base.appending(path: "\(index)").path, configuration: configuration))
        }
        do {
            try await body(nodes)
        } catch {
            for node in nodes { await node.stop() }
            throw error
        }
        for node in nodes { await node.stop() }
    }

    private func client(of port: Int, path: String = "/routing/v1") -> Configuration {
        var configuration = Configuration()
        configuration.routing.delegated = ["http://127.0.0.1:\(port)\(path)"]
        return configuration
    }

    private func withRouter(
        _ body: @escaping @Sendable (RunningGateway) async throws -> Void
    ) async throws {
        var offline = Configuration()
        offline.network = .offline
        try await withNodes([offline]) { nodes in
            try await RunningGateway.run(GatewayBackend(nodes[0], url: { nil }), { _ in }, body)
        }
    }

    @Test func publishing() async throws {
        try await withRouter { router in
            try await withNodes([client(of: router.port), client(of: router.port)]) { nodes in
                let published = try await nodes[0].publish("/ipfs/bafkqaaa")
                #expect(published.announcements.map(\.failure) == [nil])
                let found = try await nodes[1].resolve("/ipns/\(published.name.ipnsName)")
                #expect("\(found.cid)" == "bafkqaaa")
                // What the router hands on is what was signed.
                let answer = try await HTTPClient.shared.execute(
                    HTTPClientRequest(
                        url: "http://127.0.0.1:\(router.port)/routing/v1/ipns/"
                            + published.name.ipnsName), timeout: .seconds(240))
                let body = try await answer.body.collect(upTo: 1 << 20)
                #expect(Array(body.readableBytesView) == published.record.encoded)
            }
        }
    }

    /// A router that does not take the record is named, with its reason; the name still stands.
    @Test func refused() async throws {
        try await withRouter { router in
            let strange = client(of: router.port, path: "/elsewhere")
            try await withNodes([strange]) { nodes in
                let published = try await nodes[0].publish("/ipfs/bafkqaaa")
                #expect(published.announcements.map(\.failure) == ["it answered with status 404"])
                let own = try await nodes[0].resolve("/ipns/\(published.name.ipnsName)")
                #expect("\(own.cid)" == "bafkqaaa")
            }
        }
    }

    /// What a router must not take: a record of another name, noise, another type, too much.
    @Test func untrusted() async throws {
        try await withRouter { router in
            let key = PrivateKey.generateEd25519()
            let name = PeerID(key.publicKey)
            let record = try IPNSRecord(
                value: "/ipfs/bafkqaaa", sequence: 1,
                validUntil: .init(seconds: 4_000_000_000), ttlNanoseconds: 1, signingWith: key)
            let other = PeerID(PrivateKey.generateEd25519().publicKey)
            let type = "application/vnd.ipfs.ipns-record"
            var damaged = record.encoded
            damaged[damaged.count / 2] ^= 1
            let cases: [(name: String, type: String, body: [UInt8], status: UInt)] = [
                (other.ipnsName, type, record.encoded, 400),
                (name.ipnsName, type, damaged, 400), (name.ipnsName, type, [], 400),
                (name.ipnsName, type, [1, 2, 3], 400), ("nonsense", type, record.encoded, 400),
                (name.ipnsName, "application/json", record.encoded, 406),
                (name.ipnsName, type, [UInt8](repeating: 0, count: 20_000), 413),
                (name.ipnsName, type, record.encoded, 200),
            ]
            for item in cases {
                var request = HTTPClientRequest(
                    url: "http://127.0.0.1:\(router.port)/routing/v1/ipns/\(item.name)")
                request.method = .PUT
                request.headers.add(name: "content-type", value: item.type)
                request.body = .bytes(ByteBuffer(bytes: item.body))
                let answer = try await HTTPClient.shared.execute(request, timeout: .seconds(240))
                #expect(answer.status.code == item.status, "\(item.name) \(item.type)")
                _ = try await answer.body.collect(upTo: 1 << 20)
            }
        }
    }
}
