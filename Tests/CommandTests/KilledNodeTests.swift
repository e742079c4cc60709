// Nodes that are killed: what they owe and are owed, who has lied, and what peers have answered is
// still known when they start again.

import ContractText
import Foundation
import Testing

@Suite(.serialized) struct KilledNodeTests {
    private static let loopback = "/ip4/127.0.0.1/tcp/0"

    private func start(_ place: Workplace) throws -> RunningNode {
        try RunningNode(place, "--listen", Self.loopback)
    }

    /// Connects to others and waits until it knows what they speak.
    private func connect(_ place: Workplace, to nodes: [RunningNode]) throws {
        for node in nodes {
            let address = try #require((node.announcement["listen"] as? [String])?.first)
            let connected = try place.weft("connect", address)
            #expect(connected.status == 0, "\(connected.errors)")
        }
        for _ in 0..<200 {
            let peers = try place.weft("peers", "--json").objects()
            let speakers = peers.count { peer in
                (peer["protocols"] as? [String])?.contains("/weft/call/1") == true
            }
            if speakers == nodes.count { return }
        }
        Issue.record("the peers did not say that they run calls")
    }

    private func balance(_ place: Workplace) throws -> (accounts: [String], changes: [String]) {
        let lines = try place.weft("balance").output.split(separator: "\n").map { String($0) }
        return (lines.filter { !$0.hasPrefix("  ") }, lines.filter { $0.hasPrefix("  ") })
    }

    @Test("balances, their causes and known answers survive kill -9 of both sides")
    func balances() throws {
        let servers = [try Workplace(), try Workplace()]
        let asker = try Workplace()
        for place in servers + [asker] { try place.isolate() }
        let module = try servers[0].write(
            "many.wasm", Data(try ContractText.assemble(ContractText.many)))
        let contract = try servers[0].weft("add", "-q", module).output
        let running = try servers.map { try start($0) }
        let asking = try start(asker)
        try connect(asker, to: running)
        var record = ""
        for number in 1...3 {
            // Two peers run it; what this node could do itself makes no quorum.
            let call = try asker.weft(
                "fetch", "-v", "--audit", "quorum:2", "weft://\(contract)/hello",
                "--data-binary", "\(number)")
            #expect(call.output == "hello \(number)", "\(call.errors)")
            let line = call.errors.split(separator: "\n").first { $0.hasPrefix("Weft-Record: ") }
            record = String(try #require(line).dropFirst(13))
        }
        let owed = try balance(asker)
        #expect(owed.accounts.count == 2 && owed.changes.count == 6)
        var claimed = try servers.map { try balance($0) }
        for _ in 0..<100 where !claimed.allSatisfy({ $0.changes.count == 3 }) {
            claimed = try servers.map { try balance($0) }
        }
        let shown = try asker.weft("call", "show", record).output
        #expect(shown.split(separator: "\n").count { $0.contains("= signed by ") } == 2, "\(shown)")
        for node in running + [asking] { node.stop(SIGKILL) }

        for (server, before) in zip(servers, claimed) {
            let after = try balance(server)
            #expect(after.accounts == before.accounts && after.changes == before.changes)
            #expect(after.changes.allSatisfy { $0.contains("ran call bafy") })
        }
        let after = try balance(asker)
        #expect(after.accounts == owed.accounts && after.changes == owed.changes)
        // Who did it, how much, when and why.
        let names = try servers.map {
            try $0.weft("id", "--json").object()["peer"] as? String ?? "?"
        }
        #expect(after.changes.allSatisfy { line in names.contains { line.contains($0) } })
        #expect(after.changes.allSatisfy { $0.contains("it ran call bafy") && $0.contains("Z  -") })
    }
}
