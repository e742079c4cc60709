// What weft-content.wasm exports: the page as a peer. There is one in a module. What happens is
// told by `weft_host_event`, what is to be sent by `weft_host_send`, both before a call returns.
// Times are milliseconds of a clock that only goes forward.

import CFreestanding
import Connections
import Exchange
import IPLD
import Multiformats
import Peering
import Wire

/// The page, once it has been started; the module has one thread.
nonisolated(unsafe) var page: ContentPeer?

/// Starts the page's peer. The argument is a secret of 64 random bytes, and the name of the
/// software; the reply is the peer's name.
@c(weft_start)
public func start(
    _ argument: UnsafeRawPointer?, _ count: UInt32, _ cacheLimit: UInt32, _ isServing: UInt32
) -> UnsafeMutableRawPointer? {
    unsafe reply(to: argument, count) { argument throws(DecodeError) in
        guard argument.byteCount >= 64 else {
            throw DecodeError(.truncated, "a secret has 64 bytes")
        }
        let bytes = [UInt8](argument)
        do throws(NoiseFault) {
            let peer = try ContentPeer(
                secret: Array(bytes[..<64]), agent: Array(bytes[64...]),
                cacheLimit: Int(min(cacheLimit, 1 << 30)), hash: askForHash)
            peer.isServing = isServing != 0
            unsafe page = peer
            return Array(peer.peer.description.utf8)
        } catch {
            throw DecodeError(.unsupported, "the secret makes no key")
        }
    }
}

/// Whether the page meets other pages from now on. The time is in seconds since the start of 1970.
@c(weft_meet)
public func meet(_ isMeeting: UInt32, _ time: Double, _ now: Double) {
    let clock = WallClock(Timestamp(seconds: wholeNumber(time), nanoseconds: 0), at: instant(now))
    if isMeeting != 0 {
        unsafe page?.meet(clock: clock, now: instant(now))
    } else {
        unsafe page?.leaveVisitors(now: instant(now))
    }
    drain()
}

/// Has the page connected with other pages that have a contract, given by the text of its CID. An
/// empty reply, or what is wrong.
@c(weft_seek)
public func seek(
    _ text: UnsafeRawPointer?, _ count: UInt32, _ now: Double
) -> UnsafeMutableRawPointer? {
    defer { drain() }
    return unsafe reply(to: text, count) { text throws(DecodeError) in
        unsafe page?.seek(try CID(utf8: text), now: instant(now))
        return []
    }
}

/// What the page has to say about an association with another page, by the number of a
/// `SignalStep`: an offer, an answer, a way to it, or that nothing comes of it.
@c(weft_signal)
public func signal(
    _ call: UInt32, _ step: UInt32, _ text: UnsafeRawPointer?, _ count: UInt32, _ now: Double
) {
    guard let step = SignalStep(rawValue: step) else { return }
    let text = unsafe UnsafeRawBufferPointer(start: text, count: Int(count))
    unsafe page?.say(step, [UInt8](unsafe text.bytes), in: UInt64(call), now: instant(now))
    drain()
}

/// The page has made an association with another page, as agreed in a call; it is a channel from
/// now on. An empty reply, or that it is of no use.
@c(weft_met)
public func met(
    _ call: UInt32, _ channel: UInt32, _ isServer: UInt32, _ now: Double
) -> UnsafeMutableRawPointer? {
    defer { drain() }
    return unsafe reply(to: nil, 0) { _ throws(DecodeError) in
        let isWanted = unsafe page?.met(
            UInt64(call), channel, isServer: isServer != 0, now: instant(now))
        guard isWanted == true else {
            throw DecodeError(.overLimit, "the page has a connection with it, or too many")
        }
        return []
    }
}

/// How an address is dialled: the peer's name, and the URL of a WebSocket; or the peer's name, the
/// IP address, the port and the fingerprint of a WebRTC listener; or the peer's name, the address
/// of the relay that leads to it, and the relay's name. Each in a line.
@c(weft_address)
public func address(_ text: UnsafeRawPointer?, _ count: UInt32) -> UnsafeMutableRawPointer? {
    unsafe reply(to: text, count) { text throws(DecodeError) in
        let address = try multiaddr(text)
        guard let peer = address.peer else {
            throw DecodeError(.malformed, "the address does not say which peer is there (/p2p/…)")
        }
        let relay = address.pageRelay.map {
            Array(($0.address.description + "\n" + $0.peer.description).utf8)
        }
        guard let way = relay ?? address.webSocketURL ?? address.webRTCListener else {
            throw DecodeError(
                .unsupported, "a page dials …/tcp/…/ws, …/wss and …/udp/…/webrtc-direct/certhash/…")
        }
        return Array(peer.description.utf8) + [0x0a] + way
    }
}

private func multiaddr(_ text: RawSpan) throws(DecodeError) -> Multiaddr {
    try Multiaddr(text: String(decoding: [UInt8](text), as: UTF8.self))
}

/// Connects with the node at an address that leads through a peer which is connected. The page
/// has this number for it, until an association is there; then it is told of that. The time is in
/// seconds since the start of 1970. An empty reply, or why it is of no use.
@c(weft_reach)
public func reach(
    _ channel: UInt32, _ text: UnsafeRawPointer?, _ count: UInt32, _ time: Double, _ now: Double
) -> UnsafeMutableRawPointer? {
    defer { drain() }
    return unsafe reply(to: text, count) { text throws(DecodeError) in
        let address = try multiaddr(text)
        let clock = WallClock(
            Timestamp(seconds: wholeNumber(time), nanoseconds: 0), at: instant(now))
        guard let page = unsafe page, let node = address.peer, let relay = address.pageRelay,
            page.reach(
                address, node, via: relay.peer, on: channel, clock: clock, now: instant(now))
        else { throw DecodeError(.overLimit, "it is connected, or there are too many connections") }
        return []
    }
}

/// The page is dialling so many peers. Until there are none nobody is said to lack something.
@c(weft_dialling)
public func dialling(_ count: UInt32, _ now: Double) {
    unsafe page?.isDialling(Int(count), now: instant(now))
    drain()
}

/// The page has opened a channel to an address. An empty reply, or why it is of no use.
@c(weft_opened)
public func opened(
    _ channel: UInt32, _ text: UnsafeRawPointer?, _ count: UInt32, _ now: Double
) -> UnsafeMutableRawPointer? {
    defer { drain() }
    return unsafe reply(to: text, count) { text throws(DecodeError) in
        guard let page = unsafe page, page.channels.count < ContentPeer.maxChannels else {
            throw DecodeError(.overLimit, "the page has too many connections")
        }
        let address = try multiaddr(text)
        do throws(ConnectionError) {
            let random = makeRandom(ConnectionSecrets.byteCount)
            try page.opened(channel, to: address, random: random, now: instant(now))
        } catch {
            throw DecodeError(.unsupported, "the connection cannot be encrypted here")
        }
        return []
    }
}

/// The page has made an association with data channels with the WebRTC listener at an address; its
/// own certificate has the SHA2-256 fingerprint of 32 bytes that stands before the address.
@c(weft_associated)
public func associated(
    _ channel: UInt32, _ argument: UnsafeRawPointer?, _ count: UInt32, _ now: Double
) -> UnsafeMutableRawPointer? {
    defer { drain() }
    return unsafe reply(to: argument, count) { argument throws(DecodeError) in
        guard let page = unsafe page, page.channels.count < ContentPeer.maxChannels else {
            throw DecodeError(.overLimit, "the page has too many connections")
        }
        guard argument.byteCount > 32 else {
            throw DecodeError(.truncated, "a fingerprint has 32 bytes")
        }
        let address = try multiaddr(argument.extracting(32...))
        guard let fingerprint = address.fingerprint else {
            throw DecodeError(.malformed, "the address names no SHA2-256 of a certificate")
        }
        do throws(ConnectionError) {
            try page.opened(
                channel, to: address, ownFingerprint: [UInt8](argument.extracting(..<32)),
                peerFingerprint: fingerprint, random: makeRandom(ConnectionSecrets.byteCount),
                now: instant(now))
        } catch {
            throw DecodeError(.unsupported, "the connection cannot be encrypted here")
        }
        return []
    }
}

/// A message came on a data channel, whose kind has the number that it has in SCTP.
@c(weft_message)
public func message(
    _ channel: UInt32, _ stream: UInt32, _ kind: UInt32, _ bytes: UnsafeRawPointer?,
    _ count: UInt32, _ now: Double
) {
    guard let kind = ChannelMessageKind(rawValue: kind) else { return }
    let bytes = unsafe UnsafeRawBufferPointer(start: bytes, count: Int(count))
    unsafe page?.receive(
        [UInt8](unsafe bytes.bytes), kind, on: UInt16(truncatingIfNeeded: stream), of: channel,
        now: instant(now))
    drain()
}

/// A data channel is closed, from the other side or from here.
@c(weft_message_end)
public func messageEnd(_ channel: UInt32, _ stream: UInt32, _ isByPeer: UInt32, _ now: Double) {
    unsafe page?.closed(
        UInt16(truncatingIfNeeded: stream), byPeer: isByPeer != 0, of: channel, now: instant(now))
    drain()
}

/// Bytes came on a channel.
@c(weft_received)
public func received(
    _ channel: UInt32, _ bytes: UnsafeRawPointer?, _ count: UInt32, _ now: Double
) {
    let bytes = unsafe UnsafeRawBufferPointer(start: bytes, count: Int(count))
    unsafe page?.receive(unsafe bytes.bytes, on: channel, now: instant(now))
    drain()
}

/// A channel was closed from the other side.
@c(weft_closed)
public func closed(_ channel: UInt32, _ now: Double) {
    unsafe page?.closed(channel, now: instant(now))
    drain()
}

/// Ends a connection.
@c(weft_close)
public func close(_ channel: UInt32, _ now: Double) {
    unsafe page?.close(channel, now: instant(now))
    drain()
}

/// A channel that was full has room again.
@c(weft_writable)
public func writable(_ channel: UInt32) {
    guard let page = unsafe page, let channel = page.channels[channel] else { return }
    channel.isFull = false
    // What waited has gone out, as the peer has confirmed what came before it.
    channel.presence?.heard(now: page.lastTime)
    drain()
}

/// Does what is due.
@c(weft_advance)
public func advance(_ now: Double) {
    unsafe page?.advance(to: instant(now))
    drain()
}

/// When `weft_advance` is to be called next; infinite if nothing is due.
@c(weft_deadline)
public func deadline() -> Double {
    guard let deadline = unsafe page?.deadline else { return .infinity }
    return Double(deadline.nanoseconds) / 1_000_000
}

/// Begins to read: a CID's text and the names of a path, each after a zero byte. The bytes from
/// `from` to `to`, both included; negative counts from the end; `to` that is no number is the end,
/// `from` that is none is all. With the first bit of `how` the names in a folder are read, and not
/// its index.html; with the second one nobody is asked; with the third nobody is told of it; with
/// the fourth nothing is read ahead. An empty reply, or what is wrong.
@c(weft_read)
public func read(
    _ reading: UInt32, _ text: UnsafeRawPointer?, _ count: UInt32, _ from: Double, _ to: Double,
    _ how: UInt32, _ patience: Double, _ now: Double
) -> UnsafeMutableRawPointer? {
    defer { drain() }
    return unsafe reply(to: text, count) { text throws(DecodeError) in
        guard let page = unsafe page, page.readings.count < ContentPeer.maxReadings else {
            throw DecodeError(.overLimit, "the page reads too much at once")
        }
        let parts = [UInt8](text).split(separator: 0, omittingEmptySubsequences: false)
        let root = try CID(utf8: Array(parts[0]).rawSpan)
        let path = parts.dropFirst().map { String(decoding: $0, as: UTF8.self) }
        let wanted =
            from.isNaN
            ? nil : EntityBytes(from: wholeNumber(from), to: to.isNaN ? nil : wholeNumber(to))
        page.read(
            reading, Reading(root: root, path: path, wanted: wanted, isListing: how & 1 != 0),
            isHead: how & 8 != 0, isLocal: how & 2 != 0, isSecret: how & 4 != 0,
            patience: .milliseconds(min(max(wholeNumber(patience), 0), longestPatience)),
            now: instant(now))
        return []
    }
}

/// The page has taken so many bytes of a reading, and wants more.
@c(weft_took)
public func took(_ reading: UInt32, _ count: UInt32, _ now: Double) {
    unsafe page?.took(Int(count), of: reading, now: instant(now))
    drain()
}

/// Ends a reading.
@c(weft_cancel)
public func cancel(_ reading: UInt32, _ now: Double) {
    unsafe page?.cancel(reading, now: instant(now))
    drain()
}

/// The next bytes of what the page adds, under a number of its choice. An empty reply, or that
/// there is no room; then it is forgotten.
@c(weft_put)
public func put(
    _ number: UInt32, _ bytes: UnsafeRawPointer?, _ count: UInt32, _ now: Double
) -> UnsafeMutableRawPointer? {
    defer { drain() }
    return unsafe reply(to: bytes, count) { bytes throws(DecodeError) in
        guard unsafe page?.put(number, bytes, now: instant(now)) == true else {
            throw DecodeError(.overLimit, "there is no room for it (storage.memory)")
        }
        return []
    }
}

/// Ends what the page adds. The text of its CID, or that there is no room.
@c(weft_put_end)
public func putEnd(_ number: UInt32, _ now: Double) -> UnsafeMutableRawPointer? {
    defer { drain() }
    return unsafe reply(to: nil, 0) { _ throws(DecodeError) in
        guard let root = unsafe page?.endPutting(number, now: instant(now)) else {
            throw DecodeError(.overLimit, "there is no room for it (storage.memory)")
        }
        return Array(root.description.utf8)
    }
}

/// Ends what the page adds before its end, and forgets it.
@c(weft_put_cancel)
public func cancelPutting(_ number: UInt32) {
    unsafe page?.cancelPutting(number)
}

/// Counts since the start: 0 bytes of blocks that came, 1 bytes given to peers, 2 bytes in the
/// cache, 3 blocks in it.
@c(weft_count)
public func count(_ what: UInt32) -> Double {
    guard let page = unsafe page else { return 0 }
    return switch what {
    case 0: Double(page.traffic.fetched)
    case 1: Double(page.traffic.served)
    case 2: Double(page.cache.byteCount)
    default: Double(page.cache.count)
    }
}

/// Whether peers are given what is kept, from now on.
@c(weft_serve)
public func serve(_ isServing: UInt32) {
    unsafe page?.isServing = isServing != 0
}

func instant(_ milliseconds: Double) -> Instant {
    Instant(nanoseconds: UInt64(max(0, milliseconds) * 1_000_000))
}

/// The longest patience in milliseconds, of 24 days: what timers of pages take.
private let longestPatience: Int64 = 0x7fff_ffff

/// The whole part of a number, or the nearest one that scripts count to; 0 if it is no number.
func wholeNumber(_ number: Double) -> Int64 {
    number.isNaN ? 0 : Int64(min(max(number, -0x1p53), 0x1p53))
}

func makeRandom(_ count: Int) -> [UInt8] {
    var generator = SystemRandomNumberGenerator()
    return (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
}

/// Sends what is to be sent and tells what has happened.
func drain() {
    guard let page = unsafe page else { return }
    var hasSent = true
    while hasSent {
        hasSent = false
        for number in page.channelOrder {
            if let channel = page.channels[number], send(of: channel, page) { hasSent = true }
        }
        for channel in page.leaving where send(of: channel, page) { hasSent = true }
        page.leaving = []
        // Sending has made room for more, until the page's channels or the peers' windows are full.
        page.settle(now: page.lastTime)
    }
    while let event = page.nextEvent() { tell(event) }
}

/// Sends what a channel takes; answers whether that was anything.
private func send(of channel: PageChannel, _ page: ContentPeer) -> Bool {
    var hasSent = false
    // Those that lead through others are not the page's.
    guard channel.carrier == nil else { return false }
    while !channel.isFull {
        let bytes = page.transmit(on: channel)
        guard !bytes.isEmpty else { break }
        let hasRoom = unsafe bytes.withUnsafeBytes {
            unsafe weft_host_send(channel.number, $0.baseAddress, $0.count)
        }
        channel.isFull = hasRoom == 0
        hasSent = true
    }
    while !channel.isFull, let order = channel.nextOrder(now: page.lastTime) {
        let hasRoom: UInt32
        switch order {
        case .close(let stream):
            hasRoom = weft_host_message(channel.number, UInt32(stream), 0, nil, 0)
        case .send(let bytes, let kind, let stream):
            hasRoom = unsafe bytes.withUnsafeBytes {
                unsafe weft_host_message(
                    channel.number, UInt32(stream), kind.rawValue, $0.baseAddress, $0.count)
            }
        }
        channel.isFull = hasRoom == 0
        hasSent = true
    }
    return hasSent
}

private func tell(_ event: ContentPeer.Event) {
    switch event {
    case .ready(let channel, let peer): tell(1, channel, text: peer.description)
    case .ended(let channel, let reason): tell(2, channel, text: reason)
    case .found(let reading, let size, let range, let isIndex):
        var bytes: [UInt8] = []
        bytes.appendLittleEndian(range.lowerBound)
        bytes.appendLittleEndian(range.upperBound)
        bytes.append(isIndex ? 1 : 0)
        tell(3, reading, Double(size), bytes[...])
    case .bytes(let reading, let bytes): tell(4, reading, 0, bytes)
    case .finished(let reading): tell(5, reading, 0, [])
    case .listed(let reading, let names): tell(28, reading, 0, names[...])
    case .failed(let reading, let fault): tell(fault, of: reading)
    case .news(let reading, let peer, let news):
        tell(7, reading, 0, (Array(peer.description.utf8) + [UInt8(ascii: " ")] + news.told)[...])
    case .arrived(let reading, let peer, let count):
        tell(30, reading, Double(count), text: peer.description)
    case .gave(let peer, let count): tell(31, 0, Double(count), text: peer.description)
    case .page(let event): tell(event)
    case .signal(let call, let step, let text):
        tell(8, UInt32(truncatingIfNeeded: call), Double(step.rawValue), text[...])
    case .named(let request, let record): tell(9, request, 0, record.value[...])
    case .unnamed(let request, let hasLie, let outcomes):
        tell(10, request, hasLie ? 8 : 6, outcomes[...])
    }
}

/// Apart from what else is told: a page loads its texts when something is not to be had.
@inline(never)
private func tell(_ fault: ContentPeer.ReadingFault, of reading: UInt32) {
    let (code, text) = fault.told
    tell(6, reading, code, text: text)
}

func tell(_ kind: UInt32, _ subject: UInt32, _ number: Double = 0, text: String) {
    tell(kind, subject, number, Array(text.utf8)[...])
}

func tell(
    _ kind: UInt32, _ subject: UInt32, _ number: Double, _ bytes: ArraySlice<UInt8>
) {
    unsafe bytes.withUnsafeBytes {
        unsafe weft_host_event(kind, subject, number, $0.baseAddress, $0.count)
    }
}
