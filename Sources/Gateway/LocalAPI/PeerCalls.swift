// The calls about other peers: Kubo's swarm/* and ping, and our own list with more in it.

import HTTPTypes
import Hummingbird
import HummingbirdCore
import IPLD
import Multiformats
import NodeCore
import Weft

extension LocalServices {
    /// How many round trips a call may ask for.
    private static let maxPings: UInt64 = 1_000
    /// How far apart they are.
    private static let pingInterval = Duration.seconds(1)

    func addPeerRoutes(to router: Router<LocalContext>) {
        router.call("/api/v0/swarm/peers") { _ in
            let peers = try await node.mesh.peers()
            return APIAnswer.json([
                "Peers": .list(
                    peers.flatMap { peer in
                        peer.connections.map { Self.swarmEntry(of: peer, $0) }
                    })
            ])
        }
        router.call("/api/v0/swarm/connect") { call in
            var lines: [Value] = []
            for address in try call.atLeastOne("address").map(Self.address) {
                let peer = try await node.connect(to: address).peer
                lines.append(.string("connect \(peer) success"))
            }
            return APIAnswer.json(["Strings": .list(lines)])
        }
        router.call("/api/v0/swarm/disconnect") { call in
            var lines: [Value] = []
            for peer in try call.atLeastOne("address").map({ try Self.target($0).peer }) {
                try await node.mesh.disconnect(from: peer)
                lines.append(.string("disconnect \(peer) success"))
            }
            return APIAnswer.json(["Strings": .list(lines)])
        }
        router.call("/api/v0/ping") { call in
            let target = try Self.target(try call.only("peer ID"))
            let count = try call.number("count", "n") ?? 10
            guard 1...Self.maxPings ~= count else {
                throw APIError.badArgument("'count' must be from 1 to \(Self.maxPings)")
            }
            return ping(target, Int(count))
        }
    }

    func addOwnPeerRoutes(to router: Router<LocalContext>) {
        router.call("/weft/v1/peers") { _ in
            let peers = try await node.mesh.peers()
            let bytes = node.mesh.bytesByConnection
            return APIAnswer.json(["peers": .list(peers.map { Self.entry(of: $0, bytes) })])
        }
        router.call("/weft/v1/perf") { call in
            let bytes = try call.number("bytes") ?? Self.usualMeasured
            guard 1...Mesh.maxMeasured ~= bytes else {
                throw APIError.badArgument("'bytes' must be from 1 to \(Mesh.maxMeasured)")
            }
            return try await perf(try Self.target(try call.only("peer ID")), bytes)
        }
        router.call("/weft/v1/connect") { call in
            let (peer, by) = try await node.connect(
                to: Self.address(try call.only("address")))
            return APIAnswer.json([
                "peer": .string(peer.description), "address": .string(by.description),
            ])
        }
    }

    /// How much is measured each way unless the call says otherwise.
    private static let usualMeasured: UInt64 = 16 << 20

    private func perf(_ target: Target, _ bytes: UInt64) async throws -> ServerResponse {
        if let address = target.address { try await node.connect(to: address) }
        let speed = try await node.mesh.measure(target.peer, sending: bytes, receiving: bytes)
        return APIAnswer.json([
            "peer": .string(target.peer.description), "sentBytes": .number(speed.sentBytes),
            "sentNanoseconds": .number(speed.sendingTime.nanoseconds),
            "receivedBytes": .number(speed.receivedBytes),
            "receivedNanoseconds": .number(speed.receivingTime.nanoseconds),
        ])
    }

    /// Round trips, one line each. A peer that cannot be reached is an error of the call.
    private func ping(_ target: Target, _ count: Int) -> ServerResponse {
        APIAnswer.lines { @concurrent emit in
            if let address = target.address { try await node.connect(to: address) }
            var total = Duration.zero
            for number in 1...count {
                let time = try await node.mesh.ping(target.peer)
                total += time
                try await emit(Self.pong(time))
                if number < count { try await Task.sleep(for: Self.pingInterval) }
            }
            let average = (total / count).milliseconds
            try await emit(Self.remark("Average latency: \(average)ms"))
        }
    }

    private static func pong(_ time: Duration) -> Value {
        .object([
            "Success": .bool(true), "Time": .number(time.nanoseconds), "Text": .string(""),
        ])
    }

    private static func remark(_ text: String) -> Value {
        .object(["Success": .bool(true), "Time": .number(0), "Text": .string(text)])
    }

    // MARK: Arguments

    /// A peer, and where it is if that was said.
    struct Target {
        let peer: PeerID
        let address: Multiaddr?
    }

    private static func address(_ text: String) throws(APIError) -> Multiaddr {
        do {
            return try Multiaddr(text: text)
        } catch {
            throw .badArgument("invalid multiaddr '\(text)': \(error)")
        }
    }

    static func target(_ text: String) throws(APIError) -> Target {
        guard text.hasPrefix("/") else {
            do {
                return Target(peer: try PeerID(text: text), address: nil)
            } catch {
                throw .badArgument("invalid peer id '\(text)': \(error)")
            }
        }
        let address = try address(text)
        guard let peer = address.peer else {
            throw .badArgument("'\(text)' does not end in /p2p/PEER")
        }
        // `/p2p/PEER` alone says no more than the peer's name.
        return Target(peer: peer, address: address.components.count > 1 ? address : nil)
    }

    // MARK: Answers

    private static func swarmEntry(
        of peer: PeerSnapshot, _ connection: PeerSnapshot.Connection
    ) -> Value {
        .object([
            "Addr": .string(connection.facts.remoteAddress.description),
            "Peer": .string(peer.peer.description),
            "Latency": .string(peer.roundTrip.map { "\($0.milliseconds)ms" } ?? ""),
            "Muxer": .string("/yamux/1.0.0"),
            "Direction": .number(connection.facts.direction == .inbound ? 1 : 2),
            "Streams": .list([]),
        ])
    }

    private static func entry(
        of peer: PeerSnapshot, _ bytes: [UInt64: (received: UInt64, sent: UInt64)]
    ) -> Value {
        let (received, sent) = Self.bytes(of: peer, bytes)
        return .object([
            "peer": .string(peer.peer.description),
            "agent": .string(ForeignText.printable(peer.agent)),
            "roundTripNanoseconds": peer.roundTrip.map { .number($0.nanoseconds) },
            "protocols": .list(
                peer.protocols.map { .string(ForeignText.printable($0.utf8)) }),
            "receivedBytes": .number(received), "sentBytes": .number(sent),
            "connections": .list(
                peer.connections.map { connection in
                    .object([
                        "address": .string(connection.facts.remoteAddress.description),
                        "direction": .string(
                            connection.facts.direction == .inbound ? "inbound" : "outbound"),
                        "ageSeconds": .number(connection.age.components.seconds),
                        "streams": .number(connection.streams),
                    ])
                }),
        ])
    }
}

extension Duration {
    /// The duration in nanoseconds; cut off after some centuries.
    fileprivate var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let whole = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        return whole.overflow ? .max : whole.partialValue + attoseconds / 1_000_000_000
    }

    /// The duration in milliseconds, with two places.
    fileprivate var milliseconds: String {
        let hundredths = nanoseconds / 10_000
        let fraction = String(hundredths % 100)
        return "\(hundredths / 100).\(fraction.count < 2 ? "0" : "")\(fraction)"
    }
}
