import Wire

/// Bytes that wait to be sent, in the pieces in which they came, without copies.
struct ChunkQueue {
    private var chunks: [ArraySlice<UInt8>] = []
    private var head = 0
    /// How many bytes wait.
    private(set) var byteCount = 0

    mutating func append(_ chunk: ArraySlice<UInt8>) {
        guard !chunk.isEmpty else { return }
        chunks.append(chunk)
        byteCount += chunk.count
    }

    /// Removes the first `count` bytes, which must be there.
    mutating func take(_ count: Int) -> [ArraySlice<UInt8>] {
        precondition(count <= byteCount, "not so much is waiting")
        byteCount -= count
        var taken: [ArraySlice<UInt8>] = []
        var missing = count
        while missing > 0 {
            let chunk = chunks[head]
            if chunk.count <= missing {
                taken.append(chunk)
                chunks[head] = []
                head += 1
                missing -= chunk.count
            } else {
                taken.append(chunk.prefix(missing))
                chunks[head] = chunk.dropFirst(missing)
                missing = 0
            }
        }
        if head == chunks.count || head >= 64 {
            chunks.removeFirst(head)
            head = 0
        }
        return taken
    }
}

/// One stream of a yamux connection: what may be sent, what waits, and what the peer may send.
struct YamuxStream {
    /// Whether the peer knows of the stream, or has accepted it.
    enum Opening {
        /// We have opened it and the peer has not been told.
        case untold
        /// The peer has been told, and has not answered.
        case told
        case open
    }

    /// How far a direction has come.
    enum Side {
        case open
        /// The end has been asked for and comes after what waits.
        case finishing
        case finished
    }

    var opening: Opening
    let isIncoming: Bool
    var sending = Side.open
    var receiving = Side.open

    /// Bytes that wait to be sent.
    var queue = ChunkQueue()
    /// How many bytes the peer takes now. It may add any amount, so this is wider than a frame's
    /// length.
    var sendWindow = UInt64(YamuxLimits.firstWindow)
    /// Whether the stream stands in the line of those with something to send.
    var isLinedUp = false
    /// Whether a write was refused, so that room has to be told.
    var wantsRoom = false

    /// The most bytes that may be under way or not yet consumed.
    var window = YamuxLimits.firstWindow
    /// How many bytes the peer may still send.
    var credit = YamuxLimits.firstWindow
    /// Bytes that were handed out and not yet consumed.
    var unconsumed = 0
    /// When the peer was last given credit.
    var lastCredit: Instant

    init(opening: Opening, isIncoming: Bool, now: Instant) {
        self.opening = opening
        self.isIncoming = isIncoming
        lastCredit = now
    }

    /// Whether there is something to send that may be sent.
    var canSend: Bool {
        if opening == .untold || (sending == .finishing && queue.byteCount == 0) { return true }
        return queue.byteCount > 0 && sendWindow > 0
    }

    /// Whether both directions have ended.
    var isOver: Bool { sending == .finished && receiving == .finished }
}
