// One peer of a WebRTC listener: DTLS, SCTP over it, and the connection machine on that.

import CWebRTC
import Connections
import Glibc
import Multiformats
import NIOCore
import Synchronization
import Wire

/// Drives one connection machine with one association. All on the event loop of WebRTC.
final class WebRTCPeer: StreamCarrier {
    /// Its number in the process, and with its listener.
    let number: UInt64
    let place: UInt64
    /// Where datagrams to it go.
    var path: WebRTCPath
    /// Who it has to be, if that was agreed.
    private let expected: ExpectedPeer?
    private let listener: WebRTCListener
    private let stack = WebRTCStack.shared
    private let dtls: OpaquePointer
    private var association: OpaquePointer?
    private var connection: WebRTCConnection?
    /// Whether messages can be sent.
    private var isUp = false
    /// What could not be done, because there was no room.
    private var pending: ChannelOrder?
    private var receivers = StreamReceivers()
    private var handle: PeerConnection?
    private let counts = TrafficCounts()
    private let memory: MemoryShare
    private var heldByStreams = 0
    private var isReadingPaused = false
    private var inbound: ThrottledFlow?
    private var outbound: ThrottledFlow?
    private var timer: (at: NIODeadline, task: Scheduled<Void>)?
    private var isPumping = false
    private var hasEnded = false

    private var eventLoop: any EventLoop { stack.eventLoop }

    private static func now() -> Instant {
        Instant(nanoseconds: NIODeadline.now().uptimeNanoseconds)
    }

    /// The peer of a connection that it is told to be number `number`.
    init(
        _ number: UInt64, _ dtls: OpaquePointer, place: UInt64, by path: WebRTCPath,
        expecting expected: ExpectedPeer?, of listener: WebRTCListener
    ) {
        weft_dtls_start(dtls, number) { number, bytes, count in
            WebRTCStack.shared.peer(number)?.sendDatagram(bytes, count)
        }
        self.dtls = dtls
        self.number = number
        self.place = place
        self.path = path
        self.expected = expected
        self.listener = listener
        memory = MemoryShare(listener.context.memory)
        memory.start(
            on: stack.eventLoop,
            pause: { [weak self] in self?.pauseReading($0) },
            recount: { [weak self] in self?.countMemory() },
            runOut: { [weak self] in self?.end(.overMemory) })
        let bandwidth = listener.context.bandwidth
        inbound = ThrottledFlow(bandwidth.inbound, on: stack.eventLoop) { [weak self] in
            self?.wake()
        }
        outbound = ThrottledFlow(bandwidth.outbound, on: stack.eventLoop) { [weak self] in
            self?.wake()
        }
        countMemory()
    }

    deinit { weft_dtls_free(dtls) }

    // MARK: Datagrams

    /// Takes a datagram of DTLS, or what was taken before. Returns whether there was something in
    /// it that nobody but the peer can have said, just now.
    @discardableResult
    func receive(_ datagram: UnsafeBufferPointer<UInt8>?) -> Bool {
        guard !hasEnded else { return false }
        var isAuthentic = false
        if let datagram, let start = datagram.baseAddress {
            counts.received.add(UInt64(datagram.count), ordering: .relaxed)
            inbound?.spend(datagram.count)
            weft_dtls_receive(dtls, start, datagram.count)
        }
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: WebRTCStack.scratchSize) { room in
            guard let scratch = room.baseAddress else { return }
            while !hasEnded {
                let count = weft_dtls_read(dtls, scratch, room.count)
                guard count >= 0 else {
                    return end(isUp ? .closed : .tls("the peer ended the handshake"))
                }
                if connection == nil, weft_dtls_is_open(dtls) { startAssociation() }
                guard count > 0 else { break }
                isAuthentic = true
                connection?.hear(now: Self.now())
                if association != nil { weft_sctp_receive(number, scratch, Int(count)) }
            }
        }
        setTimer()
        return isAuthentic
    }

    /// Sends a packet of SCTP.
    func sendPacket(_ bytes: UnsafePointer<UInt8>, _ count: Int) {
        _ = weft_dtls_send(dtls, bytes, count)
    }

    /// Sends a datagram.
    func sendDatagram(_ bytes: UnsafePointer<UInt8>, _ count: Int) {
        counts.sent.add(UInt64(count), ordering: .relaxed)
        outbound?.spend(count)
        listener.send(UnsafeBufferPointer(start: bytes, count: count), by: path)
    }

    /// The handshake of DTLS is over.
    private func startAssociation() {
        var client = [UInt8](repeating: 0, count: 32)
        guard weft_dtls_fingerprint(dtls, &client),
            expected.map({ $0.fingerprint == client }) ?? true
        else { return end(.tls("the peer shows no certificate, or another than it said")) }
        guard let association = weft_sctp_open(number) else { return end(.overLimit) }
        self.association = association
        let context = listener.context
        if let expected {
            connection = WebRTCConnection(
                isServer: true, agreedWith: expected.peer, options: context.options,
                now: Self.now())
            return
        }
        do throws(ConnectionError) {
            connection = try WebRTCConnection(
                .server, options: context.options, secrets: .random(), clientFingerprint: client,
                serverFingerprint: context.certificate.fingerprint, now: Self.now())
        } catch {
            end(.failed(error))
        }
    }

    // MARK: The association

    private func wake() { stack.wake(number) }

    /// Reads and sends what can be.
    func work() {
        read()
        pump()
    }

    private var mayRead: Bool {
        !hasEnded && !isReadingPaused && connection?.wantsToReceive == true
            && inbound?.isClear != false
    }

    private func read() {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: WebRTCStack.scratchSize) { room in
            guard let scratch = room.baseAddress else { return }
            while mayRead, let association {
                let result = weft_sctp_read(association, scratch, room.count)
                guard result.event != weft_sctp_nothing else { return }
                take(result, room)
                dispatch()
                countMemory()
            }
        }
    }

    private func take(_ result: weft_sctp_read_result, _ room: UnsafeMutableBufferPointer<UInt8>) {
        let now = Self.now()
        switch result.event {
        case weft_sctp_data:
            guard let kind = ChannelMessageKind(rawValue: result.protocol) else { return }
            let bytes = Array(room[..<result.count])
            do throws(ConnectionError) {
                try connection?.receive(bytes[...], kind, on: result.stream, now: now)
            } catch {
                dispatch()
                end(.failed(error))
            }
        case weft_sctp_up: isUp = true
        case weft_sctp_down: end(.closed)
        case weft_sctp_closed, weft_sctp_closed_by_peer:
            let isPeer = result.event == weft_sctp_closed_by_peer
            // None stand for all.
            guard result.count > 0 else { return isPeer ? end(.closed) : () }
            room.withMemoryRebound(to: UInt16.self) { streams in
                for stream in streams[..<result.count] {
                    connection?.closed(stream, byPeer: isPeer, now: now)
                }
            }
        default: break
        }
    }

    /// Sends what may be sent, and sets the timer.
    private func pump() {
        guard !isPumping, !hasEnded else { return }
        isPumping = true
        dispatch()
        while isUp, !hasEnded, let order = pending ?? connection?.nextOrder(now: Self.now()) {
            pending = nil
            guard carryOut(order) else {
                pending = order
                break
            }
            dispatch()
        }
        outbound?.settle()
        receivers.forgetEnded { connection?.isOpen($0) == true }
        countMemory()
        setTimer()
        isPumping = false
    }

    /// Returns whether there was room for it.
    private func carryOut(_ order: ChannelOrder) -> Bool {
        guard let association else { return true }
        switch order {
        case .close(let channel):
            _ = weft_sctp_close_stream(association, channel)
            return true
        case .send(let bytes, let kind, let channel):
            guard outbound?.room(for: bytes.count) != 0 else { return false }
            let error = weft_sctp_send(association, bytes, bytes.count, channel, kind.rawValue)
            guard error != EWOULDBLOCK else { return false }
            // A stream with a hole in it is of no use.
            if error != 0 { end(.closed) }
            return true
        }
    }

    // MARK: The machine

    private func dispatch() {
        while let event = connection?.nextEvent() {
            switch event {
            case .ready(let peer): becomeReady(peer)
            case .accepted(let id, let name): accept(id, name)
            case .tlsWanted, .goAway: break
            case .silent: receivers.onPresence?(.silent)
            case .awake: receivers.onPresence?(.awake)
            case .opened, .refused, .data, .finished, .reset, .room:
                guard let telling = receivers.take(event) else { continue }
                telling.receiver(telling.notice)
            }
        }
    }

    private func becomeReady(_ peer: PeerID) {
        let handle = PeerConnection(
            peer: peer, carrier: self, on: eventLoop, remote: path.remote,
            local: path.local ?? listener.localAddress, counts: counts, isWebRTC: true)
        self.handle = handle
        listener.ready(self, handle)
    }

    private func accept(_ id: UInt32, _ name: ProtocolName) {
        let stream = PeerStream(id: id, carrier: self)
        guard let handle, let receiver = listener.context.acceptor(handle, stream, name) else {
            connection?.reset(id)
            return
        }
        receivers.add(id, receiver)
    }

    private func pauseReading(_ isPaused: Bool) {
        guard isReadingPaused != isPaused else { return }
        isReadingPaused = isPaused
        if !isPaused { wake() }
    }

    private func countMemory() {
        guard !hasEnded else { return }
        // What the association holds is not known, only when that is all that it may.
        var held = (connection?.heldBytes ?? 0) + heldByStreams
        if pending != nil { held += Int(WEFT_SCTP_BUFFER) }
        if connection?.wantsToReceive == false { held += Int(WEFT_SCTP_BUFFER) }
        memory.count(held)
    }

    private func setTimer() {
        guard !hasEnded else { return }
        let wait = weft_dtls_timeout(dtls)
        var at = wait < 0 ? nil : NIODeadline.now() + .milliseconds(wait)
        if let deadline = connection?.deadline {
            let due = NIODeadline.uptimeNanoseconds(deadline.nanoseconds)
            at = min(at ?? due, due)
        }
        guard let at else { return }
        if let timer {
            // A timer that is too early sets the next one when it fires.
            guard at < timer.at else { return }
            timer.task.cancel()
        }
        let task = eventLoop.assumeIsolated().scheduleTask(deadline: at) {
            self.timer = nil
            self.advance()
        }
        timer = (at, task)
    }

    private func advance() {
        guard weft_dtls_resend(dtls) else { return end(.closed) }
        do throws(ConnectionError) {
            try connection?.advance(to: Self.now())
        } catch {
            return end(.failed(error))
        }
        work()
    }

    /// Ends the connection, and tells everybody.
    func end(_ error: TransportError) {
        guard !hasEnded else { return }
        hasEnded = true
        timer?.task.cancel()
        timer = nil
        if let association { weft_sctp_close(association, number) }
        association = nil
        weft_dtls_close(dtls)
        stack.remove(number)
        listener.remove(self)
        inbound?.end()
        outbound?.end()
        memory.end()
        pending = nil
        for receiver in receivers.removeAll() { receiver(.ended(error)) }
        // Who has offered a connection is told that nothing comes of it.
        if handle == nil { expected?.call.lost() }
        handle?.end(error)
        handle = nil
    }
}

// What streams and their owner ask for.
extension WebRTCPeer {
    func open(
        _ protocols: [ProtocolName], _ receiver: @escaping (PeerStream) -> StreamReceiver
    ) -> PeerStream? {
        guard !hasEnded, let id = connection?.open(protocols, now: Self.now()) else { return nil }
        let stream = PeerStream(id: id, carrier: self)
        receivers.add(id, receiver(stream))
        wake()
        return stream
    }

    func write(_ bytes: ArraySlice<UInt8>, to id: UInt32) -> Bool {
        let isTaken = connection?.write(bytes, to: id) ?? true
        wake()
        return isTaken
    }

    func finish(_ id: UInt32) {
        connection?.finish(id)
        receivers.finished(id)
        wake()
    }

    func reset(_ id: UInt32) {
        receivers.remove(id)
        connection?.reset(id)
        wake()
    }

    func hold(_ change: Int) {
        heldByStreams += change
        if change > 0 { countMemory() }
    }

    func consume(_ count: Int, of id: UInt32) {
        connection?.consume(count, of: id, now: Self.now())
        wake()
    }

    func check(_ onPresence: @escaping (PeerPresence) -> Void) {
        guard !hasEnded, let association else { return }
        receivers.onPresence = onPresence
        connection?.check(roundTrip: roundTrip, now: Self.now())
        weft_sctp_ask(association, number)
        wake()
    }

    func close() {
        pump()
        end(.closed)
    }

    var roundTrip: Duration? {
        guard let association else { return nil }
        let milliseconds = weft_sctp_round_trip(association)
        return milliseconds == 0 ? nil : .milliseconds(Int(milliseconds))
    }
}
