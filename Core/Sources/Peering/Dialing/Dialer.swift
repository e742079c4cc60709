// Dialling peers: the order of their addresses, patience with those that failed, and the ceilings
// that keep a home router alive.

public import Multiformats
public import Wire

/// Why an address did not lead to a peer.
public enum DialFailure: Hashable, Sendable {
    /// Nobody accepted the connection.
    case refused
    /// There was no answer in time.
    case timedOut
    /// The connection was there, but securing it or agreeing on a multiplexer failed.
    case handshake
    /// Somebody else answered.
    case wrongPeer
    /// It failed not long ago, and was not tried again.
    case backedOff
    /// The attempt ended because another address connected, or the dial was cancelled.
    case abandoned
}

/// What became of one address.
public struct DialAttempt: Hashable, Sendable {
    /// What was dialled.
    public let address: Multiaddr
    /// Why it came to nothing.
    public let failure: DialFailure

    /// The failure of an address.
    public init(_ address: Multiaddr, _ failure: DialFailure) {
        self.address = address
        self.failure = failure
    }
}

/// Why a peer was not reached.
public enum DialError: Error, Hashable, Sendable {
    /// There is no address that this node may and can dial.
    case noAddress
    /// Too many dials are waiting.
    case overLimit
    /// Every address failed, or had failed just before.
    case failed([DialAttempt])
}

/// Dials peers by several addresses, a few at a time.
public struct Dialer: Sendable {
    /// The ceilings.
    public struct Limits: Hashable, Sendable {
        /// How many attempts are under way at once, over all peers.
        public var simultaneous: Int
        /// How many attempts are under way at once for one peer.
        public var perPeer: Int
        /// How many attempts begin per second.
        public var perSecond: Int
        /// How many peers are dialled or wait for it.
        public var waiting: Int

        /// These limits.
        public init(simultaneous: Int, perPeer: Int, perSecond: Int, waiting: Int) {
            self.simultaneous = simultaneous
            self.perPeer = perPeer
            self.perSecond = perSecond
            self.waiting = waiting
        }

        /// What a cheap router's translation table stands.
        public static let home = Limits(
            simultaneous: 24, perPeer: 4, perSecond: 20, waiting: 256)
        /// For a machine in a data centre.
        public static let server = Limits(
            simultaneous: 160, perPeer: 8, perSecond: 200, waiting: 2_048)
    }

    /// Why a peer is dialled.
    public enum Urgency: Hashable, Sendable {
        /// What failed not long ago is not tried again.
        case usual
        /// A person asks for it, so that everything is tried.
        case asked
        /// It was lost just before and is waited for. Who asks has pauses of its own; a new attempt
        /// is heard sooner than the system repeats an old one.
        case missed
    }

    /// What the shell has to do.
    public enum Order: Hashable, Sendable {
        /// Connect, secure and multiplex; answer with `connected` or `failed` and the number.
        case attempt(UInt64, PeerID, Multiaddr, timeout: Duration)
        /// Give an attempt up. It is not answered.
        case abandon(UInt64)
    }

    /// What became of a dial.
    public enum Event: Hashable, Sendable {
        case connected(PeerID, Multiaddr)
        case failed(PeerID, DialError)
    }

    /// How long an attempt may take, up to a multiplexed connection.
    public static let timeout: Duration = .seconds(15)
    /// An attempt that is given up after so long without an answer has failed.
    public static let patience: Duration = .seconds(3)
    /// How long an attempt may take in a private network, and to a peer that was there just before.
    public static let shortTimeout: Duration = .seconds(5)

    private struct Job {
        var waiting: [RankedAddress]
        let start: Instant
        let urgency: Urgency
        var running: [UInt64] = []
        var attempts: [DialAttempt] = []
    }

    private struct Attempt {
        let peer: PeerID
        let address: Multiaddr
        let begun: Instant
    }

    private let transports: TransportSet
    private var limits: Limits
    private var pacer: Pacer
    private var backoff = DialBackoff()
    private var jobs: [PeerID: Job] = [:]
    /// The peers that have addresses left to try, in the order of their dials, so that the oldest
    /// comes first.
    private var order: [PeerID] = []
    private var attempts: [UInt64: Attempt] = [:]
    private var nextNumber: UInt64 = 1
    private var orders: [Order] = []
    private var events: [Event] = []

    /// A dialer for these transports.
    public init(transports: TransportSet, limits: Limits) {
        self.transports = transports
        self.limits = limits
        pacer = Pacer(limits)
    }

    /// Changes the ceilings; attempts under way go on.
    public mutating func setLimits(_ limits: Limits) {
        self.limits = limits
        pacer = Pacer(limits)
    }

    /// How many attempts are under way.
    public var attemptCount: Int { attempts.count }

    /// How many attempts could begin now, for those who plan them.
    public var freeAttempts: Int { max(0, limits.simultaneous - attempts.count) }

    /// Whether the peer is being dialled.
    public func isDialling(_ peer: PeerID) -> Bool { jobs[peer] != nil }

    /// Dials a peer by these addresses, as far as this node has their transports. While it is
    /// being dialled already, this does nothing. One event answers.
    public mutating func dial(
        _ peer: PeerID, by addresses: [Multiaddr], for urgency: Urgency = .usual, now: Instant
    ) {
        guard jobs[peer] == nil else { return }
        guard jobs.count < limits.waiting else {
            events.append(.failed(peer, .overLimit))
            return
        }
        let usable = addresses.filter { transports.contains($0.transport) && $0.transport != [] }
        guard !usable.isEmpty else {
            events.append(.failed(peer, .noAddress))
            return
        }
        var job = Job(waiting: [], start: now, urgency: urgency)
        let fresh = usable.filter { urgency != .usual || backoff.isReady($0, now: now) }
        for address in usable where !fresh.contains(address) {
            job.attempts.append(DialAttempt(address, .backedOff))
        }
        guard !fresh.isEmpty else {
            events.append(.failed(peer, .failed(job.attempts)))
            return
        }
        job.waiting = DialRanking.rank(fresh)
        jobs[peer] = job
        order.append(peer)
        advance(to: now)
    }

    /// Stops dialling a peer, for instance because it connected by itself. Nothing answers.
    public mutating func cancel(_ peer: PeerID, now: Instant) {
        for number in jobs[peer]?.running ?? [] {
            guard let attempt = attempts[number], now.since(attempt.begun) >= Self.patience else {
                continue
            }
            backoff.failed(attempt.address, now: now)
        }
        end(peer)
    }

    /// Begins no further attempts to reach a peer, which is connected otherwise; those under way
    /// come to their end.
    public mutating func settle(_ peer: PeerID) {
        guard let job = jobs[peer] else { return }
        if job.running.isEmpty { return end(peer) }
        jobs[peer]?.waiting = []
        order.removeAll { $0 == peer }
    }

    /// An attempt led to a usable connection.
    public mutating func connected(_ number: UInt64, now: Instant) {
        guard let attempt = attempts.removeValue(forKey: number) else { return }
        backoff.succeeded(attempt.address)
        end(attempt.peer)
        events.append(.connected(attempt.peer, attempt.address))
        advance(to: now)
    }

    /// An attempt failed.
    public mutating func failed(_ number: UInt64, _ failure: DialFailure, now: Instant) {
        guard let attempt = attempts.removeValue(forKey: number) else { return }
        backoff.failed(attempt.address, now: now)
        guard var job = jobs.removeValue(forKey: attempt.peer) else { return }
        job.running.removeAll { $0 == number }
        job.attempts.append(DialAttempt(attempt.address, failure))
        let isOver = job.running.isEmpty && job.waiting.isEmpty
        if isOver {
            order.removeAll { $0 == attempt.peer }
            events.append(.failed(attempt.peer, .failed(job.attempts)))
        } else {
            jobs[attempt.peer] = job
        }
        advance(to: now)
    }

    /// Begins the attempts that are due.
    public mutating func advance(to now: Instant) {
        var isDone = false
        for peer in order {
            guard attempts.count < limits.simultaneous else { break }
            guard var job = jobs[peer] else { continue }
            while let next = job.waiting.first, job.running.count < limits.perPeer,
                attempts.count < limits.simultaneous
            {
                // With nothing under way there is nothing to wait for.
                guard job.running.isEmpty || job.start + next.delay <= now,
                    pacer.take(now: now)
                else { break }
                job.waiting.removeFirst()
                let number = nextNumber
                nextNumber += 1
                job.running.append(number)
                attempts[number] = Attempt(peer: peer, address: next.address, begun: now)
                let isShort = next.address.scope != .world || job.urgency == .missed
                orders.append(
                    .attempt(
                        number, peer, next.address,
                        timeout: isShort ? Self.shortTimeout : Self.timeout))
            }
            if job.waiting.isEmpty { isDone = true }
            jobs[peer] = job
        }
        if isDone { order.removeAll { jobs[$0]?.waiting.isEmpty ?? true } }
    }

    /// When `advance` has something to do.
    public var deadline: Instant? {
        guard attempts.count < limits.simultaneous else { return nil }
        var first: Instant?
        for peer in order {
            guard let job = jobs[peer], let next = job.waiting.first,
                job.running.count < limits.perPeer
            else { continue }
            let due = job.running.isEmpty ? job.start : job.start + next.delay
            first = first.earlier(max(due, pacer.ready))
        }
        return first
    }

    /// The next thing that the shell has to do.
    public mutating func nextTransmit() -> Order? {
        orders.isEmpty ? nil : orders.removeFirst()
    }

    /// What became of a dial.
    public mutating func nextEvent() -> Event? {
        events.isEmpty ? nil : events.removeFirst()
    }

    private mutating func end(_ peer: PeerID) {
        guard let job = jobs.removeValue(forKey: peer) else { return }
        order.removeAll { $0 == peer }
        for number in job.running where attempts.removeValue(forKey: number) != nil {
            orders.append(.abandon(number))
        }
    }
}

extension Pacer {
    /// A pacer that lets as many dials begin at once as in a second.
    fileprivate init(_ limits: Dialer.Limits) {
        let perSecond = UInt32(clamping: limits.perSecond)
        self.init(perSecond: perSecond, burst: perSecond)
    }
}
