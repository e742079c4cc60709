// The key of a block in memory and in the index: a multihash, with the usual kind made small.

import Foundation
import Multiformats

/// A multihash as the index has it: a full sha2-256 digest bare, any other multihash with its
/// function and length.
struct BlockKey: Hashable, Sendable {
    /// The first 32 bytes of the index form, most significant byte first.
    let words: (UInt64, UInt64, UInt64, UInt64)
    /// The multihash, unless it is a full sha2-256 one; then empty.
    let other: [UInt8]

    init(_ hash: Multihash) {
        if hash.code == .sha2_256, hash.digest.count == 32 {
            words = Self.load(hash.digest)
            other = []
        } else {
            other = hash.bytes
            words = Self.load(other)
        }
    }

    /// The key of an index row; nil if the row is damaged.
    init?(indexed bytes: Data) {
        if bytes.count == 32 {
            self.init(Multihash(code: .sha2_256, digest: [UInt8](bytes)))
            return
        }
        var array = [UInt8](bytes)
        // A multihash of just 32 bytes has one byte added, so that it is not taken for a digest.
        if array.count == 33, array.last == 0 { array.removeLast() }
        // A row that cannot be decoded is damage, which the caller reports.
        guard let hash = try? Multihash(decoding: array.span.bytes) else { return nil }
        self.init(hash)
    }

    /// The form that the index is ordered by.
    var indexed: Data {
        if other.isEmpty { return Data(digest) }
        return Data(other.count == 32 ? other + [0] : other)
    }

    var multihash: Multihash {
        if other.isEmpty { return Multihash(code: .sha2_256, digest: digest) }
        guard let hash = try? Multihash(decoding: other.span.bytes) else {
            // Cannot be: `other` was made from a multihash.
            return Multihash(code: .identity, digest: [])
        }
        return hash
    }

    /// What the checksum of a record is bound to: the digest's beginning, function and length.
    var salt: UInt64 {
        if other.isEmpty { return Self.salt(words.0, .sha2_256, 32) }
        let hash = multihash
        return Self.salt(hash)
    }

    static func salt(_ hash: Multihash) -> UInt64 {
        salt(load(hash.digest).0, hash.code, hash.digest.count)
    }

    private static func salt(_ first: UInt64, _ code: HashCode, _ length: Int) -> UInt64 {
        let kind = code.rawValue &* 0x9e37_79b9_7f4a_7c15 &+ UInt64(length) &* 0xff51_afd7_ed55_8ccd
        return first ^ kind
    }

    private var digest: [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(32)
        for word in [words.0, words.1, words.2, words.3] {
            for shift in stride(from: 56, through: 0, by: -8) {
                out.append(UInt8(truncatingIfNeeded: word >> UInt64(shift)))
            }
        }
        return out
    }

    private static func load(_ bytes: [UInt8]) -> (UInt64, UInt64, UInt64, UInt64) {
        func word(_ start: Int) -> UInt64 {
            var value: UInt64 = 0
            for index in start..<(start + 8) {
                value = value << 8 | (index < bytes.count ? UInt64(bytes[index]) : 0)
            }
            return value
        }
        return (word(0), word(8), word(16), word(24))
    }

    static func == (left: Self, right: Self) -> Bool {
        left.words == right.words && left.other == right.other
    }

    func hash(into hasher: inout Hasher) {
        hasher.combine(words.0)
        hasher.combine(words.1)
    }

    /// Whether it comes before another one in the index, near enough to fill its pages in order.
    static func precedes(_ left: Self, _ right: Self) -> Bool {
        left.words.0 != right.words.0 ? left.words.0 < right.words.0 : left.words < right.words
    }
}
