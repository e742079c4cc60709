// The stream cipher XSalsa20 (Bernstein, "Extending the Salsa20 nonce"): keys of 32 bytes, nonces
// of 24, no authentication.

/// An endless key stream that is combined with text, whichever way it goes.
struct XSalsa20: Sendable {
    static let keyLength = 32
    static let nonceLength = 24

    private var state: InlineArray<16, UInt32>
    private var block = InlineArray<64, UInt8>(repeating: 0)
    /// How many bytes of the block have been used.
    private var used = 64

    /// "expand 32-byte k", as four words.
    private static let constants: InlineArray<4, UInt32> = [
        0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574,
    ]

    init(key: [UInt8], nonce: [UInt8]) {
        precondition(key.count == Self.keyLength && nonce.count == Self.nonceLength)
        // The first sixteen bytes of the nonce make a key of their own.
        var derived = Self.state(key: Self.words(key), input: Self.words(Array(nonce[..<16])))
        Self.doubleRounds(&derived)
        let inner: [UInt32] = [0, 5, 10, 15, 6, 7, 8, 9].map { derived[$0] }
        state = Self.state(key: inner, input: Self.words(Array(nonce[16...])) + [0, 0])
    }

    /// Encrypts or decrypts bytes in place.
    mutating func apply(to bytes: inout [UInt8]) {
        for index in bytes.indices {
            if used == 64 { nextBlock() }
            bytes[index] ^= block[used]
            used += 1
        }
    }

    private mutating func nextBlock() {
        var mixed = state
        Self.doubleRounds(&mixed)
        for index in 0..<16 {
            let word = mixed[index] &+ state[index]
            for byte in 0..<4 {
                block[4 * index + byte] = UInt8(truncatingIfNeeded: word &>> (8 * UInt32(byte)))
            }
        }
        used = 0
        state[8] &+= 1
        if state[8] == 0 { state[9] &+= 1 }
    }

    private static func words(_ bytes: [UInt8]) -> [UInt32] {
        stride(from: 0, to: bytes.count, by: 4).map { start in
            (0..<4).reduce(0) { $0 | UInt32(bytes[start + $1]) << (8 * UInt32($1)) }
        }
    }

    private static func state(key: [UInt32], input: [UInt32]) -> InlineArray<16, UInt32> {
        var state = InlineArray<16, UInt32>(repeating: 0)
        for index in 0..<4 {
            state[5 * index] = constants[index]
            state[1 + index] = key[index]
            state[6 + index] = input[index]
            state[11 + index] = key[4 + index]
        }
        return state
    }

    private static func doubleRounds(_ x: inout InlineArray<16, UInt32>) {
        for _ in 0..<10 {
            quarter(&x, 0, 4, 8, 12)
            quarter(&x, 5, 9, 13, 1)
            quarter(&x, 10, 14, 2, 6)
            quarter(&x, 15, 3, 7, 11)
            quarter(&x, 0, 1, 2, 3)
            quarter(&x, 5, 6, 7, 4)
            quarter(&x, 10, 11, 8, 9)
            quarter(&x, 15, 12, 13, 14)
        }
    }

    @inline(__always)
    private static func quarter(
        _ x: inout InlineArray<16, UInt32>, _ a: Int, _ b: Int, _ c: Int, _ d: Int
    ) {
        x[b] ^= rotated(x[a] &+ x[d], 7)
        x[c] ^= rotated(x[b] &+ x[a], 9)
        x[d] ^= rotated(x[c] &+ x[b], 13)
        x[a] ^= rotated(x[d] &+ x[c], 18)
    }

    @inline(__always)
    private static func rotated(_ word: UInt32, _ count: UInt32) -> UInt32 {
        word &<< count | word &>> (32 - count)
    }
}
