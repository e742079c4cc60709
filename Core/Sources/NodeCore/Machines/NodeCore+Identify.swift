// Who peers are, and who we are.

import Exchange
import Multiformats
import Peering
import Wire

extension NodeCore {
    /// Has a peer asked who it is, when its turn comes.
    mutating func ask(_ peer: PeerID) {
        peers[peer]?.isToBeAsked = true
        peers[peer]?.isAsked = true
        queueIntroduction(to: peer)
    }

    private mutating func queueIntroduction(to peer: PeerID) {
        if !introductions.contains(peer) { introductions.append(peer) }
    }

    /// Begins as many introductions as the machine takes at a time.
    mutating func introduce() {
        var free = Identify.maxOutgoing - introductionCount
        while free > 0, !introductions.isEmpty {
            let peer = introductions.removeFirst()
            guard let known = peers[peer] else { continue }
            if known.isToBeAsked {
                peers[peer]?.isToBeAsked = false
                identify.identify(peer)
                free -= 1
            }
            if known.isToBeTold {
                if free > 0 {
                    peers[peer]?.isToBeTold = false
                    identify.push(to: peer)
                    free -= 1
                } else {
                    introductions.insert(peer, at: 0)
                }
            }
        }
    }

    mutating func tellEveryone() {
        for entry in connections.all {
            let peer = entry.facts.peer
            guard let known = peers[peer], !known.isToBeTold else { continue }
            guard known.isIdentified else {
                // It may have asked who we are just before this.
                peers[peer]?.hasMissedNews = true
                continue
            }
            tell(peer)
        }
    }

    /// Has a peer told who we are by now, if it listens to that.
    private mutating func tell(_ peer: PeerID) {
        guard peers[peer]?.protocols.contains(PeerProtocols.identifyPush) == true else { return }
        peers[peer]?.isToBeTold = true
        queueIntroduction(to: peer)
    }

    mutating func take(_ event: Identify.Event, now: Instant) {
        switch event {
        case .identified(let peer, let message):
            guard peers[peer] != nil else { return }
            peers[peer]?.isIdentified = true
            peers[peer]?.isAsked = false
            learn(message, of: peer, now: now)
            if peers[peer]?.hasMissedNews == true {
                peers[peer]?.hasMissedNews = false
                tell(peer)
            }
            outputs.append(.note(.identified(peer, agent: peers[peer]?.agent ?? [])))
            if let observed = message.observedAddress {
                outputs.append(.note(.observed(observed, by: peer)))
                self.observed(observed, by: peer, now: now)
            }
        case .changed(let peer, let message): learn(message, of: peer, now: now)
        case .failed(let peer, let fault):
            peers[peer]?.isAsked = false
            outputs.append(.note(.unidentified(peer, fault)))
        case .violation(let peer, let error):
            peers[peer]?.isAsked = false
            violated(peer, .identify(error), now: now)
        }
    }

    private mutating func learn(_ message: IdentifyMessage, of peer: PeerID, now: Instant) {
        guard peers[peer] != nil else { return }
        if !message.agentVersion.isEmpty {
            peers[peer]?.agent = Array(message.agentVersion.prefix(Acquaintance.agentBytes))
        }
        guard !message.protocols.isEmpty else { return }
        // Most peers speak what this node speaks: that is kept once for all of them.
        let (own, theirs) = (identify.own.protocols, message.protocols)
        peers[peer]?.protocols =
            theirs == own
            ? own
            : theirs.prefix(Acquaintance.protocolCount).map { name in
                own.first { $0 == name } ?? name
            }
        if !message.signedPeerRecord.isEmpty,
            message.protocols.contains(where: { PubSub.protocols.contains($0) })
        {
            peers[peer]?.record = message.signedPeerRecord
        }
        offerNeighbour(peer, now: now)
        noteServers(peer, now: now)
        noteSpeaker(peer, now: now)
        calls.note(peer, speaks: message.protocols, now: now)
        seekDirectWay(to: peer, now: now)
    }
}
