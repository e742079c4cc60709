// What the configuration says of the mesh's limits, and that a running node keeps to it.

import Foundation
import Multiformats
import NIOSSL
import NodeCore
import Peering
import Testing

@testable import Weft

@Suite struct MeshSettingsTests {
    private static func settings(_ lines: String...) throws -> Configuration.Mesh {
        let text = (["[mesh]"] + lines).joined(separator: "\n")
        return try ConfigurationFile(text: text).configuration.mesh
    }

    /// A profile gives all ceilings, single keys go before it, and none stands above the one over
    /// it.
    @Test func ceilings() throws {
        #expect(NodeLimits(try Self.settings()).connections == NodeLimits.home.connections)
        let small = NodeLimits(try Self.settings(#"profile = "lowpower""#))
        #expect(small.connections == NodeLimits.lowpower.connections)
        #expect(small.memory == NodeLimits.lowpower.memory)
        let own = NodeLimits(
            try Self.settings(
                "connections-max = 40", "dials-per-second = 3", #"memory = "32MiB""#,
                #"connections-per-peer = "profile""#))
        #expect(own.connections.ceiling == 40)
        #expect(own.connections.high == 40)
        #expect(own.connections.low == 32)
        #expect(own.connections.inbound == 40)
        #expect(own.connections.perPeer == NodeLimits.home.connections.perPeer)
        #expect(own.dialing.perSecond == 3)
        #expect(own.memory == 32 << 20)
    }

    @Test(
        "what does not fit is refused",
        arguments: [
            "connections-max = -1", #"connections-max = "many""#, #"memory = "1KiB""#,
            #"bandwidth-in = "1KiB""#, #"bandwidth-in = "fast""#, #"reach = "nowhere""#,
            #"allow-peers = ["nobody"]"#, #"deny-addresses = ["10.0.0.0/33"]"#,
            #"deny-addresses = ["example.org"]"#, #"allow-addresses = ["/ip4/1.2.3.4/tcp/1"]"#,
            #"bandwidth-schedule = ["8-18 in=1MiB"]"#, #"profile = "huge""#,
        ])
    func refused(line: String) {
        #expect {
            try Self.settings(line)
        } throws: { error in
            if case ConfigurationError.badValue = error { true } else { false }
        }
    }

    /// Windows of the day and of the week, over midnight too; the first that fits counts, and
    /// outside of all of them the plain totals.
    @Test func schedule() throws {
        let settings = try Self.settings(
            #"bandwidth-in = "8MiB""#,
            #"""
            bandwidth-schedule = ["mon-fri 08:00-18:00 in=1MiB out=100KiB",
                "fri,sat 22:00-02:00 in=none out=none", "12:00-24:00 out=200KiB"]
            """#)
        func total(_ day: Int, _ hour: Int, _ minute: Int = 0) -> [UInt64?] {
            let rates = settings.bandwidth.total(day: day, minute: hour * 60 + minute)
            return [rates.inbound, rates.outbound]
        }
        let (office, late, afternoon) =
            ([1 << 20, 100 << 10], [nil, nil], [nil, 200 << 10])
            as ([UInt64?], [UInt64?], [UInt64?])
        #expect(total(1, 8) == office)
        #expect(total(5, 17, 59) == office)
        #expect(total(5, 18) == afternoon)
        #expect(total(1, 7, 59) == [8 << 20, nil])
        #expect(total(0, 9) == [8 << 20, nil])
        #expect(total(5, 22) == late)
        #expect(total(6, 1, 59) == late)
        #expect(total(0, 1) == late)
        #expect(total(1, 1) == [8 << 20, nil])
        #expect(total(0, 23, 59) == afternoon)
    }

    /// Ranges as people and as multiaddrs write them; IPv4 within IPv6 is IPv4.
    @Test func rules() throws {
        let settings = try Self.settings(
            #"deny-addresses = ["10.0.0.0/8", "/ip6/2001:db8::/ipcidr/32", "192.0.2.7"]"#)
        let rules = AccessRules(settings, .online)
        for (text, isAdmitted) in [
            ("/ip4/10.1.2.3/tcp/1", false), ("/ip4/11.1.2.3/tcp/1", true),
            ("/ip6/2001:db8:1::1/tcp/1", false), ("/ip6/2001:db9::1/tcp/1", true),
            ("/ip4/192.0.2.7/tcp/1", false), ("/ip4/192.0.2.8/tcp/1", true),
            ("/ip6/::ffff:10.0.0.1/tcp/1", false),
        ] {
            #expect(rules.admits(try Multiaddr(text: text)) == isAdmitted, "\(text)")
        }
    }

    /// The switch: how far each position reaches, and that the metered one lets nobody in.
    @Test func reach() throws {
        let (world, near) = (
            try Multiaddr(text: "/ip4/1.1.1.1/tcp/1"),
            try Multiaddr(text: "/ip4/127.0.0.1/tcp/1")
        )
        for (position, network, far, close) in [
            ("everywhere", .online, true, true), ("everywhere", .offline, false, true),
            ("local", .online, false, true), ("metered", .online, true, true),
            ("off", .online, false, false),
        ] as [(String, Configuration.Network, Bool, Bool)] {
            let rules = AccessRules(try Self.settings("reach = \"\(position)\""), network)
            #expect(rules.admits(world) == far, "\(position)")
            #expect(rules.admits(near) == close, "\(position)")
        }
        let metered = NodeLimits(try Self.settings(#"reach = "metered""#, #"profile = "server""#))
        #expect(metered.connections.inbound == 0)
        #expect(metered.connections.ceiling == NodeLimits.lowpower.connections.ceiling)
        #expect(metered.announcedKeys == 0)
    }
}

@Suite struct MeshLimitTests {
    private static func listen(_ node: Node) async throws -> Multiaddr {
        let address = try Multiaddr(text: "/ip4/127.0.0.1/tcp/0")
        return try #require(try await node.mesh.listen(on: [address]).last)
    }

    /// What a running node is told holds at once: peers that are denied are gone and stay away, an
    /// address is turned away, ceilings close what is above them, and the switch ends everything.
    @Test("changing limits of a running node") func changing() async throws {
        try await withNode { mine, _ in
            try await withNode { theirs, _ in
                let there = try await Self.listen(theirs)
                var settings = theirs.mesh.settings
                func apply(_ change: (inout Configuration.Mesh) -> Void) async throws {
                    var new = settings
                    change(&new)
                    try await theirs.mesh.apply(new)
                }
                try await mine.mesh.connect(to: there)
                try await apply { $0.denyPeers = [mine.peer.description] }
                #expect(try await theirs.mesh.peers().isEmpty)
                try await apply { $0.denyAddresses = ["127.0.0.0/8"] }
                while try await !mine.mesh.peers().isEmpty { await Task.yield() }
                await #expect(throws: MeshError.self) { try await mine.mesh.connect(to: there) }
                #expect(theirs.mesh.admissionCounts.denied > 0)

                settings = Configuration.Mesh()
                try await apply { $0.reach = .off }
                await #expect(throws: MeshError.self) {
                    try await theirs.mesh.connect(to: try await Self.listen(mine))
                }
                try await apply { _ in }
                try await theirs.mesh.connect(to: try await Self.listen(mine))
                #expect(try await theirs.mesh.peers().map(\.peer) == [mine.peer])
                try await apply { $0.ceilings["mesh.connections-max"] = 0 }
                #expect(try await theirs.mesh.peers().isEmpty)
                try await apply { _ in }
                try await theirs.mesh.connect(to: try await Self.listen(mine))
                try await apply { $0.reach = .off }
                #expect(try await theirs.mesh.peers().isEmpty)
            }
        }
    }

    /// Bytes are told apart by protocol, and add up to what the connections carried.
    @Test("counting by protocol") func counting() async throws {
        try await withNode { mine, _ in
            try await withNode { theirs, _ in
                try await mine.mesh.connect(to: try await Self.listen(theirs))
                _ = try await mine.mesh.ping(theirs.peer)
                let ping = mine.mesh.traffic.byProtocol.first {
                    $0.name.description == "/ipfs/ping/1.0.0"
                }
                #expect(ping?.flows.sent.bytes == 32)
                #expect(ping?.flows.received.bytes == 32)
                let total = mine.mesh.traffic.total
                let bytes = mine.mesh.bytesByConnection.values
                #expect(bytes.reduce(0) { $0 + $1.received } == total.received.bytes)
                #expect(total.received.bytes > ping?.flows.received.bytes ?? .max)
            }
        }
    }

    /// A certificate that is renewed is taken up; a file that is being written is not.
    @Test("renewing a certificate") func renewal() throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "weft-\(UUID())")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let (chain, key) = (directory.path + "/chain.pem", directory.path + "/key.pem")
        func make(_ name: String) throws {
            let process = Process()
            process.executableURL = URL(filePath: "/usr/bin/env")
            process.arguments = [
                "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=\(name)",
                "-keyout", key, "-out", chain,
            ]
            process.standardError = FileHandle.nullDevice
            try process.run()
            process.waitUntilExit()
            try #require(process.terminationStatus == 0)
        }
        #expect(throws: CertificateFiles.Failure.self) {
            try CertificateFiles(chainFile: chain, keyFile: key)
        }
        try make("one")
        let files = try CertificateFiles(chainFile: chain, keyFile: key)
        let (first, oldKey) = (files.renewedChain, try Data(contentsOf: URL(filePath: key)))
        try make("two")
        let newKey = try Data(contentsOf: URL(filePath: key))
        try oldKey.write(to: URL(filePath: key))
        #expect(files.renewedChain == first)
        try newKey.write(to: URL(filePath: key))
        #expect(files.renewedChain != first)
    }
}
