// The side of ICE that lets the other one choose (RFC 8445): it answers checks, and learns from
// them where its peers are. Also a STUN server (RFC 8489) for whoever asks where it is seen.
//
// In webrtc-direct the key of a check is in the check itself, so a valid one proves nothing about
// who sent it or from where; only the handshake above does. What a check may cost is bounded by its
// source's rate. Of those who have done no more the oldest makes room for the next, so that whoever
// goes on is not kept out by those who pretend; how many handshakes are under way is bounded, and
// the network that has the most of them makes room for others.
//
// For the same reason the checks of an association that is over, or was of a process before this
// one, look like those of a newcomer. Answered for ever they would have its other end believe that
// it goes on (RFC 7675), so that the names of those that come to nothing are dead for a while.

public import Wire

/// How much the checks of strangers may take.
public struct ICELimits: Sendable {
    /// The most peers that have done a check, and nothing else yet.
    public var checked = 1024
    /// The most peers whose handshake is under way.
    public var halfOpen = 128
    /// From how many on a peer has to prove that it is where it says before its handshake.
    public var crowd = 32
    /// The most peers.
    public var peers = 1024
    /// The most addresses that one peer may be at.
    public var addresses = 8
    /// How many questions of strangers one source may ask at once: to make a connection, or
    /// where it is seen.
    public var burst = 64
    /// How many more it may ask each second.
    public var rate = 32
    /// How many sources are told apart; some share what one may ask.
    public var sources = 4096
    /// How long a peer may take from its first check to the end of its handshake.
    public var handshake = Duration.seconds(10)
    /// The same of a peer with which that was agreed, from then on.
    public var agreement = Duration.seconds(15)
    /// How long a peer may go without a check.
    public var silence = Duration.seconds(30)
    /// How long a peer whose association is over is not answered: longer than any takes to notice.
    public var death = Duration.seconds(60)
    /// How many of these are remembered.
    public var dead = 1024

    /// The usual limits.
    public init() {}
}

/// Peers of one socket, by where they are.
public struct ICEResponder {
    /// What a datagram was.
    public enum Outcome {
        /// Nothing that is answered.
        case ignored
        /// A question of a stranger, with its answer.
        case answered([UInt8])
        /// A check of a peer, with its answer.
        case checked(peer: UInt64, answer: [UInt8])
        /// What a STUN server answers to a question of ours: where it sees us.
        case seen(at: UDPAddress, transaction: [UInt8])
    }

    private enum Stage {
        case agreed, checked, handshake, open
    }

    private struct Peer {
        /// What its checks are signed with, and in which name.
        let username: [UInt8]
        let password: [UInt8]
        var addresses: [UDPAddress]
        /// Where it wants to be sent to; nil until it has been heard of.
        var selected: UDPAddress?
        var stage: Stage
        /// When its handshake must be over.
        let end: Instant
        var lastCheck: Instant
    }

    /// What one source may still ask.
    private struct Bucket {
        var level: Int
        var filled: Instant
    }

    private let limits: ICELimits
    private var peers = [UInt64: Peer]()
    /// By the names of checks.
    private var numbers = [[UInt8]: UInt64]()
    private var places = [UDPAddress: UInt64]()
    private var lastNumber: UInt64 = 0
    /// How many peers have done a check and nothing else.
    public private(set) var checkedCount = 0
    /// How many handshakes are under way.
    public var halfOpenCount: Int { halfOpen.count }
    /// By a number made of the source, so that there are never more.
    private var buckets: [Bucket]
    /// Peers by when they did their first check; some have gone on or away since.
    private var arrivals: BoundedQueue<(at: Instant, peer: UInt64)>
    /// When those that have gone on are looked at.
    private var deadlines = DeadlineQueue<UInt64>()
    /// The peers whose handshake is under way, in the order in which they began.
    private var halfOpen: [UInt64] = []
    /// Until when peers whose association is over are not answered, by their names; and these in
    /// the order in which they ended.
    private var dead: [[UInt8]: Instant] = [:]
    private var graves: BoundedQueue<[UInt8]>

    /// A responder without peers.
    public init(_ limits: ICELimits = ICELimits(), now: Instant) {
        self.limits = limits
        arrivals = BoundedQueue(limit: limits.checked + limits.peers)
        graves = BoundedQueue(limit: limits.dead)
        buckets = [Bucket](
            repeating: Bucket(level: limits.burst, filled: now), count: limits.sources)
    }

    /// How many peers there are.
    public var count: Int { peers.count }

    /// The peer whose datagrams come from an address.
    public func peer(at address: UDPAddress) -> UInt64? { places[address] }

    /// Where datagrams to a peer go.
    public func address(of peer: UInt64) -> UDPAddress? { peers[peer]?.selected }

    /// The peer has proven, by what only it can say, that it is at an address where it did a check:
    /// datagrams go there from now on. A router may have changed its outer port, which the peer
    /// does not know.
    public mutating func select(_ address: UDPAddress, of peer: UInt64) {
        guard places[address] == peer else { return }
        peers[peer]?.selected = address
    }

    /// Takes a datagram whose first byte is below 4.
    public mutating func receive(
        _ bytes: RawSpan, from source: UDPAddress, now: Instant
    ) -> Outcome {
        let message: STUNMessage
        do throws(DecodeError) {
            message = try STUNMessage(decoding: bytes)
        } catch {
            return .ignored
        }
        if message.kind == .success, let address = message.mappedAddress {
            return .seen(at: address, transaction: message.transaction)
        }
        guard message.kind == .request, !message.isUnclear else { return .ignored }
        var answer = STUNWriter(.success, transaction: message.transaction)
        answer.add(mapped: source)
        guard let username = message.username else {
            guard mayAsk(source, now: now) else { return .ignored }
            return .answered(answer.finish(key: nil))
        }
        let known = numbers[username]
        guard let password = password(of: username, known, from: source, now: now),
            isAuthentic(message, bytes, by: password),
            let number = known ?? admit(username, password, at: source, now: now),
            note(source, of: number, isNomination: message.isNomination, now: now)
        else { return .ignored }
        return .checked(peer: number, answer: answer.finish(key: password))
    }

    /// What a check has to be signed with; nil for one that is not answered.
    private mutating func password(
        of username: [UInt8], _ known: UInt64?, from source: UDPAddress, now: Instant
    ) -> [UInt8]? {
        // Whoever repeats what is known costs no more than the answer.
        if let known { return peers[known]?.password }
        guard dead[username].map({ now >= $0 }) ?? true,
            let credentials = ICECredentials(username: username), mayAsk(source, now: now)
        else { return nil }
        return Array(credentials.password)
    }

    private func isAuthentic(
        _ message: STUNMessage, _ bytes: RawSpan, by password: [UInt8]
    ) -> Bool {
        message.isAuthentic(bytes, key: password.rawSpan)
    }

    /// Waits for a peer with which that was agreed; nil if there are too many peers. Unlike those
    /// of strangers its checks prove something, so that no others push it out.
    public mutating func expect(_ agreement: ICEAgreement, now: Instant) -> UInt64? {
        guard peers.count - checkedCount < limits.peers, numbers[agreement.username] == nil else {
            return nil
        }
        let number = add(
            Peer(
                username: agreement.username, password: agreement.password, addresses: [],
                selected: nil, stage: .agreed, end: now + limits.agreement, lastCheck: now))
        deadlines.add(number, at: now + limits.agreement)
        return number
    }

    /// Whether so many handshakes are under way that the next peer should prove first that it is
    /// where it says, which costs it a round trip.
    public var isCrowded: Bool { halfOpenCount >= limits.crowd }

    /// Whose handshake has to end so that the peer's can begin: where too many are under way, the
    /// oldest of the network that has the most, if that has more than the peer's. Nil if none has
    /// to, or may.
    public func inTheWay(of peer: UInt64) -> UInt64? {
        guard halfOpen.count >= limits.halfOpen, let own = network(of: peer) else { return nil }
        var counts: [UInt64: Int] = [:]
        for other in halfOpen {
            if let network = network(of: other) { counts[network, default: 0] += 1 }
        }
        guard let most = counts.max(by: { $0.value < $1.value }),
            most.value > counts[own, default: 0] + 1
        else { return nil }
        return halfOpen.first { network(of: $0) == most.key }
    }

    private func network(of peer: UInt64) -> UInt64? { peers[peer]?.selected?.network }

    /// The peer's handshake begins. False if too many are under way, or there are too many peers.
    public mutating func begin(_ peer: UInt64) -> Bool {
        guard let entry = peers[peer], halfOpenCount < limits.halfOpen else { return false }
        switch entry.stage {
        case .agreed: break
        case .checked:
            guard peers.count - checkedCount < limits.peers else { return false }
            checkedCount -= 1
            deadlines.add(peer, at: entry.end)
        case .handshake, .open: return false
        }
        peers[peer]?.stage = .handshake
        halfOpen.append(peer)
        return true
    }

    /// The peer's handshake is over.
    public mutating func open(_ peer: UInt64) {
        guard peers[peer]?.stage == .handshake else { return }
        peers[peer]?.stage = .open
        halfOpen.removeAll { $0 == peer }
    }

    /// Whether the peer has done checks alone. What it says beside these, that begins no handshake,
    /// is of an association that nobody here knows.
    public func isNew(_ peer: UInt64) -> Bool { peers[peer]?.stage == .checked }

    /// Forgets a peer whose association is over, and answers it no more for a while.
    public mutating func end(_ peer: UInt64, now: Instant) {
        guard let username = peers[peer]?.username else { return }
        remove(peer)
        if dead.updateValue(now + limits.death, forKey: username) != nil { return }
        if graves.isFull, let oldest = graves.popFirst() { dead[oldest] = nil }
        // There is room, as was just seen to.
        _ = graves.append(username)
    }

    /// Forgets a peer. With its next check it is a new one.
    public mutating func remove(_ peer: UInt64) {
        guard let old = peers.removeValue(forKey: peer) else { return }
        numbers[old.username] = nil
        for address in old.addresses { places[address] = nil }
        switch old.stage {
        case .checked: checkedCount -= 1
        case .handshake: halfOpen.removeAll { $0 == peer }
        case .agreed, .open: break
        }
    }

    // MARK: Checks

    private mutating func mayAsk(_ source: UDPAddress, now: Instant) -> Bool {
        var hasher = Hasher()
        hasher.combine(source.isIPv6)
        hasher.combine(source.network)
        let index = Int(UInt(bitPattern: hasher.finalize()) % UInt(buckets.count))
        let bucket = buckets[index]
        let pause = 1_000_000_000 / Int64(max(1, limits.rate))
        let fill = now.since(bucket.filled).wholeNanoseconds / max(1, pause)
        if fill >= Int64(limits.burst - bucket.level) {
            buckets[index] = Bucket(level: limits.burst, filled: now)
        } else if fill > 0 {
            // What is left of the time counts for the next.
            buckets[index].level += Int(fill)
            buckets[index].filled = bucket.filled + .nanoseconds(fill * pause)
        }
        guard buckets[index].level > 0 else { return false }
        buckets[index].level -= 1
        return true
    }

    private mutating func admit(
        _ username: [UInt8], _ password: [UInt8], at source: UDPAddress, now: Instant
    ) -> UInt64? {
        guard places[source] == nil else { return nil }
        while checkedCount >= limits.checked || arrivals.isFull {
            guard let oldest = arrivals.popFirst() else { return nil }
            if isNew(oldest.peer) { remove(oldest.peer) }
        }
        checkedCount += 1
        let number = add(
            Peer(
                username: username, password: password, addresses: [source], selected: source,
                stage: .checked, end: now + limits.handshake, lastCheck: now))
        places[source] = number
        // There is room, as was seen to above.
        _ = arrivals.append((now, number))
        return number
    }

    private mutating func add(_ peer: Peer) -> UInt64 {
        lastNumber += 1
        numbers[peer.username] = lastNumber
        peers[lastNumber] = peer
        return lastNumber
    }

    /// A peer is, also, at an address. False if it may not be.
    private mutating func note(
        _ source: UDPAddress, of number: UInt64, isNomination: Bool, now: Instant
    ) -> Bool {
        if places[source] != number {
            // Nobody takes another's place while that one is there.
            guard places[source] == nil, var addresses = peers[number]?.addresses else {
                return false
            }
            if addresses.count == limits.addresses {
                let selected = peers[number]?.selected ?? nil
                guard let oldest = addresses.firstIndex(where: { $0 != selected }) else {
                    return false
                }
                places[addresses.remove(at: oldest)] = nil
            }
            addresses.append(source)
            peers[number]?.addresses = addresses
            places[source] = number
        }
        peers[number]?.lastCheck = now
        if isNomination || peers[number]?.selected == nil { peers[number]?.selected = source }
        return true
    }

    // MARK: Time

    /// When ``takeLost(now:)`` has something to do.
    public var deadline: Instant? {
        let arrival = arrivals.first.map { $0.at + limits.handshake }
        return deadlines.first.earlier(arrival)
    }

    /// Forgets the peers whose handshake takes too long, or that have gone silent, and returns
    /// those of them whose handshake had begun.
    public mutating func takeLost(now: Instant) -> [UInt64] {
        while let first = arrivals.first, now >= first.at + limits.handshake {
            _ = arrivals.popFirst()
            if isNew(first.peer) { end(first.peer, now: now) }
        }
        var lost: [UInt64] = []
        while let number = deadlines.popDue(at: now) {
            guard let peer = peers[number] else { continue }
            let due = peer.stage == .open ? peer.lastCheck + limits.silence : peer.end
            if now < due {
                deadlines.add(number, at: due)
            } else {
                end(number, now: now)
                lost.append(number)
            }
        }
        return lost
    }
}
