// The door for names: what the newest record that its key has signed says.

import IPLD
import Multiformats
import Peering
import Wire

/// Begins to find out what a name leads to, by the number of a `Names.Mode`. The event 9 has the
/// request's number and the path, or 10 what became of whoever was asked. The time is in seconds
/// since the start of 1970. An empty reply, or what is wrong with the name.
@c(weft_resolve)
public func resolve(
    _ request: UInt32, _ text: UnsafeRawPointer?, _ count: UInt32, _ mode: UInt32, _ time: Double,
    _ now: Double
) -> UnsafeMutableRawPointer? {
    defer { drain() }
    return unsafe reply(to: text, count) { text throws(DecodeError) in
        let name = try name(text)
        try unsafe page?.resolve(
            name, Names.Mode(rawValue: mode) ?? .standard, request: request,
            clock: clock(time, now), now: instant(now))
        return []
    }
}

/// Takes the record of a name that somebody else than a peer has brought. The path that the newest
/// known record names, or what is wrong with this one.
@c(weft_record)
public func takeRecord(
    _ text: UnsafeRawPointer?, _ count: UInt32, _ record: UnsafeRawPointer?,
    _ recordCount: UInt32, _ time: Double, _ now: Double
) -> UnsafeMutableRawPointer? {
    let record = unsafe bytes(record, recordCount)
    return unsafe reply(to: text, count) { text throws(DecodeError) in
        let newest = try unsafe page?.take(
            record: record.rawSpan, of: try name(text), clock: clock(time, now),
            now: instant(now))
        return newest?.value ?? []
    }
}

/// A name whose records can be checked here.
private func name(_ text: RawSpan) throws(DecodeError) -> PeerID {
    guard let name = try? PeerID(text: String(decoding: [UInt8](text), as: UTF8.self)) else {
        throw DecodeError(.malformed, "it is no key, and a page asks no DNS for domains")
    }
    guard name.publicKey?.canVerify == true else {
        throw DecodeError(
            .unsupported, "it is no Ed25519 key, and a page checks no other signature")
    }
    return name
}

private func clock(_ time: Double, _ now: Double) -> WallClock {
    WallClock(Timestamp(seconds: wholeNumber(time), nanoseconds: 0), at: instant(now))
}
