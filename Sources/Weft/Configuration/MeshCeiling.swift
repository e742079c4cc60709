// The ceilings of the mesh that a person may set one by one: what a profile says, with other
// numbers in single places.

import Exchange
public import NodeCore
import Peering

/// A set of ceilings for a kind of machine.
public enum MeshProfile: String, Sendable, CaseIterable {
    /// A computer behind a home router.
    case home
    /// A phone, a single-board computer, or a slow line.
    case lowpower
    /// A machine in a data centre.
    case server

    /// Its ceilings.
    public var limits: NodeLimits {
        switch self {
        case .home: .home
        case .lowpower: .lowpower
        case .server: .server
        }
    }
}

/// One ceiling of the mesh that a configuration may set.
public struct MeshCeiling: Sendable {
    /// The key in the configuration, such as `mesh.connections-max`.
    public let key: String
    /// What it bounds; one sentence.
    public let summary: String
    let range: ClosedRange<Int>
    /// Whether it is a number of bytes.
    let isSize: Bool
    /// Whether a running node takes a new value at once.
    let isLive: Bool
    let field: any WritableKeyPath<NodeLimits, Int> & Sendable

    private init(
        _ name: String, _ field: any WritableKeyPath<NodeLimits, Int> & Sendable,
        _ range: ClosedRange<Int>, isSize: Bool = false, isLive: Bool = true, _ summary: String
    ) {
        key = "mesh.\(name)"
        self.field = field
        self.range = range
        self.isSize = isSize
        self.isLive = isLive
        self.summary = summary
    }

    /// Its value among these ceilings.
    public func value(in limits: NodeLimits) -> Int { limits[keyPath: field] }

    /// All of them.
    public static let all: [MeshCeiling] = [
        MeshCeiling(
            "connections-low", \.connections.low, 0...1_000_000,
            "Down to how many connections the least useful are closed."),
        MeshCeiling(
            "connections-high", \.connections.high, 0...1_000_000,
            "From how many connections on the least useful are closed."),
        MeshCeiling(
            "connections-max", \.connections.ceiling, 0...1_000_000,
            "More connections than this there never are."),
        MeshCeiling(
            "connections-in", \.connections.inbound, 0...1_000_000,
            "The most connections that others have opened; 0 lets nobody in."),
        MeshCeiling(
            "connections-out", \.connections.outbound, 0...1_000_000,
            """
            The most connections that this node has opened or is opening; each takes an entry in \
            the router's table.
            """),
        MeshCeiling(
            "connections-per-peer", \.connections.perPeer, 1...64,
            "The most connections to one peer."),
        MeshCeiling(
            "connections-per-network", \.connections.perNetwork, 1...100_000,
            "The most connections from one public IPv4 address or IPv6 /56."),
        MeshCeiling(
            "dials-per-second", \.dialing.perSecond, 1...10_000,
            "The most attempts to connect that begin in a second."),
        MeshCeiling(
            "dials-max", \.dialing.simultaneous, 1...10_000,
            "The most attempts to connect that are under way at once."),
        MeshCeiling(
            "streams-max", \.streams.accepted, 1...1_000_000,
            "The most streams that peers have opened, over all of them."),
        MeshCeiling(
            "streams-per-peer", \.streams.acceptedPerPeer, 1...256,
            "The most streams that one peer has opened."),
        MeshCeiling(
            "memory", \.memory, 4 << 20...1 << 40, isSize: true,
            "The most bytes of peers' data that are held: received and not yet used, or queued."),
        MeshCeiling(
            "requests-per-second", \.blocks.server.requestsPerSecond, 1...1_000_000, isLive: false,
            "How many blocks one peer may ask for in a second, in the long run."),
        MeshCeiling(
            "known-peers", \.addresses.peers, 16...10_000_000, isLive: false,
            "The most peers whose addresses are remembered."),
        MeshCeiling(
            "pubsub-subscriptions", \.pubSub.subscriptions, 0...100_000,
            "The most subscriptions to topics that there are on this node."),
        MeshCeiling(
            "pubsub-topics", \.pubSub.machine.topics, 0...10_000,
            "The most topics that they are for."),
        MeshCeiling(
            "pubsub-message", \.pubSub.machine.messageBytes, 1 << 10...960 << 10, isSize: true,
            "The most data of a message that is published, received or passed on."),
        MeshCeiling(
            "pubsub-waiting", \.pubSub.waitingMessages, 1...1_000_000,
            "The most messages that wait for one subscriber; then the oldest are dropped."),
        MeshCeiling(
            "announced-keys", \.announcedKeys, 0...1_000_000_000,
            "The most keys of its content that the node announces."),
    ]
}

extension NodeLimits {
    /// These ceilings with the values of single keys in their place, and none above the one that
    /// stands over it.
    func overridden(by values: [String: Int]) -> NodeLimits {
        var limits = self
        for ceiling in MeshCeiling.all {
            if let value = values[ceiling.key] { limits[keyPath: ceiling.field] = value }
        }
        limits.connections.high = min(limits.connections.high, limits.connections.ceiling)
        limits.connections.low = min(limits.connections.low, limits.connections.high)
        limits.connections.inbound = min(limits.connections.inbound, limits.connections.ceiling)
        limits.connections.outbound = min(limits.connections.outbound, limits.connections.ceiling)
        return limits
    }
}
