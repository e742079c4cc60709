// Commands: each gets exactly one answer, before its deadline.

import Compute
import Exchange
import Multiformats
import Peering
import Wire

extension NodeCore {
    /// A command that waits for somebody else.
    enum Pending: Sendable {
        case connect(PeerID)
        case ping(PeerID)
        case search
        case record(PeerID)
        case call

        var peer: PeerID? {
            switch self {
            case .connect(let peer), .ping(let peer), .record(let peer): peer
            case .search, .call: nil
            }
        }
    }

    mutating func receive(
        _ command: Command, id: UInt64, deadline: Instant, now: Instant
    ) {
        switch command {
        case .connect(let peer, let named):
            guard let answered = begin(id, .connect(peer), deadline: deadline) else {
                connect(id, to: peer, by: named, now: now)
                return
            }
            outputs.append(.answer(id, answered))
        case .ping(let peer):
            guard let answered = begin(id, .ping(peer), deadline: deadline) else {
                if connections.isConnected(to: peer) {
                    proceed(id, now: now)
                } else {
                    wait(id, for: peer)
                    reach(peer, now: now)
                }
                return
            }
            outputs.append(.answer(id, answered))
        case .fetchRecord(let peer, let name):
            guard let answered = begin(id, .record(peer), deadline: deadline) else {
                ask(peer, for: name, by: id)
                return
            }
            outputs.append(.answer(id, answered))
        case .findProviders, .findPeer, .findClosest, .provide, .getValue, .putValue:
            guard !dhts.isEmpty else {
                outputs.append(.answer(id, .failed(.unavailable)))
                return
            }
            guard let answered = begin(id, .search, deadline: deadline) else {
                search(command, for: id, now: now)
                return
            }
            outputs.append(.answer(id, answered))
        case .call(let command):
            guard case .fetch = command, calls.machine != nil else {
                outputs.append(.answer(id, carryOut(command, now: now)))
                return
            }
            guard let answered = begin(id, .call, deadline: deadline) else {
                call(command, by: id, now: now)
                return
            }
            outputs.append(.answer(id, answered))
        case .cancel(let other):
            if pending[other] != nil { abandon(other, .cancelled, now: now) }
            outputs.append(.answer(id, .done))
        default: outputs.append(.answer(id, carryOut(command, now: now)))
        }
    }

    /// Commands that are answered at once.
    private mutating func carryOut(_ command: Command, now: Instant) -> Answer {
        switch command {
        case .meet(let peer, let named): meet(peer, at: named, now: now)
        case .disconnect(let peer): return disconnect(peer, now: now)
        case .peers: return .peers(snapshot(now: now))
        case .addresses(let peer): return .addresses(addresses.addresses(of: peer, now: now))
        case .status: return .status(status)
        case .listen(let own, let sequence): listen(own, sequence: sequence, now: now)
        case .map(let addresses): mapped(addresses, now: now)
        case .reachability: return .reachability(reachabilityStatus)
        case .openSession(let patience):
            return .session(openSession(patience: patience, now: now))
        case .stream(let session, let dag, let room):
            guard exchange.stream(dag, room: room, in: session, now: now) else {
                return .failed(.overLimit)
            }
        case .want(let session, let wants):
            return .accepted(want(wants, in: session, now: now))
        case .unwant(let session, let cids):
            for cid in cids { exchange.unwant(cid, in: session, now: now) }
        case .endStream(let session): exchange.endStream(in: session, now: now)
        case .grant(let session, let bytes): exchange.grant(bytes, in: session, now: now)
        case .closeSession(let session):
            sessions.removeAll { $0 == session }
            closeSearches(of: session)
            exchange.closeSession(session, now: now)
        case .tally(let session): return .tally(exchange.tally(of: session))
        case .join(let named): join(named, now: now)
        case .dhts: return .dhts(dhtStatus(now: now))
        case .servers(let limit): return .servers(servers(limit: limit, now: now))
        case .serve(let mode): serve(mode)
        case .sweep(let name, let position, let cycle):
            sweep(name, from: position, cycle: cycle, now: now)
        case .sweeps: return .sweeps(sweepPositions(now: now))
        case .protect(let peer): protected.insert(peer)
        case .unprotect(let peer): protected.remove(peer)
        case .setLimits(let new): setLimits(new, now: now)
        case .setAccess(let new): setAccess(new, now: now)
        case .pubSub(let command): return carryOut(command, now: now)
        case .connect, .ping, .cancel, .fetchRecord, .findProviders, .findPeer, .findClosest,
            .provide, .getValue, .putValue, .call:
            break
        }
        return .done
    }

    /// Enters a command that will be answered later; returns the answer if it is refused.
    private mutating func begin(
        _ id: UInt64, _ command: Pending, deadline: Instant
    ) -> Answer? {
        precondition(pending[id] == nil, "a command has a number of its own")
        if let other = command.peer {
            if other == peer { return .failed(.ourselves) }
            guard access.admits(other) else { return .failed(.denied) }
        }
        guard pending.count < limits.commands else {
            tallies.commandsRefused += 1
            return .failed(.overLimit)
        }
        pending[id] = command
        timers.add(.command(id), at: deadline)
        return nil
    }

    private mutating func connect(
        _ id: UInt64, to peer: PeerID, by named: [Multiaddr], now: Instant
    ) {
        addresses.add(
            named, of: peer, from: .person, over: .host, for: AddressBook.Lifetime.itself,
            now: now)
        // A direct way may be what the person named it for.
        let enough: LimitedUse = named.contains { !$0.isRelayed } ? .refused : .allowed
        if connections.best(to: peer, limited: enough) != nil {
            proceed(id, now: now)
            return
        }
        wait(id, for: peer)
        guard !named.isEmpty else {
            reach(peer, now: now)
            return
        }
        // Dialled anew, so that these addresses are among those that are tried.
        if dialling[peer] != nil { cancelDial(peer, now: now) }
        dial(peer, vouched: named.compactMap { $0.bare(of: peer) }, now: now)
    }

    private mutating func wait(_ id: UInt64, for peer: PeerID) {
        waiting[peer, default: []].append(.command(id))
    }

    /// There is a connection for a command that waited for one.
    mutating func proceed(_ id: UInt64, now: Instant) {
        switch pending[id] {
        case .connect(let peer):
            guard let entry = connections.best(to: peer, limited: .allowed) else { return }
            answer(id, .connected(peer, entry.facts.remoteAddress))
        case .ping(let peer): pings[ping.ping(peer, now: now)] = id
        case .search, .record, .call, nil: break
        }
    }

    mutating func take(_ event: Ping.Event) {
        switch event {
        case .answered(let number, let peer, let time):
            peers[peer]?.roundTrip = time
            calls.machine?.setRoundTrip(time, of: peer)
            if let id = pings.removeValue(forKey: number) { answer(id, .roundTrip(time)) }
        case .failed(let number, _, let fault):
            guard let id = pings.removeValue(forKey: number) else { return }
            answer(id, .failed(fault == .timedOut ? .timedOut : .refused(fault)))
        }
    }

    /// Answers a command that is still waiting.
    mutating func answer(_ id: UInt64, _ answer: Answer) {
        guard pending.removeValue(forKey: id) != nil else { return }
        outputs.append(.answer(id, answer))
    }

    mutating func expire(command id: UInt64, now: Instant) {
        if pending[id] != nil { abandon(id, .timedOut, now: now) }
    }

    private mutating func abandon(_ id: UInt64, _ failure: Failure, now: Instant) {
        guard let command = pending[id] else { return }
        answer(id, .failed(failure))
        guard let peer = command.peer else {
            if case .call = command { cancelCall(of: id, now: now) } else { stopSearch(for: id) }
            return
        }
        if case .record = command { dropQuestion(of: id) }
        if let number = pings.first(where: { $0.value == id })?.key { pings[number] = nil }
        guard waiting[peer] != nil else { return }
        waiting[peer]?.removeAll { $0 == .command(id) }
        stopWaiting(for: peer, now: now)
    }

    private mutating func disconnect(_ peer: PeerID, now: Instant) -> Answer {
        let isDialled = dialling[peer] != nil
        guard isDialled || connections.isConnected(to: peer) else {
            return .failed(.notConnected)
        }
        if isDialled {
            cancelDial(peer, now: now)
            failWaiters(for: peer, .cancelled, now: now)
        }
        closeAll(to: peer, .requested, now: now)
        return .done
    }
}
