// Connections come and go: who is let in, who is told, and who has to leave.

import Exchange
import Multiformats
import Peering
import Wire

/// What is known of a connected peer.
struct Acquaintance: Sendable {
    /// How much of what a peer says of its software is kept, in bytes.
    static let agentBytes = 128
    /// How many of its protocols.
    static let protocolCount = 128

    var agent: [UInt8] = []
    var protocols: [ProtocolName] = []
    /// Its signed record, of a peer that takes part in publish-subscribe.
    var record: [UInt8] = []
    var isIdentified = false
    /// It has been asked who it is, or is to be, and has not answered yet.
    var isAsked = false
    /// It is to be asked who it is.
    var isToBeAsked = false
    /// It is to be told who we are.
    var isToBeTold = false
    /// What is told of us changed before it was known whether it listens to that.
    var hasMissedNews = false
    var roundTrip: Duration?
    /// When blocks last went back or forth.
    var lastBlocks: Instant?
    var violations = 0
}

extension NodeCore {
    /// How long a peer that exchanged blocks is a partner.
    static let partnership: Duration = .seconds(60)
    /// How old a connection must be that this node opened, to give way to the next one that it
    /// wants to open: a lookup asks many peers one thing each.
    static let ownGrace: Duration = .seconds(1)
    /// After how many broken rules a peer has to leave.
    static let violationsMax = 4
    /// How long it is not let in again.
    static let banTime: Duration = .seconds(300)
    /// How many such peers are remembered.
    static let bansMax = 1_024

    // MARK: Coming

    mutating func connected(_ number: UInt64, _ facts: ConnectionFacts, now: Instant) {
        precondition(connections[number] == nil, "connections are numbered once")
        if let attempt = facts.attempt, attempts.removeValue(forKey: attempt) != nil {
            dialer.connected(attempt, now: now)
        }
        if let attempt = facts.attempt { _ = punched(attempt, .connected, now: now) }
        if let reason = refusal(of: facts, now: now) {
            count(reason)
            outputs.append(.close(connection: number, reason))
            outputs.append(.note(.closed(facts.peer, facts.remoteAddress, reason)))
            if facts.direction == .outbound, !connections.isConnected(to: facts.peer) {
                failWaiters(for: facts.peer, Self.failure(of: reason), now: now)
            }
            return
        }
        let isNew = !connections.isConnected(to: facts.peer)
        connections.add(number, facts, now: now)
        if isNew { peers[facts.peer] = Acquaintance() }
        if facts.direction == .outbound {
            addresses.connected(to: facts.peer, by: facts.remoteAddress, now: now)
        }
        outputs.append(.note(.connected(facts.peer, facts.direction, facts.remoteAddress)))
        closeSilent(besides: number, to: facts.peer, now: now)
        updateRoute(to: facts.peer, now: now)
        noteRoute(facts, now: now)
        ask(facts.peer)
        flush(facts.peer, now: now)
        scheduleTrim(now: now)
    }

    /// Why a connection may not come in; nil if it may. Makes room where that is right.
    private mutating func refusal(of facts: ConnectionFacts, now: Instant) -> CloseReason? {
        if facts.peer == peer { return .ourselves }
        guard access.admits(facts.peer), access.admits(facts.remoteAddress) else {
            return .denied
        }
        if let until = banned[facts.peer] {
            if until > now { return .violations }
            banned[facts.peer] = nil
        }
        let siblings = connections.connections(to: facts.peer)
        if siblings.count >= limits.connections.perPeer {
            // The newest is the most likely to work; an old one without streams makes place.
            guard let spare = siblings.first(where: { $0.streams == 0 }) else {
                return .overLimit(.perPeer)
            }
            close(spare.number, .overLimit(.perPeer), now: now)
        }
        let network = ConnectionTable.Network(facts.remoteAddress)
        return makeRoom(for: facts.direction, facts.peer, of: network, now: now)
            .map { .overLimit($0) }
    }

    /// Closes an expendable connection if a ceiling leaves no place for another, besides the dials
    /// under way. Returns the ceiling if there is none.
    ///
    /// As long as there is room any number may come from one network, as of a school; then those
    /// beyond its share make room for others first, whatever they do.
    mutating func makeRoom(
        for direction: ConnectionFacts.Direction, _ peer: PeerID,
        of network: ConnectionTable.Network? = nil, dials: Int = 0, now: Instant
    ) -> ConnectionCeiling? {
        guard let full = fullCeiling(for: direction, dials: dials) else { return nil }
        let share = limits.connections.perNetwork
        if full != .outbound, let crowd = connections.crowd(beyond: share, besides: network) {
            let candidates = leastUseful(now: now) { entry in
                entry.network == crowd && entry.facts.direction == .inbound
            }
            if let victim = candidates.first {
                close(victim.number, .overLimit(.perNetwork), now: now)
                return fullCeiling(for: direction, dials: dials)
            }
        }
        let isFavoured = protected.contains(peer)
        if !isFavoured, direction == .inbound, let network,
            connections.count(in: network) >= share
        {
            return .perNetwork
        }
        // A flood of strangers must not drive out whom we know; what we want may.
        let limit: ConnectionTable.Worth = direction == .inbound ? .stranger : .known
        let candidates = leastUseful(now: now) { entry in
            let isOurs = entry.facts.direction == .outbound && direction == .outbound
            let grace = isOurs ? Self.ownGrace : limits.connections.grace
            if !isFavoured, now.since(entry.opened) < grace { return false }
            if full != .total, entry.facts.direction != direction { return false }
            if isFavoured { return true }
            return entry.streams == 0 && worth(of: entry.facts.peer, now: now) <= limit
        }
        guard let victim = candidates.first else { return full }
        close(victim.number, .trimmed, now: now)
        return fullCeiling(for: direction, dials: dials)
    }

    private func leastUseful(
        now: Instant, among isCandidate: (ConnectionTable.Entry) -> Bool = { _ in true }
    ) -> [ConnectionTable.Entry] {
        connections.leastUseful(
            protected: protected.union(reaching.relayPeers), share: limits.connections.perNetwork,
            worth: { worth(of: $0, now: now) }, among: isCandidate)
    }

    private func fullCeiling(
        for direction: ConnectionFacts.Direction, dials: Int
    ) -> ConnectionCeiling? {
        let ceilings = limits.connections
        if connections.count + dials >= ceilings.ceiling { return .total }
        switch direction {
        case .inbound: return connections.inbound >= ceilings.inbound ? .inbound : nil
        case .outbound:
            return connections.outbound + dials >= ceilings.outbound ? .outbound : nil
        }
    }

    private func worth(of peer: PeerID, now: Instant) -> ConnectionTable.Worth {
        guard let known = peers[peer] else { return .stranger }
        if let last = known.lastBlocks, now.since(last) < Self.partnership { return .partner }
        if pubSub.machine?.isInMesh(peer) == true { return .partner }
        return known.isIdentified ? .known : .stranger
    }

    private mutating func count(_ reason: CloseReason) {
        switch reason {
        case .denied, .violations, .ourselves: tallies.denied += 1
        case .overLimit(.total): tallies.overTotal += 1
        case .overLimit(.inbound): tallies.overInbound += 1
        case .overLimit(.outbound): tallies.overOutbound += 1
        case .overLimit(.perPeer), .overLimit(.perNetwork): tallies.crowded += 1
        case .trimmed: tallies.trimmed += 1
        case .requested, .silent: break
        }
    }

    private static func failure(of reason: CloseReason) -> Failure {
        switch reason {
        case .denied, .violations: .denied
        case .ourselves: .ourselves
        case .overLimit, .trimmed, .requested, .silent: .overLimit
        }
    }

    // MARK: Going

    /// Closes a connection of ours.
    mutating func close(_ number: UInt64, _ reason: CloseReason, now: Instant) {
        guard let entry = connections.remove(number) else { return }
        count(reason)
        outputs.append(.close(connection: number, reason))
        outputs.append(.note(.closed(entry.facts.peer, entry.facts.remoteAddress, reason)))
        lost(entry, now: now)
    }

    /// A connection is gone from the table: it broke, or this node closed it.
    mutating func lost(_ entry: ConnectionTable.Entry, isBroken: Bool = false, now: Instant) {
        let peer = entry.facts.peer
        loseStreams(on: entry.number, now: now)
        if connections.isConnected(to: peer) {
            updateRoute(to: peer, now: now)
            return
        }
        peers[peer] = nil
        calls.lost(peer)
        introductions.removeAll { $0 == peer }
        identify.disconnected(from: peer)
        exchange.disconnected(peer, isBroken: isBroken, now: now)
        addresses.disconnected(from: peer, now: now)
        reaching.disconnected(from: peer)
        pubSub.machine?.disconnected(from: peer, now: now)
        outputs.append(.note(.disconnected(peer)))
    }

    /// Tells the machines which of a peer's connections counts.
    private mutating func updateRoute(to peer: PeerID, now: Instant) {
        guard let best = connections.best(to: peer, limited: .allowed) else { return }
        identify.connected(
            to: peer, over: PeerChannel(remoteAddress: best.facts.remoteAddress))
        exchange.connected(peer, best.facts.route, now: now)
    }

    /// A peer broke a rule.
    mutating func violated(_ peer: PeerID, _ violation: Violation, now: Instant) {
        tallies.violations += 1
        outputs.append(.note(.violation(peer, violation)))
        peers[peer]?.violations += 1
        guard let known = peers[peer], known.violations >= Self.violationsMax,
            !protected.contains(peer)
        else { return }
        if banned.count >= Self.bansMax {
            banned = banned.filter { $0.value > now }
            if banned.count >= Self.bansMax { banned = [:] }
        }
        banned[peer] = now + Self.banTime
        closeAll(to: peer, .violations, now: now)
    }

    mutating func closeAll(to peer: PeerID, _ reason: CloseReason, now: Instant) {
        for entry in connections.connections(to: peer) { close(entry.number, reason, now: now) }
    }

    // MARK: Silence

    /// A peer does not answer on a connection. Who waits for it looks for another way to it; this
    /// one stays until that is there, in case it comes back.
    mutating func fellSilent(_ number: UInt64, now: Instant) {
        guard let entry = connections[number] else { return }
        connections.silence(number)
        let peer = entry.facts.peer
        exchange.silent(peer, on: number, now: now)
        guard exchange.misses(peer) else { return }
        let stuck = requests.filter {
            $0.value.connection == number && $0.value.service == .exchange
        }
        for request in stuck.keys.sorted() { displace(request, now: now) }
    }

    /// It does, after all.
    mutating func wokeUp(_ number: UInt64, now: Instant) {
        guard let entry = connections[number] else { return }
        connections.heard(on: number, now: now)
        flush(entry.facts.peer, now: now)
    }

    /// There is a new way to a peer, so that those are of no use any more on which it is silent.
    private mutating func closeSilent(besides new: UInt64, to peer: PeerID, now: Instant) {
        for old in connections.connections(to: peer) where old.number != new && old.isSilent {
            close(old.number, .silent, now: now)
        }
    }

    // MARK: Trimming

    private mutating func scheduleTrim(now: Instant) {
        guard connections.count > limits.connections.high, !trimming.isDue else { return }
        trimming.isDue = true
        timers.add(.trim, at: max(now, trimming.earliest))
    }

    /// Closes the least useful connections, down to the low mark, if there are too many.
    mutating func trim(now: Instant) {
        trimming.isDue = false
        let excess = connections.count - limits.connections.low
        if connections.count > limits.connections.high {
            // Among those that are to go, the young ones get their time; nobody of more use goes
            // in their place.
            for entry in leastUseful(now: now).prefix(excess)
            where now.since(entry.opened) >= limits.connections.grace {
                close(entry.number, .trimmed, now: now)
            }
        }
        trimming.earliest = now + limits.connections.pause
        scheduleTrim(now: now)
    }

    // MARK: Changing what is allowed

    mutating func setLimits(_ new: NodeLimits, now: Instant) {
        limits = new
        dialer.setLimits(new.dialing)
        pubSub.machine?.limits = new.pubSub.machine
        let ceilings = new.connections
        for entry in leastUseful(now: now) {
            let isOver =
                connections.count > ceilings.ceiling
                || (entry.facts.direction == .inbound
                    ? connections.inbound > ceilings.inbound
                    : connections.outbound > ceilings.outbound)
            if isOver { close(entry.number, .trimmed, now: now) }
        }
        scheduleTrim(now: now)
    }

    mutating func setAccess(_ new: AccessRules, now: Instant) {
        access = new
        for entry in connections.all
        where !new.admits(entry.facts.peer) || !new.admits(entry.facts.remoteAddress) {
            close(entry.number, .denied, now: now)
        }
        for (_, target) in attempts.sorted(by: { $0.key < $1.key })
        where dialling[target.peer] != nil
            && !(new.admits(target.peer) && new.admits(target.address))
        {
            cancelDial(target.peer, now: now)
            failWaiters(for: target.peer, .denied, now: now)
        }
    }
}
