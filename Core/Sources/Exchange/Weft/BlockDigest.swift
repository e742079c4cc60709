// Digests of received blocks that are computed elsewhere: a page has its browser do it, on another
// thread and several times as fast as the module.

import Wire

/// The SHA2-256 of a block that lies in a frame, computed by whoever calls.
public struct BlockDigest: Sendable {
    /// Where the block lies in its frame.
    public let range: Range<Int>
    /// The digest of those bytes.
    public let bytes: [UInt8]

    /// The digest of the block at this place.
    public init(_ range: Range<Int>, _ bytes: [UInt8]) {
        self.range = range
        self.bytes = bytes
    }
}

extension [BlockDigest] {
    /// The digest of a block. A frame has few that are worth it.
    func of(_ range: Range<Int>) -> [UInt8]? { first { $0.range == range }?.bytes }
}

extension ExchangeIntake {
    /// Where blocks of at least so many bytes lie in a message that is to come next. None in one
    /// that ``receive(_:digests:)`` refuses, or hashes by itself, and none that nobody asked for.
    public func blocks(in message: [UInt8], ofAtLeast byteCount: Int) -> [Range<Int>] {
        guard message.count >= byteCount, isAsking,
            let parts = try? WeftPart.decode(message.rawSpan)
        else { return [] }
        var found: [Range<Int>] = []
        for case .blocks(let request, let ranges) in parts where isAwaiting(request) {
            for range in ranges where range.count >= byteCount { found.append(range) }
        }
        return found
    }
}
