// Rabin's fingerprint over a sliding window of 16 bytes, by the polynomial of degree 53 that Kubo
// uses (github.com/ipfs/boxo, chunker/rabin.go).

/// Rabin's fingerprint of the last 16 bytes.
struct Rabin: RollingHash {
    static let window = 16
    private static let polynomial: UInt64 = 17_437_180_132_763_653
    private static let degree: UInt64 = 53

    private var digest: UInt64 = 0
    private let mask: UInt64
    /// The fingerprint of each byte followed by a window of zeros, to take it out again.
    private let outgoing: [UInt64]
    /// What to add to reduce a digest whose top eight bits are the index.
    private let reduction: [UInt64]

    /// Pieces are about `average` bytes long.
    init(average: Int) {
        mask = (1 << UInt64(Int.bitWidth - 1 - average.leadingZeroBitCount)) - 1
        reduction = (0..<256).map { (top: UInt64) in
            Self.remainder(top << Self.degree) | top << Self.degree
        }
        outgoing = (0..<256).map { (byte: UInt64) in
            var value = byte
            for _ in 1..<Self.window { value = Self.remainder(value << 8) }
            return value
        }
    }

    var isBoundary: Bool { digest & mask == 0 }

    mutating func push(_ byte: UInt8) {
        let top = Int(truncatingIfNeeded: digest >> (Self.degree - 8))
        digest = (digest << 8 | UInt64(byte)) ^ reduction[top]
    }

    mutating func roll(_ byte: UInt8, out: UInt8) {
        digest ^= outgoing[Int(out)]
        push(byte)
    }

    mutating func reset() {
        digest = 0
    }

    /// The remainder of a division by the polynomial, over bits without carry.
    private static func remainder(_ dividend: UInt64) -> UInt64 {
        var rest = dividend
        while true {
            let shift = Int(63 - degree) - rest.leadingZeroBitCount
            guard shift >= 0 else { return rest }
            rest ^= polynomial << UInt64(shift)
        }
    }
}
