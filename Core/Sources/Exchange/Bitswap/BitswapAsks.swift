// What one bitswap peer has been asked for: the client's half of the protocol towards it.

public import IPLD
public import Multiformats
public import Wire

/// The wants of this node that one peer knows, and what is still to be told it.
///
/// It lives as long as the stream on which the peer is told. Only one message is on its way at a
/// time; what is asked for meanwhile goes into the next one.
public struct BitswapAsks: Sendable {
    /// What an answer means.
    public enum Outcome: Sendable {
        case has(Multihash)
        case lacks(Multihash, WantTable.Evidence)
        /// A block that was asked for, or was until lately.
        case block(ReceivedBlock)
        /// The peer sent a block that it has never been asked for.
        case unasked(CID)
    }

    private struct Ask {
        let cid: CID
        let kind: BitswapMessage.Want.Kind
        let priority: Int32
        /// In which order it was asked for.
        let ticket: UInt64
        /// When the message with it left; nil before.
        var since: Instant?
    }

    /// How many settled blocks are remembered, so that one that crosses a cancel is no offence.
    private static let recentMax = 4096
    /// How many wants a message holds at most: some 16 KiB.
    private static let wantsPerMessage = 320
    /// How long an answer is waited for before anything is known of the peer.
    private static let defaultPatience: Duration = .seconds(5)
    private static let leastPatience: Duration = .milliseconds(250)
    private static let mostPatience: Duration = .seconds(7)

    private var asks = [Multihash: Ask]()
    /// What the peer has not been told yet, in order; what was taken back meanwhile is passed over.
    private var changes: [(cid: CID, kind: BitswapMessage.Want.Kind)] = []
    private var recent: Set<Multihash> = []
    private var recentOrder = BoundedQueue<Multihash>(limit: recentMax)
    /// Whether the next message is the first one of its stream.
    private var startsOver = true
    private var sending: [Multihash] = []
    private var isSending = false
    private var checkAt: Instant?
    private var nextTicket: UInt64 = 0
    private var lastReceived = Instant(nanoseconds: 0)
    private var latency: Duration?

    /// Asks of a peer that has been asked for nothing.
    public init() {}

    /// Whether the peer has been asked for something.
    public var isEmpty: Bool { asks.isEmpty }
    /// Whether there is something to tell the peer.
    public var hasChanges: Bool { !changes.isEmpty && !isSending }

    /// Asks for a block, or whether the peer has it.
    public mutating func ask(_ cid: CID, _ kind: BitswapMessage.Want.Kind, priority: Int32) {
        if let known = asks[cid.hash], known.kind == .block || known.kind == kind { return }
        asks[cid.hash] = Ask(
            cid: cid, kind: kind, priority: priority, ticket: nextTicket, since: nil)
        nextTicket += 1
        changes.append((cid, kind))
    }

    /// Takes back what was asked.
    public mutating func cancel(_ cid: CID) {
        guard let ask = asks.removeValue(forKey: cid.hash) else { return }
        settle(cid.hash)
        if ask.since == nil, !sending.contains(cid.hash) {
            changes.removeAll { $0.cid == ask.cid }
        } else {
            changes.append((ask.cid, .cancel))
        }
    }

    // MARK: Messages

    /// The next message to the peer; nil if there is none, or one is on its way.
    public mutating func nextMessage(_ version: BitswapVersion) -> BitswapMessage? {
        guard hasChanges else { return nil }
        var message = BitswapMessage()
        message.isFull = startsOver
        var passed = 0
        for change in changes {
            guard message.wants.count < Self.wantsPerMessage else { break }
            passed += 1
            switch change.kind {
            case .cancel:
                guard asks[change.cid.hash] == nil, !startsOver else { continue }
                message.wants.append(.init(change.cid, .cancel))
            case .block, .have:
                guard let ask = asks[change.cid.hash], ask.kind == change.kind,
                    BitswapMessage.canName(change.cid, version)
                else { continue }
                message.wants.append(
                    .init(
                        change.cid, change.kind, priority: ask.priority,
                        absence: version >= .v1_2_0 ? .answer : .silent))
                sending.append(change.cid.hash)
            }
        }
        changes.removeFirst(passed)
        guard !message.wants.isEmpty else { return nil }
        startsOver = false
        isSending = true
        return message
    }

    /// The last message has left.
    public mutating func sent(now: Instant) {
        for hash in sending { asks[hash]?.since = now }
        if !sending.isEmpty { checkAt = checkAt.earlier(now + patience) }
        sending = []
        isSending = false
    }

    // MARK: Answers

    /// Takes in what the peer sent.
    public mutating func receive(
        _ message: ReceivedBitswapMessage, now: Instant
    ) -> [Outcome] {
        lastReceived = now
        var outcomes: [Outcome] = []
        for presence in message.lists.presences {
            // Who speaks of what it was not asked about says nothing that is needed.
            guard let ask = asks[presence.cid.hash] else { continue }
            measure(ask, now: now)
            switch presence.kind {
            case .have:
                if ask.kind == .have { asks[presence.cid.hash] = nil }
                outcomes.append(.has(presence.cid.hash))
            case .dontHave:
                asks[presence.cid.hash] = nil
                settle(presence.cid.hash)
                outcomes.append(.lacks(presence.cid.hash, .answer))
                // It keeps the want otherwise, and may send the block when nobody wants it.
                changes.append((ask.cid, .cancel))
            }
        }
        for block in message.blocks {
            let hash = block.cid.hash
            if let ask = asks.removeValue(forKey: hash) {
                measure(ask, now: now)
                settle(hash)
                outcomes.append(.block(block))
            } else if recent.contains(hash) {
                outcomes.append(.block(block))
            } else {
                outcomes.append(.unasked(block.cid))
            }
        }
        return outcomes
    }

    private mutating func measure(_ ask: Ask, now: Instant) {
        guard let since = ask.since else { return }
        let sample = now.since(since)
        latency = latency.map { $0 * 7 / 8 + sample / 8 } ?? sample
    }

    private mutating func settle(_ hash: Multihash) {
        guard recent.insert(hash).inserted else { return }
        if recentOrder.isFull, let oldest = recentOrder.popFirst() { recent.remove(oldest) }
        _ = recentOrder.append(hash)
    }

    // MARK: Time

    /// How long an answer is waited for.
    private var patience: Duration {
        latency.map { min(max($0 * 4, Self.leastPatience), Self.mostPatience) }
            ?? Self.defaultPatience
    }

    /// What the peer has not answered in time: it is taken to have nothing of it. While the peer
    /// sends anything, blocks are waited for, because they come one after the other.
    public mutating func advance(to now: Instant) -> [Outcome] {
        let patience = patience
        checkAt = nil
        var late: [Ask] = []
        for (_, ask) in asks {
            guard let end = end(of: ask, patience) else { continue }
            if now >= end { late.append(ask) } else { checkAt = checkAt.earlier(end) }
        }
        late.sort { ($0.priority, $1.ticket) > ($1.priority, $0.ticket) }
        for ask in late { cancel(ask.cid) }
        return late.map { .lacks($0.cid.hash, .silence) }
    }

    private func end(of ask: Ask, _ patience: Duration) -> Instant? {
        guard let since = ask.since else { return nil }
        return (ask.kind == .have ? since : max(since, lastReceived)) + patience
    }

    /// When ``advance(to:)`` is to be called next; it may find that nothing is late yet.
    public var deadline: Instant? { checkAt }
}
