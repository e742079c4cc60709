// The calls about ceilings and what they hold back: our own limits and bandwidth, Kubo's stats/bw.

import BlockStore
import HTTPTypes
import Hummingbird
import HummingbirdCore
import IPLD
import Multiformats
import NodeCore
import Peering
import Weft

extension LocalServices {
    /// The shortest and the usual time between two answers of a watched call.
    private static let intervals = (least: Duration.milliseconds(100), usual: Duration.seconds(1))

    func addBandwidthRoutes(to router: Router<LocalContext>) {
        router.call("/api/v0/stats/bw") { call in
            let name = call["proto"]
            let peer = try call["peer"].map { text throws(APIError) in
                guard let peer = try? PeerID(text: text) else {
                    throw .badArgument("invalid peer id '\(text)'")
                }
                return peer
            }
            guard try call.flag("poll") else {
                return APIAnswer.json(try await figures(name, peer).json)
            }
            let interval = max(
                Self.intervals.least, try call.duration("interval") ?? Self.intervals.usual)
            return APIAnswer.lines { @concurrent emit in
                while true {
                    try await emit(try await figures(name, peer).json)
                    try await Task.sleep(for: interval)
                }
            }
        }
    }

    func addLimitRoutes(to router: Router<LocalContext>) {
        router.call("/weft/v1/limits") { _ in APIAnswer.json(try await limits()) }
        router.call("/weft/v1/bandwidth") { _ in APIAnswer.json(try await traffic()) }
    }

    // MARK: stats/bw

    /// Bytes and bytes per second, both ways.
    private struct Figures {
        var bytes: (received: UInt64, sent: UInt64) = (0, 0)
        var rates: (received: UInt64, sent: UInt64) = (0, 0)

        init(received: UInt64, sent: UInt64) { bytes = (received, sent) }

        init(_ flows: MeshTraffic.Flows?) {
            guard let flows else { return }
            bytes = (flows.received.bytes, flows.sent.bytes)
            rates = (flows.received.bytesPerSecond, flows.sent.bytesPerSecond)
        }

        var json: Value {
            .object([
                "TotalIn": .number(bytes.received), "TotalOut": .number(bytes.sent),
                "RateIn": .number(rates.received), "RateOut": .number(rates.sent),
            ])
        }
    }

    /// The figures of what a call asks about: a peer, a protocol, or everything.
    private func figures(_ name: String?, _ peer: PeerID?) async throws -> Figures {
        let traffic = node.mesh.traffic
        if let name {
            return Figures(traffic.byProtocol.first { $0.name.description == name }?.flows)
        }
        guard let peer else { return Figures(traffic.total) }
        let entry = try await node.mesh.peers().first { $0.peer == peer }
        let (received, sent) = Self.bytes(of: entry, node.mesh.bytesByConnection)
        return Figures(received: received, sent: sent)
    }

    /// What went over all connections to a peer.
    static func bytes(
        of peer: PeerSnapshot?, _ all: [UInt64: (received: UInt64, sent: UInt64)]
    ) -> (received: UInt64, sent: UInt64) {
        var sum = (received: UInt64(0), sent: UInt64(0))
        for connection in peer?.connections ?? [] {
            guard let bytes = all[connection.number] else { continue }
            sum.received += bytes.received
            sum.sent += bytes.sent
        }
        return sum
    }

    // MARK: Our own

    private func traffic() async throws -> Value {
        let traffic = node.mesh.traffic
        let bytes = node.mesh.bytesByConnection
        let peers = try await node.mesh.peers()
        return .object([
            "received": Self.entry(traffic.total.received),
            "sent": Self.entry(traffic.total.sent),
            "exchange": Self.entry(traffic.exchange), "other": Self.entry(traffic.other),
            "protocols": .list(
                traffic.byProtocol.filter { $0.flows.received.bytes + $0.flows.sent.bytes > 0 }
                    .map { entry in
                        .object([
                            "protocol": .string(ForeignText.printable(entry.name.utf8)),
                            "receivedBytes": .number(entry.flows.received.bytes),
                            "receivedPerSecond": .number(entry.flows.received.bytesPerSecond),
                            "sentBytes": .number(entry.flows.sent.bytes),
                            "sentPerSecond": .number(entry.flows.sent.bytesPerSecond),
                        ])
                    }),
            "peers": .list(
                peers.map { peer in
                    let (received, sent) = Self.bytes(of: peer, bytes)
                    return .object([
                        "peer": .string(peer.peer.description), "receivedBytes": .number(received),
                        "sentBytes": .number(sent),
                    ])
                }),
        ])
    }

    private static func entry(_ flow: MeshTraffic.Flow) -> Value {
        .object([
            "bytes": .number(flow.bytes), "bytesPerSecond": .number(flow.bytesPerSecond),
            "limit": flow.limit.map { .number($0) } ?? .null, "heldBack": .number(flow.heldBack),
        ])
    }

    private static func entry(_ flows: MeshTraffic.Flows) -> Value {
        .object(["received": entry(flows.received), "sent": entry(flows.sent)])
    }

    private func limits() async throws -> Value {
        let settings = node.mesh.settings
        let store = node.store.statistics()
        let knocks = node.mesh.admissionCounts
        var entries: [Value.Entry] = [
            .init("running", .bool(stop != nil)),
            .init("peer", .string(node.peer.description)),
            .init("profile", .string(settings.profile.rawValue)),
            .init("reach", .string(settings.reach.rawValue)),
            .init("addresses", .list(node.mesh.addresses.map { .string($0.description) })),
            .init("portMapping", Self.entry(node.mesh.portMapping)),
            .init(
                "store",
                .object([
                    "usedBytes": .number(store.usedBytes), "maxBytes": .number(store.maxBytes),
                ])),
        ]
        let calls = node.computation.figures
        let own = Self.gauges(calls)
        if let status = try await node.mesh.status() {
            let gauges = Self.gauges(status) + [memory]
            entries += [
                .init("peers", .number(status.peers)),
                .init("limits", .list(Self.ceilings(gauges, settings) + own)),
                .init("turnedAway", .number(knocks.overLimit + status.crowded)),
                .init("denied", .number(knocks.denied + status.denied)),
                .init("trimmed", .number(status.trimmed)),
                .init("violations", .number(status.violations)),
            ]
        } else {
            entries.append(.init("limits", .list(own)))
        }
        entries.append(.init("contracts", Self.entry(calls, node.configuration.compute)))
        let dhts = try await node.mesh.dhtStatus()
        entries.append(.init("dhts", .list(dhts.map(Self.entry))))
        if let announcing = node.mesh.announcingStatus {
            entries.append(.init("announcing", Self.entry(announcing)))
        }
        entries.append(.init("bandwidth", try await traffic()))
        return .map(entries)
    }

    private static func entry(_ status: PortMappingStatus) -> Value {
        var ports: [PortMapping] = []
        if case .mapped(let mappings) = status { ports = mappings }
        let finding = Finding.portMapping(status)
        return .object([
            "verdict": .string(finding.verdict.rawValue), "summary": .string(finding.summary),
            "ports": .list(
                ports.map { mapping in
                    let address = mapping.external.address.map { String($0) }
                    return .object([
                        "port": .number(UInt64(mapping.port)),
                        "externalAddress": .string(address.joined(separator: ".")),
                        "externalPort": .number(UInt64(mapping.external.port)),
                    ])
                }),
        ])
    }

    private static func entry(_ status: DHTStatus) -> Value {
        .object([
            "protocol": .string(status.name.description), "peers": .number(status.peers),
            "role": .string(status.isServer ? "server" : "client"),
        ])
    }

    private static func entry(_ status: AnnouncingStatus) -> Value {
        .object([
            "strategy": .string(status.strategy.rawValue), "keys": .number(status.keys),
            "waiting": .number(status.waiting), "announced": .number(status.announced),
            "lastSecondsAgo": status.last.map {
                .number($0.duration(to: .now).components.seconds)
            },
        ])
    }

    /// All ceilings: first those whose use is known.
    private static func ceilings(_ gauges: [Value], _ settings: Configuration.Mesh) -> [Value] {
        let limits = NodeLimits(settings)
        let known = Set(gauges.compactMap { $0["key"]?.text })
        return gauges
            + MeshCeiling.all.filter { !known.contains($0.key) }.map { ceiling in
                let name = ceiling.key.split(separator: ".").last ?? ""
                return .object([
                    "name": .string(String(name.replacing("-", with: " "))),
                    "key": .string(ceiling.key),
                    "limit": .number(ceiling.value(in: limits)),
                ])
            }
    }

    private var memory: Value {
        let held = node.mesh.heldMemory
        return .object([
            "name": .string("bytes held for peers"), "key": .string("mesh.memory"),
            "count": .number(held.bytes), "limit": .number(held.limit),
            "heldBack": .number(held.refused),
        ])
    }

    private static func gauges(_ calls: CallFigures) -> [Value] {
        [
            .object([
                "name": .string("memory of contracts"), "key": .string("compute.memory"),
                "count": .number(calls.memory.bytes), "limit": .number(calls.memory.limit),
                "heldBack": .number(calls.counts.endings[.memory] ?? 0),
            ]),
            .object([
                "name": .string("calls of peers"), "key": .string("compute.slots"),
                "count": .number(calls.peers.running), "limit": .number(calls.peers.limit),
                "heldBack": .number(calls.peers.heldBack),
            ]),
        ]
    }

    private static func entry(
        _ calls: CallFigures, _ settings: Configuration.Compute
    ) -> Value {
        let endings = CallEnding.allCases.map { ending in
            Value.Entry(ending.rawValue, .number(calls.counts.endings[ending] ?? 0))
        }
        return .object([
            "on": .bool(settings.contracts == .on), "running": .number(calls.running),
            "waiting": .number(calls.waiting), "remembered": .number(calls.remembered),
            "gas": .number(calls.counts.gas), "ended": .map(endings),
        ])
    }

    private static func gauges(_ status: NodeStatus) -> [Value] {
        [
            gauge("connections", "mesh.connections-max", status.connections),
            gauge("connections from others", "mesh.connections-in", status.inbound),
            gauge("connections to others", "mesh.connections-out", status.outbound),
            gauge("dials under way", "mesh.dials-max", status.dials),
            gauge("streams from others", "mesh.streams-max", status.acceptedStreams),
            gauge("known peers", "mesh.known-peers", status.knownPeers),
            gauge("subscriptions", "mesh.pubsub-subscriptions", status.subscriptions),
        ]
    }

    private static func gauge(_ name: String, _ key: String, _ gauge: Gauge) -> Value {
        .object([
            "name": .string(name), "key": .string(key), "count": .number(gauge.count),
            "limit": .number(gauge.limit), "heldBack": .number(gauge.refused),
        ])
    }
}
