import Exchange
import IPLD
import Multiformats
import Wire

/// A reading that is under way: what was asked for, and what has come and not been used.
final class OpenReading {
    /// How far ahead of what the page has taken blocks are asked for: who wants a range, as players
    /// of films do, is likely to want another one soon.
    static let mostAhead = 8 << 20
    static let mostAheadInRange = 2 << 20
    /// How many bytes the page is given ahead of what it has taken.
    static let handedAhead = 1 << 20
    /// How many blocks may be asked for at a time.
    static let maxAsked = 1024
    /// Shorter pieces are put together until they are so long: a file may be made of millions.
    static let leastPiece = 16 << 10

    var reading: Reading
    let session: WantTable.SessionID
    /// What has been asked for and has not come.
    var asked: Set<Multihash> = []
    /// Blocks that came before their turn.
    var held = [Multihash: ArraySlice<UInt8>]()
    /// Blocks that nobody has.
    var missing = [Multihash: WantTable.Failure]()
    /// The block that was supplied last.
    var current: ArraySlice<UInt8> = []
    /// Where the next block that is asked for stands in the order of the reading.
    var position: UInt64 = 0
    /// How many bytes the page has been given and has not taken.
    var handed = 0
    /// Short pieces that are not told yet.
    var pieces: [UInt8] = []
    /// How many bytes have been handed to the page.
    var total = 0
    /// Whether other pages have been looked for, because of its size and in passing, and told.
    var isSought = false
    var isGlancedFor = false
    var isShared = false
    /// How far ahead of what the page has taken it is read.
    let lookAhead: Int
    /// Whether only what is kept is read.
    let isLocal: Bool
    /// Whether nobody is told that the page has it then.
    let isSecret: Bool
    /// What has been asked for elsewhere than at peers, and why those that were asked first failed.
    var soughtElsewhere: Set<Multihash> = []
    var failedInMesh = [Multihash: WantTable.Failure]()
    /// Whether a block came from elsewhere: then the others are asked for there at once.
    var isElsewhere = false

    init(
        _ reading: Reading, in session: WantTable.SessionID, isHead: Bool, isLocal: Bool,
        isSecret: Bool
    ) {
        self.reading = reading
        self.session = session
        lookAhead =
            isHead ? 0 : reading.isOfRange ? Self.mostAheadInRange : Self.mostAhead
        self.isLocal = isLocal
        self.isSecret = isSecret
    }

    /// Takes a block that has been asked for; false if it has not been, or has come.
    func take(_ hash: Multihash, _ bytes: ArraySlice<UInt8>) -> Bool {
        guard asked.remove(hash) != nil else { return false }
        held[hash] = bytes
        return true
    }
}

extension ContentPeer {
    /// Begins to read what lies at the end of a path; nothing ahead if `isHead`, only from what is
    /// kept if `isLocal`, and without telling anybody that the page has it then if `isSecret`.
    func read(
        _ number: UInt32, _ reading: Reading, isHead: Bool, isLocal: Bool, isSecret: Bool,
        patience: Duration, now: Instant
    ) {
        let session = exchange.openSession(patience: patience, now: now)
        readings[number] = OpenReading(
            reading, in: session, isHead: isHead, isLocal: isLocal, isSecret: isSecret)
        readingOrder.append(number)
        for channel in channelOrder {
            guard let channel = channels[channel], let peer = channel.peer, isAsked(channel) else {
                continue
            }
            exchange.offer(peer, to: session, as: standing, now: now)
        }
        goOn(number, now: now)
        settle(now: now)
    }

    /// Whether a peer is asked for all that is read. Other pages are asked for what they are known
    /// to have, as they need not know what else this one reads; and for all when no node is left.
    func isAsked(_ channel: PageChannel) -> Bool {
        guard channel.carrier == nil else { return false }
        return !channel.isVisitor
            || !channels.values.contains {
                !$0.isVisitor && $0.carrier == nil && $0.peer != nil
            }
    }

    /// How a peer takes part in what is read. If there is one alone it is asked for blocks at once,
    /// and not whether it has them, which would take another round trip.
    var standing: WantTable.Standing {
        let count = channels.values.count { $0.peer != nil && isAsked($0) }
        return count == 1 ? .provider : .neighbour
    }

    /// The page has taken so many bytes of a reading.
    func took(_ count: Int, of number: UInt32, now: Instant) {
        guard let open = readings[number] else { return }
        open.handed -= count
        goOn(number, now: now)
        settle(now: now)
    }

    /// Ends a reading.
    func cancel(_ number: UInt32, now: Instant) {
        end(number, now: now)
        settle(now: now)
    }

    private func end(_ number: UInt32, now: Instant) {
        guard let open = readings.removeValue(forKey: number) else { return }
        readingOrder.removeAll { $0 == number }
        exchange.closeSession(open.session, now: now)
        visitors?.end(open.session)
    }

    func reading(of session: WantTable.SessionID) -> UInt32? {
        readingOrder.first { readings[$0]?.session == session }
    }

    func arrived(_ blocks: [ReceivedBlock], in session: WantTable.SessionID, now: Instant) {
        guard let number = reading(of: session), let open = readings[number] else { return }
        for block in blocks { _ = open.take(block.cid.hash, block.bytes) }
        goOn(number, now: now)
    }

    /// A block came from disk or elsewhere, or nil if it is to be asked for after all.
    func arrived(_ block: ReceivedBlock?, _ cid: CID, of number: UInt32, now: Instant) {
        guard let open = readings[number] else { return }
        let wasAsked =
            if let block { open.take(cid.hash, block.bytes) } else {
                open.asked.remove(cid.hash) != nil
            }
        guard wasAsked else { return }
        goOn(number, now: now)
    }

    func failed(
        _ cid: CID, _ failure: WantTable.Failure, in session: WantTable.SessionID, now: Instant
    ) {
        guard let number = reading(of: session), let open = readings[number] else { return }
        if seekElsewhere(cid, for: number, open) {
            open.failedInMesh[cid.hash] = failure
        } else {
            open.asked.remove(cid.hash)
            open.missing[cid.hash] = failure
        }
        goOn(number, now: now)
    }

    /// Reads on as far as blocks are here and the page takes them.
    private func goOn(_ number: UInt32, now: Instant) {
        guard let open = readings[number] else { return }
        var fault: ReadingFault?
        var isOver = false
        do throws(Reading.Failure) {
            while fault == nil, !isOver, open.handed < OpenReading.handedAhead {
                switch try open.reading.next() {
                case .block(let cid):
                    if let bytes = block(cid, of: open) {
                        open.current = bytes
                        try open.reading.supply(bytes.rawSpan)
                        continue
                    }
                    if !open.asked.contains(cid.hash), open.missing[cid.hash] == nil {
                        ask(cid, of: number, open, now: now)
                    }
                    if let failure = open.missing[cid.hash] {
                        fault = .unavailable(cid, failure)
                        continue
                    }
                    askAhead(number, open, now: now)
                    handPieces(to: number, open)
                    return
                case .found(let size, let range):
                    seek(open, size: size, now: now)
                    tell(
                        .found(
                            number, size: size, range: range, isIndex: open.reading.isAtIndex))
                case .bytes(let range):
                    let start = open.current.startIndex
                    let piece = open.current[
                        (start + range.lowerBound)..<(start + range.upperBound)]
                    open.handed += piece.count
                    open.total += piece.count
                    hand(piece, to: number, open)
                case .names(let names):
                    tell(.listed(number, names))
                    isOver = true
                case .done: isOver = true
                }
            }
        } catch {
            fault = .content(error)
        }
        handPieces(to: number, open)
        if fault == nil, !isOver { askAhead(number, open, now: now) }
        if isOver || open.total >= Visitors.largeSize { share(open) }
        if let fault {
            tell(.failed(number, fault))
        } else if isOver {
            tell(.finished(number))
        } else {
            return
        }
        end(number, now: now)
    }

    private func hand(
        _ piece: ArraySlice<UInt8>, to number: UInt32, _ open: OpenReading
    ) {
        if piece.count < OpenReading.leastPiece {
            open.pieces += piece
            guard open.pieces.count >= OpenReading.leastPiece else { return }
            return handPieces(to: number, open)
        }
        handPieces(to: number, open)
        tell(.bytes(number, piece))
    }

    private func handPieces(to number: UInt32, _ open: OpenReading) {
        guard !open.pieces.isEmpty else { return }
        tell(.bytes(number, open.pieces[...]))
        open.pieces = []
    }

    /// A block that is here.
    private func block(_ cid: CID, of open: OpenReading) -> ArraySlice<UInt8>? {
        if cid.hash.code == .identity { return cid.hash.digest[...] }
        if let bytes = open.held.removeValue(forKey: cid.hash) { return bytes }
        return cache.bytes(of: cid.hash).map { $0[...] }
    }

    /// Asks for the blocks that come next, as far as there is room.
    private func askAhead(_ number: UInt32, _ open: OpenReading, now: Instant) {
        let count = OpenReading.maxAsked
        let room = open.lookAhead - open.handed
        guard open.asked.count < count, room > 0 else { return }
        for cid in open.reading.upcoming(count + open.held.count, within: UInt64(room)) {
            guard open.asked.count < count else { return }
            guard cid.hash.code != .identity, !open.asked.contains(cid.hash),
                open.held[cid.hash] == nil, open.missing[cid.hash] == nil,
                cache.byteCount(of: cid.hash) == nil
            else { continue }
            guard ask(cid, of: number, open, now: now) else { return }
        }
    }

    @discardableResult
    private func ask(
        _ cid: CID, of number: UInt32, _ open: OpenReading, now: Instant
    ) -> Bool {
        if load(cid, for: number) {
            open.asked.insert(cid.hash)
            return true
        }
        if open.isLocal {
            open.missing[cid.hash] = .absent
            return true
        }
        if isElsewhere(open), seekElsewhere(cid, for: number, open) {
            open.asked.insert(cid.hash)
            return true
        }
        open.position += 1
        guard exchange.want(cid, at: open.position, size: nil, in: open.session, now: now) else {
            return false
        }
        open.asked.insert(cid.hash)
        glance(open, now: now)
        return true
    }
}
