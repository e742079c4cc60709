// Pages reach a node behind a router over WebRTC: over a connection through a relay they offer an
// association, and both sides look for each other at the same time (github.com/libp2p/specs,
// webrtc/webrtc.md). The sockets, and what is described of them, are the driver's.

import Multiformats
import Peering
import Wire

extension NodeCore {
    /// How many peers are asked where this node is seen from outside, for each association.
    static let addressServers = 3
    /// How many associations are made at a time that pages offer through one relay.
    static let associationsPerRelay = 8

    mutating func take(_ event: Signaling.Event, now: Instant) {
        switch event {
        case .offered(let number, let peer, let description):
            guard let (offer, relay) = offer(of: peer, description, now: now),
                reaching.associations.values.count(where: { $0.relay == relay })
                    < Self.associationsPerRelay
            else { return reaching.signaling.giveUp(number) }
            reaching.associations[number] = (peer, relay)
            outputs.append(.reach(.associate(number, offer)))
        case .candidate(let number, let text):
            outputs.append(.reach(.candidate(number, text)))
        case .failed(let number, _):
            guard reaching.associations.removeValue(forKey: number) != nil else { return }
            outputs.append(.reach(.endAssociation(number)))
        // This node offers none.
        case .wanted(let number), .answered(let number, _): reaching.signaling.giveUp(number)
        }
    }

    /// What the driver has to know of an offer; nil if it is not taken: pages that are here already
    /// need no other way.
    private func offer(
        of page: PeerID, _ description: [UInt8], now: Instant
    ) -> (AssociationOffer, relay: PeerID)? {
        let all = connections.connections(to: page).map { $0.facts.remoteAddress }
        guard let way = all.first(where: { $0.isRelayed }), all.allSatisfy({ $0.isRelayed }),
            let relay = way.relayed?.relay
        else { return nil }
        // Pages that come by a relay which everybody reaches may be anywhere: they are told of no
        // inner address, and send this node to none. Through another they come from within.
        let isOpen = addresses.addresses(of: relay, now: now).contains {
            $0.scope == .world && !$0.isRelayed
        }
        let scope = isOpen ? .world : way.scope
        let own = (reaching.own.listening + reaching.own.mapped).filter {
            $0.isForBrowsers && $0.scope >= scope
        }
        var servers: [Multiaddr] = []
        // Who came by itself may want to have its word told to others.
        let others = connections.all.filter { $0.facts.direction == .outbound }.map {
            $0.facts.peer
        }
        for peer in [relay] + others where servers.count < Self.addressServers {
            let found = addresses.addresses(of: peer, now: now).first {
                $0.isForBrowsers && $0.scope >= scope && access.admits($0)
            }
            if let found, !servers.contains(found) { servers.append(found) }
        }
        let offer = AssociationOffer(
            peer: page, description: description, addresses: own, servers: servers,
            narrowest: scope)
        return (offer, relay)
    }

    mutating func told(_ step: AssociationStep, of number: UInt64) {
        switch step {
        case .answer(let description): reaching.signaling.answer(number, description)
        case .candidate(let text): reaching.signaling.tell(number, text)
        case .failed:
            reaching.associations[number] = nil
            reaching.signaling.giveUp(number)
        }
    }

    /// A page is there: nothing more is to be said about how.
    mutating func associated(with page: PeerID) {
        for number in reaching.associations.keys.sorted()
        where reaching.associations[number]?.page == page {
            reaching.associations[number] = nil
            reaching.signaling.connected(number)
            outputs.append(.reach(.endAssociation(number)))
        }
    }
}
