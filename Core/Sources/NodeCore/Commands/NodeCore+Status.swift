// What the node shows of itself.

import Multiformats
import Peering
import Wire

extension NodeCore {
    var status: NodeStatus {
        let ceilings = limits.connections
        return NodeStatus(
            connections: Gauge(
                count: connections.count, limit: ceilings.ceiling, refused: tallies.overTotal),
            inbound: Gauge(
                count: connections.inbound, limit: ceilings.inbound,
                refused: tallies.overInbound),
            outbound: Gauge(
                count: connections.outbound, limit: ceilings.outbound,
                refused: tallies.overOutbound),
            dials: Gauge(
                count: attempts.count, limit: limits.dialing.simultaneous,
                refused: tallies.dialsHeldBack),
            acceptedStreams: Gauge(
                count: streams.accepted, limit: limits.streams.accepted,
                refused: tallies.streamsRefused),
            openingStreams: Gauge(
                count: requests.count, limit: limits.streams.opening,
                refused: tallies.openingsRefused),
            commands: Gauge(
                count: pending.count, limit: limits.commands, refused: tallies.commandsRefused),
            knownPeers: Gauge(count: addresses.count, limit: limits.addresses.peers, refused: 0),
            subscriptions: Gauge(
                count: pubSub.subscriptions.count, limit: limits.pubSub.subscriptions,
                refused: tallies.subscriptionsRefused),
            peers: connections.peerCount, crowded: tallies.crowded, denied: tallies.denied,
            trimmed: tallies.trimmed, dialled: tallies.dialled,
            dialFailures: tallies.dialFailures, violations: tallies.violations)
    }

    /// The connected peers, the one that has been connected for longest first.
    func snapshot(now: Instant) -> [PeerSnapshot] {
        var order: [PeerID] = []
        var seen: Set<PeerID> = []
        for entry in connections.all where seen.insert(entry.facts.peer).inserted {
            order.append(entry.facts.peer)
        }
        return order.map { peer in
            let known = peers[peer] ?? Acquaintance()
            let lines = connections.connections(to: peer).map {
                PeerSnapshot.Connection(
                    number: $0.number, facts: $0.facts, age: now.since($0.opened),
                    streams: $0.streams)
            }
            return PeerSnapshot(
                peer: peer, connections: lines, agent: known.agent, protocols: known.protocols,
                roundTrip: known.roundTrip, recordSequence: addresses.recordSequence(of: peer),
                isProtected: protected.contains(peer))
        }
    }
}
