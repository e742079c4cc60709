// From relayed connections to direct ones: who was reached through a relay dials back, and if that
// fails both dial each other at the same moment (DCUtR).

import Exchange
import Multiformats
import Peering
import Wire

extension NodeCore {
    /// How long streams that need a direct connection wait for one after a relayed one is there.
    static let upgradePatience: Duration = .seconds(30)
    /// How long a dial takes that punches a hole.
    static let punchTimeout: Duration = .seconds(8)
    /// How long after a direct connection the relayed one is closed, when nothing is on it.
    static let replacedGrace: Duration = .seconds(2)

    /// A connection is there.
    mutating func noteRoute(_ facts: ConnectionFacts, now: Instant) {
        let isDirect = { (entry: ConnectionTable.Entry) in !entry.facts.remoteAddress.isRelayed }
        let all = connections.connections(to: facts.peer)
        if !facts.remoteAddress.isRelayed {
            reaching.hopes.removeAll { $0.peer == facts.peer }
            reaching.reversing.remove(facts.peer)
            reaching.dcutr.dialed(facts.peer, .connected, now: now)
            associated(with: facts.peer)
            if !all.allSatisfy(isDirect) { look(at: now + Self.replacedGrace) }
        } else if !all.contains(where: isDirect), !mayBecomeDirect(facts.peer) {
            reaching.hopes.append((facts.peer, now + Self.upgradePatience))
            look(at: now + Self.upgradePatience)
        }
    }

    /// Whether a direct connection to a peer may still come of a relayed one.
    func mayBecomeDirect(_ peer: PeerID) -> Bool {
        reaching.hopes.contains { $0.peer == peer }
    }

    /// Whoever waits for a direct connection waits in vain.
    mutating func abandonHope(of peer: PeerID, now: Instant) {
        reaching.hopes.removeAll { $0.peer == peer }
        if dialling[peer] == nil { failWaiters(for: peer, .unreachable([]), now: now) }
    }

    /// A peer said what it speaks. If it reached us through a relay, it is up to us to find a
    /// direct way: first by an ordinary dial to where it says it is.
    mutating func seekDirectWay(to peer: PeerID, now: Instant) {
        let all = connections.connections(to: peer)
        guard !all.isEmpty, all.allSatisfy({ $0.facts.remoteAddress.isRelayed }),
            all.contains(where: { $0.facts.direction == .inbound }),
            peers[peer]?.protocols.contains(PeerProtocols.dcutr) == true,
            reaching.tried.insert(peer).inserted
        else { return }
        let open = addresses.addresses(of: peer, now: now).filter {
            !$0.isRelayed && $0.scope == .world && access.admits($0)
        }
        guard !open.isEmpty, dialling[peer] == nil, hasRoom(toDial: peer, now: now) else {
            reaching.dcutr.upgrade(peer, now: now)
            return
        }
        reaching.reversing.insert(peer)
        dialling[peer] = []
        dialer.dial(peer, by: open, now: now)
    }

    /// An ordinary dial failed.
    mutating func dialedInVain(_ peer: PeerID, now: Instant) {
        guard reaching.reversing.remove(peer) != nil else { return }
        reaching.dcutr.upgrade(peer, now: now)
    }

    mutating func take(_ event: DCUtR.Event, now: Instant) {
        switch event {
        case .dial(let peer, let addresses, let role):
            let admitted = addresses.filter { access.admits($0) }
            guard !admitted.isEmpty, access.admits(peer), hasRoom(toDial: peer, now: now) else {
                reaching.dcutr.dialed(peer, .failed, now: now)
                return
            }
            for address in admitted.prefix(OwnAddresses.maxPunched) {
                // Numbers that the dialer never comes to.
                let number = makeNumber() | 1 << 63
                reaching.punches[number] = peer
                tallies.dialled += 1
                timers.add(.attempt(number), at: now + Self.punchTimeout + Self.attemptGrace)
                outputs.append(
                    .reach(
                        .punch(
                            attempt: number, peer, address, role, timeout: Self.punchTimeout)))
            }
        case .upgraded(let peer):
            reaching.holesPunched += 1
            abandonPunches(to: peer)
            outputs.append(.note(.upgraded(peer)))
        case .failed(let peer):
            abandonPunches(to: peer)
            guard connections.best(to: peer, limited: .refused) == nil else { return }
            reaching.holesFailed += 1
            outputs.append(.note(.notUpgraded(peer)))
            abandonHope(of: peer, now: now)
        }
    }

    /// A dial of a punch is over. Returns whether it was one.
    mutating func punched(_ number: UInt64, _ outcome: DCUtR.Outcome, now: Instant) -> Bool {
        guard let peer = reaching.punches.removeValue(forKey: number) else { return false }
        if outcome == .failed {
            tallies.dialFailures += 1
            guard !reaching.punches.values.contains(peer) else { return true }
            reaching.dcutr.dialed(peer, .failed, now: now)
        }
        return true
    }

    private mutating func abandonPunches(to peer: PeerID) {
        let open = reaching.punches.filter { $0.value == peer }.map { $0.key }
        for number in open.sorted() {
            reaching.punches[number] = nil
            outputs.append(.abandon(attempt: number))
        }
    }

    /// Closes relayed connections that direct ones have replaced.
    mutating func closeReplaced(now: Instant) {
        for entry in connections.all
        where entry.facts.remoteAddress.isRelayed && entry.streams == 0 {
            guard
                connections.connections(to: entry.facts.peer).contains(where: {
                    !$0.facts.remoteAddress.isRelayed
                        && now.since($0.opened) >= Self.replacedGrace
                })
            else { continue }
            close(entry.number, .trimmed, now: now)
        }
    }
}
