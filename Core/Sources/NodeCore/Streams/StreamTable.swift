// Which machine each stream belongs to.

import Compute
import Exchange
import Multiformats
import Peering
import Wire

/// The machines that speak on streams. A protocol belongs to exactly one.
enum Service: Hashable, Sendable {
    case identify
    case ping
    case exchange
    /// The DHT at this place in the node's list.
    case kad(Int)
    /// Whether we can be reached.
    case autoNATClient
    /// Whether others can.
    case autoNATServer
    case relayClient
    case relayServer
    case dcutr
    /// A connection of its own, which is the driver's.
    case circuit
    case pubSub
    case keyFetch
    /// Where pages meet.
    case meeting
    /// Where pages agree on connections to this node that no router lets in by itself.
    case signaling
    /// Has peers run calls.
    case caller
    /// Runs calls for peers.
    case callServer

    /// The protocols that every node accepts.
    static let protocols: [ProtocolName] =
        [PeerProtocols.identify, PeerProtocols.identifyPush, PeerProtocols.ping]
        + [WeftLimits.protocolName] + BitswapVersion.protocolNames
        + [
            PeerProtocols.autoNATv1, PeerProtocols.autoNATv2Request,
            PeerProtocols.autoNATv2DialBack, PeerProtocols.relayStop, PeerProtocols.dcutr,
            PeerProtocols.fetch, PeerProtocols.meeting, PeerProtocols.signaling,
        ]

    init?(_ name: ProtocolName) {
        switch name {
        case PeerProtocols.identify, PeerProtocols.identifyPush: self = .identify
        case PeerProtocols.ping: self = .ping
        case PeerProtocols.autoNATv1, PeerProtocols.autoNATv2Request: self = .autoNATServer
        case PeerProtocols.autoNATv2DialBack: self = .autoNATClient
        case PeerProtocols.relayHop: self = .relayServer
        case PeerProtocols.relayStop: self = .relayClient
        case PeerProtocols.dcutr: self = .dcutr
        case PeerProtocols.fetch: self = .keyFetch
        case PeerProtocols.meeting: self = .meeting
        case PeerProtocols.signaling: self = .signaling
        case CallProtocol.name: self = .callServer
        case _ where PubSub.protocols.contains(name): self = .pubSub
        default:
            guard name == WeftLimits.protocolName || BitswapVersion(name) != nil else {
                return nil
            }
            self = .exchange
        }
    }

    /// Whether a stream of it is worth dialling for.
    var dials: Bool {
        switch self {
        case .ping, .exchange, .kad, .relayClient, .caller: true
        case .identify, .autoNATClient, .autoNATServer, .relayServer, .dcutr, .circuit,
            .pubSub, .keyFetch, .meeting, .signaling, .callServer:
            false
        }
    }

    /// Whether it may go over a connection that a relay limits; the exchange has a setting of its
    /// own.
    var limitedUse: LimitedUse {
        switch self {
        case .identify, .ping, .dcutr, .circuit, .keyFetch: .allowed
        case .exchange, .kad, .autoNATClient, .autoNATServer, .relayClient, .relayServer, .pubSub,
            .meeting, .signaling, .caller, .callServer:
            .refused
        }
    }
}

/// The streams of a node. It is bounded by the ceilings that are checked before anything is added.
struct StreamTable: Sendable {
    enum Origin: Sendable {
        case ours
        case theirs
    }

    struct Entry: Sendable {
        var service: Service
        let peer: PeerID
        let origin: Origin
        var isFinishedHere = false
        var isFinishedThere = false
    }

    private var entries: [StreamID: Entry] = [:]
    private var byConnection: [UInt64: Set<UInt32>] = [:]
    private var acceptedCounts: [PeerID: Int] = [:]
    /// How many streams peers opened.
    private(set) var accepted = 0

    var count: Int { entries.count }

    subscript(stream: StreamID) -> Entry? { entries[stream] }

    /// How many streams a peer opened.
    func accepted(from peer: PeerID) -> Int { acceptedCounts[peer] ?? 0 }

    /// The streams on a connection, in their order.
    func streams(on connection: UInt64) -> [StreamID] {
        (byConnection[connection] ?? []).sorted().map {
            StreamID(connection: connection, stream: $0)
        }
    }

    /// The streams of a machine, in their order.
    func streams(of service: Service) -> [StreamID] {
        entries.filter { $0.value.service == service }.map { $0.key }.sorted {
            ($0.connection, $0.stream) < ($1.connection, $1.stream)
        }
    }

    mutating func add(_ stream: StreamID, _ entry: Entry) {
        entries[stream] = entry
        byConnection[stream.connection, default: []].insert(stream.stream)
        guard entry.origin == .theirs else { return }
        accepted += 1
        acceptedCounts[entry.peer, default: 0] += 1
    }

    /// A stream is another machine's from now on.
    mutating func handOver(_ stream: StreamID, to service: Service) {
        entries[stream]?.service = service
    }

    mutating func remove(_ stream: StreamID) -> Entry? {
        guard let entry = entries.removeValue(forKey: stream) else { return nil }
        byConnection[stream.connection]?.remove(stream.stream)
        if byConnection[stream.connection]?.isEmpty == true {
            byConnection[stream.connection] = nil
        }
        if entry.origin == .theirs {
            accepted -= 1
            let rest = accepted(from: entry.peer) - 1
            acceptedCounts[entry.peer] = rest > 0 ? rest : nil
        }
        return entry
    }

    /// One direction ended. Returns whether the other had ended before.
    mutating func finishHere(_ stream: StreamID) -> Bool {
        entries[stream]?.isFinishedHere = true
        return entries[stream]?.isFinishedThere == true
    }

    mutating func finishThere(_ stream: StreamID) -> Bool {
        entries[stream]?.isFinishedThere = true
        return entries[stream]?.isFinishedHere == true
    }
}
