// The ChaCha20 key stream (RFC 8439) from which the published profile vectors make their inputs.

import Cryptography

/// The key stream of a seed: key SHA-256(seed), nonce and counter zero.
struct KeyStream {
    private let key: [UInt32]
    private var counter: UInt32 = 0
    private var rest: ArraySlice<UInt8> = []

    init(_ seed: String) {
        let hash = SHA256.hash(Array(seed.utf8).span.bytes)
        key = (0..<8).map { word in
            (0..<4).reduce(0) { $0 | UInt32(hash[4 * word + $1]) << UInt32(8 * $1) }
        }
    }

    mutating func read(_ count: Int) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(count)
        while out.count < count {
            if rest.isEmpty { rest = block()[...] }
            let part = rest.prefix(count - out.count)
            out += part
            rest = rest.dropFirst(part.count)
        }
        return out
    }

    /// Rows of the state as vectors, so that a debug build is fast enough.
    private mutating func block() -> [UInt8] {
        let start = [
            SIMD4<UInt32>(0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574),
            SIMD4(key[0], key[1], key[2], key[3]), SIMD4(key[4], key[5], key[6], key[7]),
            SIMD4(counter, 0, 0, 0),
        ]
        var (a, b, c, d) = (start[0], start[1], start[2], start[3])
        for _ in 0..<10 {
            Self.round(&a, &b, &c, &d)
            b = SIMD4(b[1], b[2], b[3], b[0])
            c = SIMD4(c[2], c[3], c[0], c[1])
            d = SIMD4(d[3], d[0], d[1], d[2])
            Self.round(&a, &b, &c, &d)
            b = SIMD4(b[3], b[0], b[1], b[2])
            c = SIMD4(c[2], c[3], c[0], c[1])
            d = SIMD4(d[1], d[2], d[3], d[0])
        }
        counter &+= 1
        return zip([a, b, c, d], start).flatMap { row, first in
            let sum = row &+ first
            return (0..<4).flatMap { index in
                withUnsafeBytes(of: sum[index].littleEndian) { Array($0) }
            }
        }
    }

    private static func round(
        _ a: inout SIMD4<UInt32>, _ b: inout SIMD4<UInt32>, _ c: inout SIMD4<UInt32>,
        _ d: inout SIMD4<UInt32>
    ) {
        a = a &+ b
        d = rotate(d ^ a, 16)
        c = c &+ d
        b = rotate(b ^ c, 12)
        a = a &+ b
        d = rotate(d ^ a, 8)
        c = c &+ d
        b = rotate(b ^ c, 7)
    }

    private static func rotate(_ row: SIMD4<UInt32>, _ bits: UInt32) -> SIMD4<UInt32> {
        row &<< SIMD4(repeating: bits) | row &>> SIMD4(repeating: 32 - bits)
    }
}
