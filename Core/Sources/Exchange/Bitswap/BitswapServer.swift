// Answering what bitswap peers want (specs.ipfs.tech/bitswap-protocol). Wants are looked up in
// batches; what is found leaves as messages that name their blocks. Peers take turns by bytes.

public import Multiformats
public import Wire

/// The serving half of bitswap, for all peers.
///
/// Feed it lists, answers to look-ups and news about sent messages; drain ``nextLookUp()`` and
/// ``nextTransmit()``. It holds no block, so that its memory is bounded by the number of peers and
/// ``BitswapLimits/maxWants``.
public struct BitswapServer: Sendable {
    /// A message for a peer. Its end is reported with ``sent(_:)`` or ``failed(_:now:)``.
    public struct Transmit: Hashable, Sendable {
        /// The number that its end is reported with.
        public let id: UInt64
        /// Whom it is for.
        public let peer: PeerID
        /// What it says, with the blocks still to be read.
        public let message: OutgoingMessage
    }

    private struct InFlight {
        let slot: Int
        /// Which ledger of that slot it belongs to.
        let generation: UInt64
        let bytes: Int
        let wants: [BitswapLedger.Want]
    }

    private struct Waiting {
        let slot: Int
        let cid: CID
        let ticket: UInt64
    }

    private let limits: Limits
    private var slots: [BitswapLedger?] = []
    private var freeSlots: [Int] = []
    private var slotOf = [PeerID: Int]()
    private var nextTicket: UInt64 = 0
    private var lookUps = [UInt64: [Waiting]]()
    private var inFlight = [UInt64: InFlight]()
    /// Who waits for a block that is not here.
    private var absent = [Multihash: [Waiting]]()
    private var unacknowledged = 0
    /// Where the peer stood that was served last; who joins later begins there.
    private var turn: UInt64 = 0
    /// The slot after the one that was looked at last for wants.
    private var lookUpTurn = 0
    private var now = Instant(nanoseconds: 0)

    /// A server without peers.
    public init(limits: Limits = Limits()) {
        self.limits = limits
    }

    // MARK: Peers

    /// How many peers have a ledger.
    public var peerCount: Int { slotOf.count }

    /// Messages for this peer can be sent now, in this version.
    public mutating func opened(_ peer: PeerID, _ version: BitswapVersion, now: Instant) {
        self.now = now
        slots[slot(of: peer, now: now)]?.version = version
    }

    /// There is no stream to this peer any longer; what it wants is kept.
    public mutating func closed(_ peer: PeerID) {
        guard let slot = slotOf[peer] else { return }
        slots[slot]?.version = nil
    }

    /// The peer is gone, and with it what it wants.
    public mutating func disconnected(_ peer: PeerID) {
        guard let slot = slotOf.removeValue(forKey: peer) else { return }
        slots[slot] = nil
        freeSlots.append(slot)
    }

    /// Whether something could be sent to this peer, were there a stream to it.
    public func hasAnswers(for peer: PeerID) -> Bool {
        slotOf[peer].flatMap { slots[$0]?.hasAnswers } ?? false
    }

    /// How many wants of a peer are kept.
    public func wantCount(of peer: PeerID) -> Int {
        slotOf[peer].flatMap { slots[$0]?.wants.count } ?? 0
    }

    private mutating func slot(of peer: PeerID, now: Instant) -> Int {
        if let slot = slotOf[peer] { return slot }
        var ledger = BitswapLedger(
            peer: peer, generation: nextTicket,
            allowance: RequestAllowance(
                perSecond: limits.requestsPerSecond, burst: 4 * BitswapLimits.maxWants, now: now))
        nextTicket += 1
        ledger.served = turn
        let slot: Int
        if let free = freeSlots.popLast() {
            slot = free
            slots[slot] = ledger
        } else {
            slot = slots.count
            slots.append(ledger)
        }
        slotOf[peer] = slot
        return slot
    }

    // MARK: Wants

    /// Takes in what a peer wants, or wants no longer.
    public mutating func receive(_ lists: BitswapMessage, from peer: PeerID, now: Instant) {
        self.now = now
        guard !lists.wants.isEmpty || lists.isFull else { return }
        let slot = slot(of: peer, now: now)
        if lists.isFull { slots[slot]?.removeAllWants() }
        for want in lists.wants {
            if want.kind == .cancel {
                slots[slot]?.remove(want.cid)
                continue
            }
            let admission = slots[slot]?.admit(want, ticket: nextTicket)
            nextTicket += 1
            if admission == .refused, want.absence == .answer { slots[slot]?.deny(want.cid) }
        }
    }

    /// A block has come into the store: whoever waits for it is served. Returns who does.
    public mutating func stored(_ hash: Multihash, byteCount: Int) -> [PeerID] {
        var peers: [PeerID] = []
        for waiting in absent.removeValue(forKey: hash) ?? [] {
            guard isCurrent(waiting), let peer = slots[waiting.slot]?.peer else { continue }
            _ = slots[waiting.slot]?.found(
                waiting.cid, ticket: waiting.ticket, byteCount: byteCount)
            peers.append(peer)
        }
        return peers
    }

    // MARK: Look-ups

    /// The next look-up to be carried out; nil if there is none now.
    public mutating func nextLookUp() -> LookUp? {
        guard lookUps.count < limits.lookUps else { return nil }
        for step in 0..<slots.count {
            let slot = (lookUpTurn + step) % slots.count
            guard slots[slot]?.hasUnknown == true, let peer = slots[slot]?.peer else { continue }
            if let lookUp = lookUp(slot, of: peer) { return lookUp }
        }
        return nil
    }

    // By itself, so that pages that give nothing do without it.
    @inline(never)
    private mutating func lookUp(_ slot: Int, of peer: PeerID) -> LookUp? {
        let count = slots[slot]?.allowance.take(limits.cidsPerLookUp, now: now) ?? 0
        let taken = slots[slot]?.takeUnknown(count) ?? []
        slots[slot]?.allowance.giveBack(count - taken.count)
        guard !taken.isEmpty else { return nil }
        lookUpTurn = slot + 1
        let id = nextTicket
        nextTicket += 1
        lookUps[id] = taken.map { Waiting(slot: slot, cid: $0.cid, ticket: $0.ticket) }
        return LookUp(id: id, peer: peer, cids: taken.map { $0.cid })
    }

    /// Takes the answer to a look-up: the number of bytes of each block, nil for one that is not
    /// there or not to be given out.
    public mutating func lookedUp(_ id: UInt64, byteCounts: [Int?], now: Instant) {
        self.now = now
        guard let waiting = lookUps.removeValue(forKey: id) else { return }
        for (index, want) in waiting.enumerated() {
            let count = index < byteCounts.count ? byteCounts[index] : nil
            let waits = slots[want.slot]?.found(want.cid, ticket: want.ticket, byteCount: count)
            if waits == true { remember(want) }
        }
    }

    private mutating func remember(_ want: Waiting) {
        var waiting = absent[want.cid.hash] ?? []
        waiting.removeAll { !isCurrent($0) }
        waiting.append(want)
        absent[want.cid.hash] = waiting
        sweep()
    }

    private func isCurrent(_ want: Waiting) -> Bool {
        slots[want.slot]?.wants[want.cid]?.ticket == want.ticket
    }

    /// Forgets cancelled wants when there are more of them than of those that stand.
    private mutating func sweep() {
        guard absent.count > 2 * slotOf.count * BitswapLimits.maxWants + 1024 else { return }
        absent = absent.compactMapValues { waiting in
            let current = waiting.filter { isCurrent($0) }
            return current.isEmpty ? nil : current
        }
    }

    // MARK: Answers

    /// The next message to be sent; nil if there is none now.
    public mutating func nextTransmit() -> Transmit? {
        while unacknowledged < limits.unacknowledgedBytes, let slot = nextSlot() {
            if let transmit = transmit(slot) { return transmit }
        }
        return nil
    }

    @inline(never)
    private mutating func transmit(_ slot: Int) -> Transmit? {
        guard var ledger = slots[slot], let version = ledger.version else { return nil }
        // Nothing may refer to the ledger twice, or its tables would be copied.
        slots[slot] = nil
        turn = max(turn, ledger.served)
        ledger.served = turn
        let (message, wants) = compose(&ledger, version)
        ledger.served += UInt64(message.byteCount)
        ledger.unacknowledged += message.blockBytes
        unacknowledged += message.blockBytes
        // Nothing fits until something has left.
        ledger.isBlocked = message.isEmpty && ledger.unacknowledged > 0
        slots[slot] = ledger
        guard !message.isEmpty else { return nil }
        let id = nextTicket
        nextTicket += 1
        inFlight[id] = InFlight(
            slot: slot, generation: ledger.generation, bytes: message.blockBytes, wants: wants)
        return Transmit(id: id, peer: ledger.peer, message: message)
    }

    /// Whose turn it is: of those who can be sent something, the one that was sent least.
    private func nextSlot() -> Int? {
        var next: Int?
        var least: UInt64 = 0
        for slot in slots.indices {
            guard let ledger = slots[slot], ledger.version != nil, ledger.hasAnswers,
                !ledger.isBlocked, ledger.unacknowledged < limits.unacknowledgedBytesPerPeer
            else { continue }
            if next == nil || ledger.served < least {
                next = slot
                least = ledger.served
            }
        }
        return next
    }

    private func compose(
        _ ledger: inout BitswapLedger, _ version: BitswapVersion
    ) -> (OutgoingMessage, [BitswapLedger.Want]) {
        var lists = BitswapMessage()
        // Presences first: they tell the other side where else to ask.
        lists.presences = ledger.takePresences(limits.messageBytes / 64)
        var blocks: [(cid: CID, byteCount: Int)] = []
        var wants: [BitswapLedger.Want] = []
        var blockBytes = 0
        while let next = ledger.nextBlock() {
            let size = next.byteCount + BitswapMessage.maxBlockOverhead
            guard blocks.isEmpty || blockBytes + size <= limits.messageBytes else { break }
            // A block that is larger than the allowance goes alone.
            guard
                ledger.unacknowledged + blockBytes + next.byteCount
                    <= limits.unacknowledgedBytesPerPeer
                    || (ledger.unacknowledged == 0 && blocks.isEmpty)
            else { break }
            blocks.append(next)
            blockBytes += size
            if let want = ledger.takeBlock(next.cid) { wants.append(want) }
        }
        lists.pendingBytes = Int32(clamping: ledger.pendingBytes)
        guard !blocks.isEmpty || !lists.presences.isEmpty else { return (OutgoingMessage(), []) }
        var message = OutgoingMessage(lists.encoded(version))
        for block in blocks where BitswapMessage.canName(block.cid, version) {
            message.append(
                BitswapMessage.blockHeader(block.cid, byteCount: block.byteCount, version))
            message.append(block: block.cid, byteCount: block.byteCount)
        }
        return (message, wants)
    }

    /// A message has left: it is on the wire, as far as this machine can tell.
    public mutating func sent(_ id: UInt64) {
        _ = settle(id)
    }

    /// A message could not be sent, because its stream broke or a block in it is gone. Its blocks
    /// are looked up again.
    public mutating func failed(_ id: UInt64, now: Instant) {
        self.now = now
        guard let entry = settle(id) else { return }
        for want in entry.wants {
            if want.attempts + 1 < limits.attempts {
                slots[entry.slot]?.putBack(want, ticket: nextTicket)
                nextTicket += 1
            } else if want.absence == .answer {
                slots[entry.slot]?.deny(want.cid)
            }
        }
    }

    /// Takes a message off the books; nil if its peer is gone.
    private mutating func settle(_ id: UInt64) -> InFlight? {
        guard let entry = inFlight.removeValue(forKey: id) else { return nil }
        unacknowledged -= entry.bytes
        guard slots[entry.slot]?.generation == entry.generation else { return nil }
        slots[entry.slot]?.unacknowledged -= entry.bytes
        slots[entry.slot]?.isBlocked = false
        return entry
    }

    // MARK: Time

    /// Time has passed: who had asked for too much may ask again.
    public mutating func advance(to now: Instant) {
        self.now = now
    }

    /// When ``advance(to:)`` is to be called next.
    public var deadline: Instant? {
        guard lookUps.count < limits.lookUps else { return nil }
        var next: Instant?
        for ledger in slots {
            guard let ledger, ledger.hasUnknown else { continue }
            next = next.earlier(ledger.allowance.nextAvailable(now: now))
        }
        return next
    }
}
