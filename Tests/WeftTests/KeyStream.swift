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

    /// Pointers and single words, because a debug build is slow at arrays and vectors.
    private mutating func block() -> [UInt8] {
        let start =
            [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574] + key + [counter, 0, 0, 0]
        var state = start
        state.withUnsafeMutableBufferPointer { words in
            let words = words.baseAddress!
            for _ in 0..<10 {
                Self.round(words, 0, 4, 8, 12)
                Self.round(words, 1, 5, 9, 13)
                Self.round(words, 2, 6, 10, 14)
                Self.round(words, 3, 7, 11, 15)
                Self.round(words, 0, 5, 10, 15)
                Self.round(words, 1, 6, 11, 12)
                Self.round(words, 2, 7, 8, 13)
                Self.round(words, 3, 4, 9, 14)
            }
            for index in 0..<16 { words[index] = (words[index] &+ start[index]).littleEndian }
        }
        counter &+= 1
        return state.withUnsafeBytes { Array($0) }
    }

    private static func round(
        _ words: UnsafeMutablePointer<UInt32>, _ a: Int, _ b: Int, _ c: Int, _ d: Int
    ) {
        var (va, vb, vc, vd) = (words[a], words[b], words[c], words[d])
        va = va &+ vb
        vd ^= va
        vd = vd &<< 16 | vd &>> 16
        vc = vc &+ vd
        vb ^= vc
        vb = vb &<< 12 | vb &>> 20
        va = va &+ vb
        vd ^= va
        vd = vd &<< 8 | vd &>> 24
        vc = vc &+ vd
        vb ^= vc
        vb = vb &<< 7 | vb &>> 25
        (words[a], words[b], words[c], words[d]) = (va, vb, vc, vd)
    }
}
