// Reaching peers that are not connected, within the ceilings.

import Exchange
import Multiformats
import Peering
import Wire

extension NodeCore {
    /// How much longer than its timeout an attempt is waited for.
    static let attemptGrace: Duration = .seconds(2)

    /// An address that is being dialled.
    struct DialTarget: Sendable {
        let peer: PeerID
        let address: Multiaddr
    }

    /// Who waits for a connection.
    enum Waiter: Hashable, Sendable {
        case request(UInt64)
        case command(UInt64)
    }

    /// Dials a peer that somebody waits for, unless that is being done.
    mutating func reach(_ peer: PeerID, now: Instant) {
        guard dialling[peer] == nil else { return }
        dial(peer, vouched: [], now: now)
    }

    /// Dials a peer by all addresses that are known, some of which a person may have named.
    mutating func dial(_ peer: PeerID, vouched: [Multiaddr], now: Instant) {
        guard hasRoom(toDial: peer, now: now) else {
            tallies.dialsHeldBack += 1
            failWaiters(for: peer, .overLimit, now: now)
            return
        }
        let usable = addresses.addresses(of: peer, now: now).filter { access.admits($0) }
        dialling[peer] = vouched
        let urgency: Dialer.Urgency =
            exchange.misses(peer) ? .missed : vouched.isEmpty ? .usual : .asked
        dialer.dial(peer, by: usable, for: urgency, now: now)
    }

    /// Every dial may become a connection, so it takes the place of one.
    mutating func hasRoom(toDial peer: PeerID, now: Instant) -> Bool {
        guard dialling.count < limits.dialing.waiting else { return false }
        var before: Int
        repeat {
            before = connections.count
            if makeRoom(for: .outbound, peer, dials: dialling.count, now: now) == nil {
                return true
            }
        } while connections.count < before
        return false
    }

    /// A neighbour is there. Its word does not lead to this machine's own sockets.
    mutating func meet(_ peer: PeerID, at named: [Multiaddr], now: Instant) {
        guard peer != self.peer, access.admits(peer) else { return }
        addresses.add(
            named, of: peer, from: .neighbour, over: .link, for: AddressBook.Lifetime.told,
            now: now)
        guard !connections.isConnected(to: peer),
            connections.count < limits.connections.high
        else { return }
        reach(peer, now: now)
    }

    mutating func carryOut(_ order: Dialer.Order, now: Instant) {
        switch order {
        case .attempt(let number, let peer, let address, let timeout):
            tallies.dialled += 1
            attempts[number] = DialTarget(peer: peer, address: address)
            timers.add(.attempt(number), at: now + timeout + Self.attemptGrace)
            guard !address.isRelayed else {
                dialRelayed(number, peer, address, now: now)
                return
            }
            let isVouched = dialling[peer]?.contains(address) ?? false
            outputs.append(
                .dial(
                    attempt: number, peer, address, timeout: timeout,
                    narrowest: isVouched ? .host : address.scope))
        case .abandon(let number):
            guard attempts.removeValue(forKey: number) != nil else { return }
            abandonRelayed(number)
            outputs.append(.abandon(attempt: number))
        }
    }

    mutating func dialFailed(_ number: UInt64, _ failure: DialFailure, now: Instant) {
        if punched(number, .failed, now: now) { return }
        guard attempts.removeValue(forKey: number) != nil else { return }
        tallies.dialFailures += 1
        dialer.failed(number, failure, now: now)
    }

    /// An attempt was not answered, whatever the driver promised.
    mutating func expire(attempt number: UInt64, now: Instant) {
        guard attempts[number] != nil || reaching.punches[number] != nil else { return }
        abandonRelayed(number)
        outputs.append(.abandon(attempt: number))
        dialFailed(number, .timedOut, now: now)
    }

    mutating func take(_ event: Dialer.Event, now: Instant) {
        switch event {
        case .connected(let peer, _): dialling[peer] = nil
        case .failed(let peer, let error):
            dialling[peer] = nil
            outputs.append(.note(.dialFailed(peer, error)))
            failWaiters(for: peer, Self.failure(of: error), now: now)
            dialedInVain(peer, now: now)
        }
    }

    private static func failure(of error: DialError) -> Failure {
        switch error {
        case .noAddress: .noAddress
        case .overLimit: .overLimit
        case .failed(let attempts): .unreachable(attempts)
        }
    }

    mutating func cancelDial(_ peer: PeerID, now: Instant) {
        dialling[peer] = nil
        reaching.reversing.remove(peer)
        dialer.cancel(peer, now: now)
    }

    // MARK: Waiting

    /// A connection is there; whoever it suits goes on.
    mutating func flush(_ peer: PeerID, now: Instant) {
        for waiter in waiting[peer] ?? [] {
            switch waiter {
            case .request(let number):
                guard place(number, now: now) else { continue }
            case .command(let id): proceed(id, now: now)
            }
            waiting[peer]?.removeAll { $0 == waiter }
        }
        if dialling[peer] == nil, waiting[peer]?.isEmpty == false, !mayBecomeDirect(peer) {
            failWaiters(for: peer, .unreachable([]), now: now)
        }
        stopWaiting(for: peer, now: now)
    }

    /// Nobody may be waiting any more; then nobody need be dialled.
    mutating func stopWaiting(for peer: PeerID, now: Instant) {
        guard waiting[peer]?.isEmpty ?? true else { return }
        waiting[peer] = nil
        guard dialling[peer] != nil, !reaching.reversing.contains(peer) else { return }
        let open = connections.connections(to: peer)
        guard !open.isEmpty, open.allSatisfy({ $0.facts.direction == .inbound }) else {
            cancelDial(peer, now: now)
            return
        }
        // Both dialled at once. If each gave up its own attempt because of the other's, which the
        // other gives up as well, both would be left with nothing.
        dialer.settle(peer)
        if !dialer.isDialling(peer) { dialling[peer] = nil }
    }

    mutating func failWaiters(for peer: PeerID, _ failure: Failure, now: Instant) {
        for waiter in waiting.removeValue(forKey: peer) ?? [] {
            switch waiter {
            case .request(let number): refuse(number, Self.fault(of: failure), now: now)
            case .command(let id): answer(id, .failed(failure))
            }
        }
    }

    private static func fault(of failure: Failure) -> StreamFault {
        switch failure {
        case .denied, .ourselves: .denied
        case .overLimit: .overLimit
        case .timedOut: .timedOut
        default: .unreachable
        }
    }
}
