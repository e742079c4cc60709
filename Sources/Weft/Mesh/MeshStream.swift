// One stream: bytes are cut into messages, and messages become bytes, blocks read from the store
// between them.

import DequeModule
import Exchange
import Logging
import Multiformats
import NIOCore
import NodeCore
import Transports
import Wire

/// A stream of a connection. All use is on the connection's event loop.
final class MeshStream {
    /// How many bytes, besides blocks that are still in the store, may wait to be sent. A peer that
    /// takes so little of what it asked for loses the stream.
    static let maxWaiting = 8 << 20

    /// How many bytes are sent at once, at most, while the protocol has a ceiling.
    private static let limitedWrite = 32 << 10

    /// How many bytes of small blocks are read from the store at a time.
    private static let readSize = 256 << 10

    /// Blocks of this size on are sent from where they were read; smaller ones are put together.
    private static let directSize = 16 << 10

    private enum Outgoing {
        case bytes(ArraySlice<UInt8>)
        /// A block that is to be as long as this.
        case block(CID, byteCount: Int)
        /// Up to here a message has been sent.
        case end(number: UInt64)
        case finish
    }

    let id: StreamID
    private let stream: PeerStream
    private let connection: MeshConnection
    /// What cuts bytes into messages; nil where there are none.
    private var frames: FrameReader?
    private var intake: ExchangeIntake?
    private var outgoing = Deque<Outgoing>()
    private var waiting = 0
    /// Whether the transport said that there is no room.
    private var isFull = false
    /// Whether the first of `outgoing` is being read.
    private var isReading = false
    /// On a raw stream, what has come since the machine was told of bytes that it has not had yet:
    /// it may make a connection of the stream, whose bytes these are then.
    private var held: [UInt8]?
    private var isFinishHeld = false
    /// Where notices go since the stream became a connection's.
    private var successor: StreamReceiver?
    private let traffic: ProtocolTraffic
    private var inbound: ThrottledFlow?
    private var outbound: ThrottledFlow?
    /// What the transport was told that is held here: half of a message, and what is to be sent.
    private var counted = 0
    /// Bytes that the machine has had, and that the peer is told of when they are paid for.
    private var withheld = 0
    private var isFinishedHere = false
    private var isFinishedThere = false
    private var isGone = false

    init(
        _ id: StreamID, _ stream: PeerStream, _ framing: StreamFraming, _ intake: ExchangeIntake?,
        _ traffic: ProtocolTraffic, of connection: MeshConnection
    ) {
        self.traffic = traffic
        self.id = id
        self.stream = stream
        self.connection = connection
        self.intake = intake
        switch framing {
        case .raw: frames = nil
        case .messages(let limit):
            frames = FrameReader(limit: intake?.maxMessageBytes ?? limit)
        }
        let eventLoop = connection.peer.eventLoop
        inbound = ThrottledFlow(traffic.inbound, on: eventLoop) { [weak self] in
            self?.acknowledge()
        }
        outbound = ThrottledFlow(traffic.outbound, on: eventLoop) { [weak self] in
            self?.pump()
        }
    }

    // MARK: From the peer

    func receive(_ notice: StreamNotice) {
        if let successor { return successor(notice) }
        guard !isGone else { return }
        switch notice {
        case .opened: break
        case .data(let bytes):
            traffic.received.add(bytes.count)
            inbound?.spend(bytes.count)
            receive(bytes)
        case .finished: held == nil ? finished() : (isFinishHeld = true)
        case .room:
            isFull = false
            pump()
        case .ended:
            leave()
            connection.report(.stream(.reset(id)))
        }
    }

    /// The machine has had what these bytes said.
    func consume(_ count: Int) {
        guard !isGone else { return }
        withheld += count
        acknowledge()
        guard successor == nil, let waiting = held else { return }
        held = nil
        if !waiting.isEmpty { receive(waiting[...]) }
        if isFinishHeld, held == nil {
            isFinishHeld = false
            finished()
        }
    }

    /// Tells the transport what is held here.
    private func countHeld() {
        let now = isGone ? 0 : waiting + (frames?.heldBytes ?? 0)
        guard now != counted else { return }
        stream.hold(now - counted)
        counted = now
    }

    /// Lets the peer send as much more as has been paid for.
    private func acknowledge() {
        guard !isGone, withheld > 0, inbound?.isClear != false else { return }
        stream.consume(withheld)
        withheld = 0
    }

    private func receive(_ bytes: ArraySlice<UInt8>) {
        if frames == nil {
            // No more than the stream's window.
            guard held == nil else {
                held?.append(contentsOf: bytes)
                return
            }
            held = []
        }
        defer { countHeld() }
        do throws(DecodeError) {
            let inputs = try read(bytes)
            // The beginning of a message is in its reader, which has a limit of its own.
            guard !inputs.isEmpty else { return consume(bytes.count) }
            connection.report(inputs, of: id.stream, bytes: bytes.count)
        } catch {
            connection.mesh.logger.debug(
                "a stream is not cut into messages as it should be",
                metadata: ["peer": "\(connection.peer.peer)", "error": "\(error)"])
            giveUp()
        }
    }

    private func read(_ bytes: ArraySlice<UInt8>) throws(DecodeError) -> [NodeCore.Input] {
        guard frames != nil else { return [.stream(.message(id, Array(bytes)))] }
        var inputs: [NodeCore.Input] = []
        var reader = ByteReader(bytes.rawSpan)
        while let message = try frames?.next(&reader) { inputs.append(take(message)) }
        return inputs
    }

    /// Hashes blocks here, where many connections use many cores.
    private func take(_ message: [UInt8]) -> NodeCore.Input {
        do throws(DecodeError) {
            guard let received = try intake?.receive(message) else {
                return .stream(.message(id, message))
            }
            return .exchange(id, received)
        } catch {
            return .malformed(id, error)
        }
    }

    private func finished() {
        guard frames?.isBetweenMessages ?? true else { return giveUp() }
        isFinishedThere = true
        connection.report(.stream(.finished(id)))
        leaveIfOver()
    }

    // MARK: From the machine

    func carryOut(_ work: StreamWork) {
        switch work {
        case .send(let bytes): frames == nil ? append(bytes) : append(message: bytes)
        case .transmit(let message, let number):
            var prefix: [UInt8] = []
            prefix.appendVarint(UInt64(message.byteCount))
            append(prefix)
            for piece in message.pieces {
                switch piece {
                case .bytes(let bytes): append(bytes)
                case .block(let cid, let count):
                    outgoing.append(.block(cid, byteCount: count))
                }
            }
            outgoing.append(.end(number: number))
        case .ask(let command):
            intake?.note(command)
            append(message: command.encoded)
        case .finish: outgoing.append(.finish)
        case .reset:
            stream.reset()
            leave()
            return
        }
        guard waiting <= Self.maxWaiting else { return giveUp() }
        pump()
    }

    /// The stream is a connection's from now on, which is made of it here. When that is over, the
    /// machine hears that the stream is.
    func become(
        _ make: (PeerStream) -> (receiver: StreamReceiver, over: EventLoopFuture<Void>),
        received: [UInt8]
    ) {
        guard !isGone, outgoing.isEmpty else { return giveUp() }
        let (receiver, over) = make(stream)
        successor = receiver
        over.assumeIsolated().whenComplete { [self] _ in
            guard !isGone else { return }
            leave()
            connection.report(.stream(.reset(id)))
        }
        let early = received + (held ?? [])
        held = nil
        if !early.isEmpty { receiver(.data(early[...])) }
        if isFinishHeld { receiver(.finished) }
    }

    private func append(message: [UInt8]) {
        var framed: [UInt8] = []
        framed.reserveCapacity(message.count + Varint.maxLength)
        framed.appendVarint(UInt64(message.count))
        framed += message
        append(framed)
    }

    private func append(_ bytes: [UInt8]) {
        guard !bytes.isEmpty else { return }
        waiting += bytes.count
        outgoing.append(.bytes(bytes[...]))
    }

    // MARK: Sending

    private func pump() {
        defer { countHeld() }
        while !isGone, !isFull, !isReading, let next = outgoing.first {
            switch next {
            case .bytes(let bytes):
                guard outbound?.isClear != false else { return }
                let piece = outbound?.isLimited == true ? bytes.prefix(Self.limitedWrite) : bytes
                guard stream.write(piece) else {
                    isFull = true
                    return
                }
                sent(piece.count, of: bytes)
            case .block: readBlocks()
            case .end(let number):
                outgoing.removeFirst()
                connection.report(.sent(number))
            case .finish:
                outgoing.removeFirst()
                stream.finish()
                isFinishedHere = true
                leaveIfOver()
            }
        }
    }

    private func sent(_ count: Int, of bytes: ArraySlice<UInt8>) {
        traffic.sent.add(count)
        outbound?.spend(count)
        waiting -= count
        if count < bytes.count {
            outgoing[0] = .bytes(bytes.dropFirst(count))
        } else {
            outgoing.removeFirst()
        }
    }

    /// Has the next blocks read, small ones together.
    private func readBlocks() {
        var cids: [CID] = []
        var bytes = 0
        gathering: for next in outgoing {
            switch next {
            case .bytes: continue
            case .block(let cid, let count):
                guard cids.isEmpty || bytes + count <= Self.readSize else { break gathering }
                cids.append(cid)
                bytes += count
            case .end, .finish: break gathering
            }
        }
        isReading = true
        connection.read(cids, for: id)
    }

    /// The blocks that were being read; nil for one that is not here any more.
    func loaded(_ blocks: [ArraySlice<UInt8>?]) {
        guard isReading, !isGone else { return }
        isReading = false
        let small = blocks.reduce(0) {
            let count = $1?.count ?? 0
            return $0 + (count < Self.directSize ? count + 16 : 16)
        }
        var ready: [Outgoing] = []
        var joined: [UInt8] = []
        joined.reserveCapacity(small)
        var rest = blocks[...]
        while !rest.isEmpty, let next = outgoing.popFirst() {
            switch next {
            case .bytes(let bytes): joined += bytes
            case .block(_, let count):
                guard let block = rest.removeFirst(), block.count == count else {
                    // The length of the message has been sent, so that half of it cannot be taken
                    // back.
                    return giveUp()
                }
                waiting += count
                if count < Self.directSize {
                    joined += block
                } else {
                    if !joined.isEmpty { ready.append(.bytes(joined[...])) }
                    ready.append(.bytes(block))
                    joined = []
                }
            case .end, .finish: break
            }
        }
        if !joined.isEmpty { ready.append(.bytes(joined[...])) }
        outgoing.prepend(contentsOf: ready)
        pump()
    }

    // MARK: The end

    /// Ends the stream because of what this side or the peer did wrong.
    private func giveUp() {
        stream.reset()
        leave()
        connection.report(.stream(.reset(id)))
    }

    private func leaveIfOver() {
        if isFinishedHere, isFinishedThere { leave() }
    }

    private func leave() {
        isGone = true
        inbound?.end()
        outbound?.end()
        outgoing.removeAll()
        countHeld()
        connection.remove(id)
    }
}
