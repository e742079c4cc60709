// Reaching hosts behind routers: circuits, holes, and dials back.

import Exchange
import Multiformats
import NodeCore
import Peering
import Wire

extension VirtualNetwork {
    /// How long both sides of a hole may be apart.
    private static let punchTime: Duration = .seconds(1)

    mutating func carryOut(_ order: ReachabilityOrder, by host: Int) {
        switch order {
        case .dialBack(let number, let peer, let addresses, let nonce):
            dialBack(from: host, number, peer, addresses, nonce)
        case .upgrade(let upgrade): self.upgrade(upgrade, of: host)
        case .punch(let attempt, let peer, let address, _, _):
            hosts[host].running.insert(attempt)
            punching[host] = (attempt, address, now)
            events.add(
                .punched(from: host, attempt: attempt, peer, address),
                at: now + .milliseconds(200))
        case .addresses(let addresses): hosts[host].told = addresses
        case .associate(let number, _):
            // There are no browsers here.
            events.add(.input(host, .association(number, .failed)), at: now)
        case .candidate, .endAssociation: break
        }
    }

    /// Both ends of a circuit become a line of their own when both have been told.
    private mutating func upgrade(_ upgrade: CircuitUpgrade, of host: Int) {
        guard let far = hostOf[upgrade.peer] else { return }
        guard let other = circuits.removeValue(forKey: [far, host]) else {
            circuits[[host, far]] = upgrade
            return
        }
        if upgrade.attempt != nil {
            link(
                host, far, attempt: upgrade.attempt,
                over: (upgrade.address, other.address, upgrade.route))
        } else {
            link(
                far, host, attempt: other.attempt,
                over: (other.address, upgrade.address, upgrade.route))
        }
    }

    /// A hole is there when both have dialled each other at about the same time.
    mutating func punched(
        from host: Int, _ attempt: UInt64, _ peer: PeerID, _ address: Multiaddr
    ) {
        guard hosts[host].running.remove(attempt) != nil, let mine = punching[host],
            mine.attempt == attempt
        else { return }
        punching[host] = nil
        guard let far = hostOf[peer], let theirs = punching[far], isPunchable,
            theirs.address == hosts[host].address, hosts[far].address == address,
            max(theirs.at, mine.at).since(min(theirs.at, mine.at)) < Self.punchTime
        else {
            inject(host, .dialFailed(attempt: attempt, .timedOut))
            return
        }
        punching[far] = nil
        hosts[far].running.remove(theirs.attempt)
        link(host, far, attempt: attempt)
    }

    private mutating func dialBack(
        from host: Int, _ number: UInt64, _ peer: PeerID, _ addresses: [Multiaddr],
        _ nonce: UInt64?
    ) {
        guard let far = hostOf[peer], let address = addresses.first, let nonce,
            hosts[far].address == address, !hosts[far].isBehindNAT, hosts[far].door == .open
        else {
            events.add(.input(host, .dialedBack(number, .unreachable)), at: now + .seconds(2))
            return
        }
        let line = knock(far, as: id(host), from: hosts[host].address)
        let stream = StreamID(connection: line, stream: 1)
        inject(far, .stream(.accepted(stream, id(host), PeerProtocols.autoNATv2DialBack)))
        inject(far, .stream(.message(stream, AutoNATMessage.dialBack(nonce: nonce))))
        breakLine(of: line)
        events.add(
            .input(host, .dialedBack(number, .reached(address))), at: now + .milliseconds(100))
    }
}
