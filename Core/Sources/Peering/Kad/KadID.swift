// The key space of the DHT (specs.ipfs.tech/routing/kad-dht): SHA2-256 of a peer id's, multihash's
// or record key's bytes; the distance of two is their exclusive or, as a number.

import Cryptography
public import Multiformats
import Wire

/// A place in the key space, or a distance.
public struct KadID: Hashable, Sendable {
    let a: UInt64
    let b: UInt64
    let c: UInt64
    let d: UInt64

    init(_ a: UInt64, _ b: UInt64, _ c: UInt64, _ d: UInt64) {
        self.a = a
        self.b = b
        self.c = c
        self.d = d
    }

    /// The place of these bytes.
    public init(of bytes: [UInt8]) {
        self.init(digest: SHA256.hash(bytes.rawSpan))
    }

    /// The place of a peer: of the whole of its id, not only the digest in it.
    public init(_ peer: PeerID) {
        self.init(of: peer.bytes)
    }

    /// The place with these 32 bytes, most significant first.
    init(digest: [UInt8]) {
        precondition(digest.count == 32, "a place has 32 bytes")
        func word(_ start: Int) -> UInt64 {
            digest[start..<start + 8].reduce(0) { $0 << 8 | UInt64($1) }
        }
        self.init(word(0), word(8), word(16), word(24))
    }

    /// The 32 bytes, most significant first.
    public var bytes: [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(32)
        for word in [a, b, c, d] { out.appendBigEndian(word) }
        return out
    }

    /// How far apart two places are.
    public func distance(to other: KadID) -> KadID {
        KadID(a ^ other.a, b ^ other.b, c ^ other.c, d ^ other.d)
    }

    /// With how many zero bits it starts; of a distance, how many bits both places share.
    public var leadingZeroBits: Int {
        if a != 0 { return a.leadingZeroBitCount }
        if b != 0 { return 64 + b.leadingZeroBitCount }
        if c != 0 { return 128 + c.leadingZeroBitCount }
        return 192 + d.leadingZeroBitCount
    }

    /// How many bits two places share from the start, 256 if they are the same.
    public func commonPrefix(with other: KadID) -> Int { distance(to: other).leadingZeroBits }

    /// The distance as a fraction of the whole key space.
    var fraction: Double { Double(a) / 18_446_744_073_709_551_616.0 }
}

extension KadID: Comparable {
    public static func < (left: KadID, right: KadID) -> Bool {
        if left.a != right.a { return left.a < right.a }
        if left.b != right.b { return left.b < right.b }
        if left.c != right.c { return left.c < right.c }
        return left.d < right.d
    }
}
