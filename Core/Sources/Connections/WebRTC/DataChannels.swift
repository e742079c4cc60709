// Streams as data channels of one SCTP association (github.com/libp2p/specs, webrtc; RFC 8831).

import Wire

/// What is to be done with a data channel, in this order.
public enum ChannelOrder: Sendable {
    /// Send a message.
    case send([UInt8], ChannelMessageKind, channel: UInt16)
    /// Close our direction of the channel, after what was sent on it.
    case close(channel: UInt16)
}

/// The data channels of one association.
///
/// SCTP has one window for all channels. What a slow reader has not consumed is bounded by that
/// window, because the shell stops reading while too much is unconsumed (``unconsumed``).
struct DataChannels: StreamMuxer {
    /// A channel that we have closed, until the other side has.
    private struct Closing {
        var isClosedHere = false
        var isClosedThere = false
        var isOver: Bool { isClosedHere && isClosedThere }
    }

    /// Which numbers are ours to give: even for the client of DTLS, odd for its server.
    private let isServer: Bool
    private let limits: YamuxLimits
    var channels = [UInt16: DataChannel]()
    private var closing = [UInt16: Closing]()
    private var nextNumber: UInt16
    private(set) var incomingCount = 0
    private(set) var outgoingCount = 0
    /// Bytes that wait to be sent on all channels.
    private(set) var waiting = 0
    /// Bytes that were handed out on all channels and not yet consumed.
    private(set) var unconsumed = 0
    /// Bytes of frames that have not come whole, on all channels.
    private(set) var partial = 0
    /// Short answers, which are sent first.
    private var answers = BoundedQueue<ChannelOrder>(limit: YamuxLimits.answers)
    /// Whether an answer had no room any more.
    private(set) var isAnswerLost = false
    /// Channels with something to send, in turn, each once; some have gone since.
    private var line: BoundedQueue<UInt16>
    private var isInLine: Set<UInt16> = []
    private var events: [MuxerEvent] = []
    /// Channels whose peer has not confirmed our end.
    private var lingering = DeadlineQueue<UInt16>()

    /// Numbers that are used, so that 1024 streams of SCTP suffice for both sides.
    static let numbers: UInt16 = 1024
    /// How long the peer may take to confirm our end.
    static let finPatience = Duration.seconds(10)

    init(isServer: Bool, limits: YamuxLimits) {
        self.isServer = isServer
        self.limits = limits
        nextNumber = isServer ? 1 : 2
        line = BoundedQueue(limit: Int(Self.numbers))
    }

    // MARK: Streams

    /// Opens a channel. Nil if there are too many.
    mutating func open() -> UInt32? {
        guard outgoingCount < limits.outgoingStreams, let number = freeNumber() else { return nil }
        outgoingCount += 1
        channels[number] = DataChannel(isIncoming: false)
        lineUp(number)
        return UInt32(number)
    }

    private mutating func freeNumber() -> UInt16? {
        for _ in 0..<(Self.numbers / 2) {
            let number = nextNumber
            nextNumber += 2
            if nextNumber >= Self.numbers { nextNumber = isServer ? 1 : 2 }
            if channels[number] == nil, closing[number] == nil { return number }
        }
        return nil
    }

    private func number(_ id: UInt32) -> UInt16 { UInt16(truncatingIfNeeded: id) }

    mutating func write(_ bytes: ArraySlice<UInt8>, to id: UInt32) -> Bool {
        let number = number(id)
        guard channels[number]?.sending == .open, let queued = channels[number]?.queue.byteCount
        else { return true }
        guard queued < limits.sendQueue else {
            channels[number]?.wantsRoom = true
            return false
        }
        channels[number]?.queue.append(bytes)
        waiting += bytes.count
        lineUp(number)
        return true
    }

    /// Ends our direction, after what waits.
    mutating func finish(_ id: UInt32) {
        let number = number(id)
        guard channels[number]?.sending == .open else { return }
        channels[number]?.sending = .finishing
        lineUp(number)
    }

    mutating func reset(_ id: UInt32) {
        let number = number(id)
        guard let channel = channels[number] else { return }
        // A channel that the peer has not heard of needs no end.
        guard channel.isTold else { return remove(number) }
        answer(.send(ChannelFrame(.reset).encoded, .binary, channel: number))
        close(number)
    }

    mutating func consume(_ count: Int, of id: UInt32, now: Instant) {
        guard let before = channels[number(id)]?.unconsumed else { return }
        let after = max(0, before - count)
        channels[number(id)]?.unconsumed = after
        unconsumed -= before - after
    }

    /// Whether a stream has anything left to send or to receive.
    func isOpen(_ id: UInt32) -> Bool { channels[number(id)].map { !$0.isOver } ?? false }

    mutating func takeEvents() -> [MuxerEvent] {
        let taken = events
        events = []
        return taken
    }

    // MARK: From the peer

    /// Takes a message, or a part of one that is too long for its receiver.
    mutating func receive(
        _ bytes: ArraySlice<UInt8>, _ kind: ChannelMessageKind, on number: UInt16, now: Instant
    ) {
        switch kind {
        case .control: control(bytes, on: number)
        case .emptyText, .emptyBinary: break
        case .text, .binary: receive(bytes, on: number, now: now)
        }
    }

    private mutating func control(_ bytes: ArraySlice<UInt8>, on number: UInt16) {
        let message: ChannelOpening
        do throws(DecodeError) {
            message = try ChannelOpening(decoding: bytes.rawSpan)
        } catch {
            return fail(number)
        }
        guard case .open(let isReliable, let label, _) = message else { return }
        // Only what the peer may number, and what is not there.
        guard number.isMultiple(of: 2) == isServer, number < Self.numbers,
            channels[number] == nil, closing[number]?.isClosedThere ?? true
        else { return }
        closing[number] = nil
        // One that only gives two sides something to agree on (libp2p/specs, webrtc/webrtc.md).
        guard !label.elementsEqual("init".utf8) else {
            answer(.send(ChannelOpening.acknowledge.encoded, .control, channel: number))
            return answerClosing(number)
        }
        guard isReliable, incomingCount < limits.incomingStreams else {
            return answerClosing(number)
        }
        incomingCount += 1
        channels[number] = DataChannel(isIncoming: true)
        answer(.send(ChannelOpening.acknowledge.encoded, .control, channel: number))
        events.append(.accepted(UInt32(number)))
    }

    private mutating func receive(
        _ bytes: ArraySlice<UInt8>, on number: UInt16, now: Instant
    ) {
        guard var frames = channels[number]?.frames else { return }
        // Taken out, so that it is not copied.
        channels[number]?.frames = FrameReader(limit: 0)
        partial -= frames.heldBytes
        var input = ByteReader(bytes.rawSpan)
        do throws(DecodeError) {
            while let encoded = try frames.next(&input) {
                let frame = try ChannelFrame(decoding: encoded)
                receive(frame, on: number, now: now)
                guard channels[number] != nil else { return }
            }
        } catch {
            return fail(number)
        }
        partial += frames.heldBytes
        channels[number]?.frames = frames
    }

    private mutating func receive(_ frame: ChannelFrame, on number: UInt16, now: Instant) {
        if !frame.message.isEmpty, channels[number]?.isFinishedThere == false {
            channels[number]?.unconsumed += frame.message.count
            unconsumed += frame.message.count
            events.append(.data(UInt32(number), frame.message[...]))
        }
        switch frame.flag {
        case nil: break
        case .fin:
            guard channels[number]?.isFinishedThere == false else { return }
            channels[number]?.isFinishedThere = true
            events.append(.finished(UInt32(number)))
            answer(.send(ChannelFrame(.finAck).encoded, .binary, channel: number))
            closeIfOver(number, now: now)
        case .finAck:
            guard channels[number]?.sending == .finished else { return }
            channels[number]?.isEndConfirmed = true
            closeIfOver(number, now: now)
        case .stopSending: stopSending(number)
        case .reset:
            events.append(.reset(UInt32(number)))
            close(number)
        }
    }

    /// The peer reads no more: what waits is of no use, and our direction ends.
    private mutating func stopSending(_ number: UInt16) {
        guard let channel = channels[number], channel.sending != .finished else { return }
        waiting -= channel.queue.byteCount
        channels[number]?.queue = ChunkQueue()
        channels[number]?.sending = .finishing
        if channel.wantsRoom {
            channels[number]?.wantsRoom = false
            events.append(.room(UInt32(number)))
        }
        lineUp(number)
    }

    /// The peer has closed its direction of a channel, or ours is closed now.
    mutating func closed(_ number: UInt16, byPeer: Bool) {
        if byPeer, let channel = channels[number] {
            if !channel.isOver { events.append(.reset(UInt32(number))) }
            close(number)
        }
        guard closing[number] != nil else { return }
        if byPeer {
            closing[number]?.isClosedThere = true
        } else {
            closing[number]?.isClosedHere = true
        }
        if closing[number]?.isOver == true { closing[number] = nil }
    }

    /// Closes our direction of a channel that is not one of our streams, because the peer has.
    mutating func answerClosing(_ number: UInt16) {
        guard channels[number] == nil, closing[number] == nil else { return }
        closing[number] = Closing()
        answer(.close(channel: number))
    }

    /// The peer broke the rules on a channel.
    private mutating func fail(_ number: UInt16) {
        guard channels[number] != nil else { return }
        events.append(.reset(UInt32(number)))
        answer(.send(ChannelFrame(.reset).encoded, .binary, channel: number))
        close(number)
    }

    // MARK: Sending

    /// What is to be done next; nil if nothing is.
    mutating func nextOrder(now: Instant) -> ChannelOrder? {
        if let answer = answers.popFirst() { return answer }
        while let number = line.popFirst() {
            isInLine.remove(number)
            guard let bytes = nextFrame(of: number, now: now) else { continue }
            lineUp(number)
            return bytes
        }
        return nil
    }

    private mutating func nextFrame(of number: UInt16, now: Instant) -> ChannelOrder? {
        guard let channel = channels[number], channel.canSend else { return nil }
        guard channel.isTold else {
            channels[number]?.isTold = true
            let opening = ChannelOpening.open(isReliable: true, label: [], protocol: [])
            return .send(opening.encoded, .control, channel: number)
        }
        let count = min(ChannelFrame.maxMessage, channel.queue.byteCount)
        guard count > 0 else {
            channels[number]?.sending = .finished
            closeIfOver(number, now: now)
            return .send(ChannelFrame(.fin).encoded, .binary, channel: number)
        }
        let pieces = channels[number]?.queue.take(count) ?? []
        waiting -= count
        if channel.wantsRoom, channel.queue.byteCount - count < limits.sendQueue {
            channels[number]?.wantsRoom = false
            events.append(.room(UInt32(number)))
        }
        return .send(ChannelFrame.encode(pieces), .binary, channel: number)
    }

    /// Whether there is something to do.
    var wantsToSend: Bool { !answers.isEmpty || !line.isEmpty }

    private mutating func lineUp(_ number: UInt16) {
        guard channels[number]?.canSend == true, isInLine.insert(number).inserted else { return }
        // There are no more numbers than places.
        _ = line.append(number)
    }

    private mutating func answer(_ order: ChannelOrder) {
        if !answers.append(order) { isAnswerLost = true }
    }

    // MARK: The end

    /// Closes a channel whose directions have both ended, when the peer has confirmed ours.
    private mutating func closeIfOver(_ number: UInt16, now: Instant) {
        guard let channel = channels[number], channel.isOver else { return }
        if channel.isEndConfirmed {
            close(number)
        } else {
            lingering.add(number, at: now + Self.finPatience)
        }
    }

    private mutating func close(_ number: UInt16) {
        remove(number)
        answerClosing(number)
    }

    private mutating func remove(_ number: UInt16) {
        guard let channel = channels.removeValue(forKey: number) else { return }
        waiting -= channel.queue.byteCount
        unconsumed -= channel.unconsumed
        partial -= channel.frames.heldBytes
        if channel.isIncoming { incomingCount -= 1 } else { outgoingCount -= 1 }
    }

    /// When ``advance(to:)`` has something to do.
    var deadline: Instant? { lingering.first }

    /// Closes channels whose end the peer does not confirm.
    mutating func advance(to now: Instant) {
        while let number = lingering.popDue(at: now) {
            if channels[number]?.isOver == true { close(number) }
        }
    }
}

/// One data channel.
struct DataChannel {
    /// How far our direction has come.
    enum Side {
        case open
        /// The end has been asked for and comes after what waits.
        case finishing
        case finished
    }

    let isIncoming: Bool
    /// Whether the peer knows of it.
    var isTold: Bool
    var sending = Side.open
    /// Whether the peer has everything that we sent.
    var isEndConfirmed = false
    /// Whether the peer has ended its direction.
    var isFinishedThere = false
    var frames = FrameReader(limit: ChannelFrame.maxLength)
    /// Bytes that wait to be sent.
    var queue = ChunkQueue()
    /// Whether a write was refused, so that room has to be told.
    var wantsRoom = false
    /// Bytes that were handed out and not yet consumed.
    var unconsumed = 0

    init(isIncoming: Bool) {
        self.isIncoming = isIncoming
        isTold = isIncoming
    }

    var canSend: Bool { !isTold || queue.byteCount > 0 || sending == .finishing }

    /// Whether both directions have ended.
    var isOver: Bool { sending == .finished && isFinishedThere }
}
