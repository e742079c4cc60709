// Names: a valid record at hand answers at once whatever the network does, the best of several
// records wins, and nothing that is not signed is believed.

import Foundation
import IPLD
import Multiformats
import NIOCore
import NIOHTTP1
import Synchronization
import Testing
import Wire

@testable import Weft

@Suite struct NameResolverTests {
    static let key = PrivateKey.generateEd25519()
    static let name = PeerID(key.publicKey)

    static func record(
        _ value: String, sequence: UInt64, seconds: Int64 = 3600, key: PrivateKey = key
    ) throws -> IPNSRecord {
        try IPNSRecord(
            value: value, sequence: sequence,
            validUntil: NameResolver.systemTime().adding(seconds: seconds),
            ttlNanoseconds: 60_000_000_000, signingWith: key)
    }

    static func answer(_ record: IPNSRecord) -> [TestServer.Step] {
        [
            .head(.ok, ["content-type": "application/vnd.ipfs.ipns-record"]),
            .bytes(record.encoded),
        ]
    }

    /// A resolver over a directory of its own.
    private func withResolver<Result>(
        _ routers: [TestServer], dns: String = "",
        _ body: (NameResolver) async throws -> Result
    ) async throws -> Result {
        let base = try TemporaryDirectory()
        let directory = base.path
        try SmallFile.replace(directory + "/dns", with: Array(dns.utf8))
        try Files.createDirectory(directory + "/ipns")
        let resolver = NameResolver(
            records: NameRecords(directory + "/ipns"),
            dns: DNSResolver(.file(directory + "/dns"), client: Bench.client),
            sources: NameResolver.Sources(
                network: .online,
                routers: routers.compactMap { DelegatedRouting($0.url, client: Bench.client) },
                gateways: [], timeout: .seconds(240)))
        do {
            let result = try await body(resolver)
            await resolver.stop()
            return result
        } catch {
            await resolver.stop()
            throw error
        }
    }

    private var path: String { "/ipns/\(Self.name.ipnsName)" }

    /// With a valid record stored, a router that never answers delays nobody.
    /// However many names strangers bring, this node's own are kept, and the newest of theirs.
    @Test("records of strangers make room for each other, and never crowd out one's own")
    func fullOfStrangers() throws {
        let directory = FileManager.default.temporaryDirectory
            .appending(path: "weft-names-\(UUID())")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        // What a failed test leaves is no second failure.
        defer { try? FileManager.default.removeItem(at: directory) }
        let (own, late) = (PrivateKey.generateEd25519(), PrivateKey.generateEd25519())
        let records = NameRecords(directory.path, maxCount: 4) {
            [own, late].reduce(into: []) { $0.insert(PeerID($1.publicKey).ipnsName) }
        }
        func keep(_ key: PrivateKey) throws -> PeerID {
            let name = PeerID(key.publicKey)
            let record = try IPNSRecord(
                value: "/ipfs/bafkqaaa", sequence: 0, validUntil: .init(seconds: 4_000_000_000),
                ttlNanoseconds: 1, signingWith: key)
            #expect(try records.keep(record, of: name))
            return name
        }
        let first = try keep(own)
        let strangers = try (0..<6).map { _ in try keep(PrivateKey.generateEd25519()) }
        let last = try keep(late)
        #expect(try records.record(of: first) != nil && records.record(of: last) != nil)
        #expect(try records.record(of: strangers[5]) != nil)
        #expect(try records.record(of: strangers[0]) == nil)
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path).count == 4)
    }

    @Test func storedIsAnsweredAtOnce() async throws {
        let router = try await TestServer { _ in [.stall] }
        try await withResolver([router]) { resolver in
            try resolver.accept(
                Self.record("/ipfs/bafkqaaa", sequence: 1).encoded, of: Self.name)
            let trace = Trace()
            let found = try await resolver.resolve(path + "/a%20b", trace: trace)
            #expect(found.path == "/ipfs/bafkqaaa/a%20b")
            #expect(trace.entries.map(\.step) == [.store])
        }
        try await router.stop()
    }

    /// A stale record is answered, and the newer one comes in the background.
    @Test func refreshedInTheBackground() async throws {
        let newer = try Self.record("/ipfs/bafkqaba", sequence: 2)
        let router = try await TestServer { _ in Self.answer(newer) }
        try await withResolver([router]) { resolver in
            try resolver.accept(
                Self.record("/ipfs/bafkqaaa", sequence: 1).encoded, of: Self.name)
            #expect(try await resolver.resolve(path).path == "/ipfs/bafkqaaa")
            var found = ""
            for _ in 0..<10_000 where found != "/ipfs/bafkqaba" {
                found = try await resolver.resolve(path).path
                await Task.yield()
            }
            #expect(found == "/ipfs/bafkqaba")
            #expect(router.requests.count == 1, "a fresh record is not looked up again")
            #expect(router.requests[0].path == "/routing/v1/ipns/\(Self.name.ipnsName)")
        }
        try await router.stop()
    }

    /// Of several records the newest valid one wins; liars and those without any do not matter.
    @Test func bestOfSeveral() async throws {
        let other = PrivateKey.generateEd25519()
        let answers: [[TestServer.Step]] = try [
            Self.answer(Self.record("/ipfs/bafkqaaa", sequence: 3)),
            Self.answer(Self.record("/ipfs/bafkqaba", sequence: 5)),
            Self.answer(Self.record("/ipfs/bafkqabb", sequence: 9, key: other)),
            Self.answer(Self.record("/ipfs/bafkqabc", sequence: 8, seconds: -10)),
            [.head(.notFound)], [.head(.ok, ["content-type": "text/plain"]), .bytes([1])],
            [.head(.ok, ["content-type": "application/vnd.ipfs.ipns-record"]), .bytes([1, 2])],
        ]
        var routers: [TestServer] = []
        for steps in answers { routers.append(try await TestServer { _ in steps }) }
        try await withResolver(routers) { resolver in
            let trace = Trace()
            let found = try await resolver.resolve(path, trace: trace)
            #expect(found.path == "/ipfs/bafkqaba")
            #expect(found.ttl <= .seconds(60))
            #expect(trace.entries.count { $0.succeeded == true } == 2)
        }
        for router in routers { try await router.stop() }
    }

    /// Nobody has a record: an error in time that says who was asked.
    @Test func unknown() async throws {
        let router = try await TestServer { _ in [.stall] }
        let started = ContinuousClock.now
        let error = await #expect(throws: FetchError.self) {
            _ = try await withResolver([router]) {
                try await $0.resolve(
                    path, limits: MeshOptions(deadline: .milliseconds(300)))
            }
        }
        #expect(error?.code == .notFound)
        #expect(error?.description.contains(router.url) == true)
        // Without the limit the router would be waited for as long as a fetch may stall.
        #expect(started.duration(to: .now) < MeshOptions().idleDeadline)
        try await router.stop()
    }

    /// The cache modes: `only-if-cached` asks nobody, `no-cache` always does.
    @Test func cacheModes() async throws {
        let newer = try Self.record("/ipfs/bafkqaba", sequence: 2)
        let router = try await TestServer { _ in Self.answer(newer) }
        try await withResolver([router]) { resolver in
            let error = await #expect(throws: FetchError.self) {
                _ = try await resolver.resolve(path, cache: .onlyIfCached)
            }
            #expect(error?.code == .offline)
            #expect(router.requests.isEmpty)
            try resolver.accept(
                Self.record("/ipfs/bafkqaaa", sequence: 1).encoded, of: Self.name)
            #expect(
                try await resolver.resolve(path, cache: .forceCache).path == "/ipfs/bafkqaaa")
            #expect(router.requests.isEmpty)
            #expect(try await resolver.resolve(path, cache: .noCache).path == "/ipfs/bafkqaba")
        }
        try await router.stop()
    }

    /// DNSLink names lead to keys, paths and other names, and circles end.
    @Test func dnslink() async throws {
        let dns = """
            _dnslink.one.example dnslink=/ipns/two.example/sub
            _dnslink.two.example dnslink=/ipfs/bafkqaaa/dir
            _dnslink.circle.example dnslink=/ipns/circle.example
            _dnslink.twice.example dnslink=/ipfs/bafkqaaa
            _dnslink.twice.example dnslink=/ipfs/bafkqablimvwgy3y
            _dnslink.key.example dnslink=/ipns/\(Self.name)
            """
        try await withResolver([], dns: dns) { resolver in
            try resolver.accept(
                Self.record("/ipfs/bafkqaaa", sequence: 1).encoded, of: Self.name)
            #expect(
                try await resolver.resolve("/ipns/one.example/x").path
                    == "/ipfs/bafkqaaa/dir/sub/x")
            #expect(try await resolver.resolve("/ipns/key.example").path == "/ipfs/bafkqaaa")
            for (name, code) in [
                ("circle.example", FetchError.Code.malformed), ("twice.example", .malformed),
                ("none.example", .notFound), ("nonsense", .badRequest),
            ] {
                let error = await #expect(throws: FetchError.self) {
                    _ = try await resolver.resolve("/ipns/\(name)")
                }
                #expect(error?.code == code, "\(name)")
            }
        }
    }
}
