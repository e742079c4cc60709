// The ChaCha20 key stream of RFC 8439, with which the published profile vectors make their inputs.

import Cryptography
import Wire

/// A key stream with an all-zero nonce and a counter from 0.
public struct ChaCha20: Sendable {
    private let key: [UInt32]
    private var counter: UInt32 = 0
    private var left: ArraySlice<UInt8> = []

    /// The stream whose key is the SHA-256 of the seed's UTF-8.
    public init(seed: String) {
        let hash = SHA256.hash([UInt8](seed.utf8).rawSpan)
        key = (0..<8).map { word in
            (0..<4).reduce(0) { $0 | UInt32(hash[4 * word + $1]) << (8 * UInt32($1)) }
        }
    }

    /// The next bytes of the stream.
    public mutating func read(_ count: Int) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(count + 64)
        out.append(contentsOf: left.prefix(count))
        left = left.dropFirst(count)
        while out.count < count {
            block(into: &out)
        }
        if out.count > count {
            left = out[count...]
            out.removeLast(out.count - count)
        }
        return out
    }

    private mutating func block(into out: inout [UInt8]) {
        // Sixteen local variables, since a debug build is slow at arrays.
        var (a, b, c, d): (UInt32, UInt32, UInt32, UInt32)
        (a, b, c, d) = (0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574)
        var (e, f, g, h) = (key[0], key[1], key[2], key[3])
        var (i, j, k, l) = (key[4], key[5], key[6], key[7])
        var (m, n, o, p): (UInt32, UInt32, UInt32, UInt32) = (counter, 0, 0, 0)
        for _ in 0..<10 {
            Self.quarterRound(&a, &e, &i, &m)
            Self.quarterRound(&b, &f, &j, &n)
            Self.quarterRound(&c, &g, &k, &o)
            Self.quarterRound(&d, &h, &l, &p)
            Self.quarterRound(&a, &f, &k, &p)
            Self.quarterRound(&b, &g, &l, &m)
            Self.quarterRound(&c, &h, &i, &n)
            Self.quarterRound(&d, &e, &j, &o)
        }
        Self.append(a &+ 0x6170_7865, b &+ 0x3320_646e, c &+ 0x7962_2d32, d &+ 0x6b20_6574, &out)
        Self.append(e &+ key[0], f &+ key[1], g &+ key[2], h &+ key[3], &out)
        Self.append(i &+ key[4], j &+ key[5], k &+ key[6], l &+ key[7], &out)
        Self.append(m &+ counter, n, o, p, &out)
        counter &+= 1
    }

    private static func quarterRound(
        _ a: inout UInt32, _ b: inout UInt32, _ c: inout UInt32, _ d: inout UInt32
    ) {
        a = a &+ b
        d ^= a
        d = d &<< 16 | d &>> 16
        c = c &+ d
        b ^= c
        b = b &<< 12 | b &>> 20
        a = a &+ b
        d ^= a
        d = d &<< 8 | d &>> 24
        c = c &+ d
        b ^= c
        b = b &<< 7 | b &>> 25
    }

    private static func append(
        _ a: UInt32, _ b: UInt32, _ c: UInt32, _ d: UInt32, _ out: inout [UInt8]
    ) {
        let words = [a.littleEndian, b.littleEndian, c.littleEndian, d.littleEndian]
        unsafe words.withUnsafeBytes { unsafe out.append(contentsOf: $0) }
    }
}
