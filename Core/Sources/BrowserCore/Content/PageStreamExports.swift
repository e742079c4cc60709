// The door for streams of protocols that the page brings itself. A stream's number is that of its
// connection times 2³² and its own in it.

import Multiformats
import Wire

/// Lets the page speak a protocol with messages of at most `limit` bytes; `isOffered` is not zero
/// if peers may open streams with it.
@c(weft_bring)
public func bring(
    _ name: UnsafeRawPointer?, _ count: UInt32, _ limit: UInt32, _ isOffered: UInt32,
    _ now: Double
) {
    let name = unsafe ProtocolName(utf8: bytes(name, count))
    unsafe page?.bring(
        name, PageProtocol(limit: Int(min(limit, 16 << 20)), isOffered: isOffered != 0),
        now: instant(now))
    drain()
}

/// Opens a stream to the peer whose name is given before a line's end, on the protocol after it.
/// The event `opened` or `refused` has the request's number.
@c(weft_stream_open)
public func openStream(
    _ request: UInt32, _ text: UnsafeRawPointer?, _ count: UInt32, _ now: Double
) {
    let parts = unsafe bytes(text, count).split(separator: 0x0a)
    if parts.count == 2, let peer = try? PeerID(text: String(decoding: parts[0], as: UTF8.self)) {
        unsafe page?.order(
            .open(peer, [ProtocolName(utf8: Array(parts[1]))], request: UInt64(request)),
            now: instant(now))
    }
    drain()
}

/// Sends a message.
@c(weft_stream_send)
public func sendOnStream(
    _ stream: Double, _ message: UnsafeRawPointer?, _ count: UInt32, _ now: Double
) {
    unsafe page?.order(.send(StreamID(stream), bytes(message, count)), now: instant(now))
    drain()
}

/// Ends the direction from here.
@c(weft_stream_finish)
public func finishStream(_ stream: Double, _ now: Double) {
    unsafe page?.order(.finish(StreamID(stream)), now: instant(now))
    drain()
}

/// Ends both directions at once.
@c(weft_stream_reset)
public func resetStream(_ stream: Double, _ now: Double) {
    unsafe page?.order(.reset(StreamID(stream)), now: instant(now))
    drain()
}

/// Keeps a block that the page has made, if it hashes to the CID whose binary form is given.
@c(weft_keep)
public func keep(
    _ cid: UnsafeRawPointer?, _ cidCount: UInt32, _ block: UnsafeRawPointer?, _ count: UInt32
) -> UnsafeMutableRawPointer? {
    let block = unsafe bytes(block, count)
    return unsafe reply(to: cid, cidCount) { bytes throws(DecodeError) in
        let cid = try CID(decoding: bytes)
        try cid.hash.verify(block.rawSpan)
        unsafe page?.keep(cid, block)
        return []
    }
}

extension StreamID {
    /// A stream as the page numbers it.
    init(_ number: Double) {
        let number = UInt64(max(0, min(number, 0x1p53)))
        self.init(connection: number >> 32, stream: UInt32(truncatingIfNeeded: number))
    }

    /// Its number for the page.
    var number: Double { Double(connection << 32 | UInt64(stream)) }
}

/// Tells the page of its streams.
func tell(_ event: PageStreamEvent) {
    switch event {
    case .speaks(let peer, let names):
        var line = peer.description
        for name in names { line += "\n" + name.description }
        tell(20, 0, text: line)
    case .left(let peer): tell(21, 0, text: peer.description)
    case .stream(.opened(let request, let stream, _)):
        tell(22, UInt32(truncatingIfNeeded: request), stream.number, [])
    case .stream(.refused(let request, let fault)):
        tell(23, UInt32(truncatingIfNeeded: request), Double(fault.rawValue), [])
    case .stream(.accepted(let stream, let peer, let name)):
        tell(24, 0, stream.number, text: peer.description + "\n" + name.description)
    case .stream(.message(let stream, let bytes)): tell(25, 0, stream.number, bytes[...])
    case .stream(.finished(let stream)): tell(26, 0, stream.number, [])
    case .stream(.reset(let stream)): tell(27, 0, stream.number, [])
    }
}
