import Wire

/// BLAKE2b without a key, for digests of up to 64 bytes (RFC 7693).
public struct BLAKE2b: Sendable {
    /// The longest digest, in bytes.
    public static let maxDigestLength = 64

    private let digestLength: Int
    private var state: InlineArray<8, UInt64>
    private var buffer = BlockBuffer(blockSize: 128, last: .heldBack)
    private var length: UInt64 = 0

    /// Starts a new message whose digest has `digestLength` bytes, 1 to 64.
    public init(digestLength: Int) {
        precondition(1...Self.maxDigestLength ~= digestLength, "BLAKE2b digests have 1–64 bytes")
        self.digestLength = digestLength
        self.state = Self.initial
        state[0] ^= 0x0101_0000 ^ UInt64(digestLength)
    }

    /// Takes in the next piece of the message.
    public mutating func update(_ bytes: RawSpan) {
        var (state, length) = (self.state, self.length)
        buffer.absorb(bytes) { blocks in
            for start in stride(from: 0, to: blocks.byteCount, by: 128) {
                length += 128
                Self.compress(&state, blocks, at: start, length: length, finalMask: 0)
            }
        }
        (self.state, self.length) = (state, length)
    }

    /// The digest of the whole message.
    public consuming func finalize() -> [UInt8] {
        var end = [UInt8](buffer.pending[..<buffer.count])
        end.append(contentsOf: repeatElement(0, count: 128 - end.count))
        Self.compress(
            &state, end.rawSpan, at: 0, length: length + UInt64(buffer.count), finalMask: .max)
        var digest: [UInt8] = []
        for index in 0..<8 { digest.appendLittleEndian(state[index]) }
        digest.removeLast(64 - digestLength)
        return digest
    }

    /// The digest of one message.
    public static func hash(_ bytes: RawSpan, digestLength: Int) -> [UInt8] {
        var hasher = Self(digestLength: digestLength)
        hasher.update(bytes)
        return hasher.finalize()
    }

    private static func compress(
        _ state: inout InlineArray<8, UInt64>, _ block: RawSpan, at start: Int, length: UInt64,
        finalMask: UInt64
    ) {
        var m = InlineArray<16, UInt64>(repeating: 0)
        var v = InlineArray<16, UInt64>(repeating: 0)
        for i in 0..<16 { m[i] = block.littleEndian64(at: start + 8 * i) }
        for i in 0..<8 {
            v[i] = state[i]
            v[i + 8] = initial[i]
        }
        v[12] ^= length
        v[14] ^= finalMask
        for round in 0..<12 {
            let row = 16 * (round % 10)
            for i in 0..<4 {
                let (x, y) = (m[Int(order[row + 2 * i])], m[Int(order[row + 2 * i + 1])])
                mix(&v, i, i + 4, i + 8, i + 12, x, y)
            }
            for i in 0..<4 {
                let (x, y) = (m[Int(order[row + 2 * i + 8])], m[Int(order[row + 2 * i + 9])])
                mix(&v, i, (i + 1) % 4 + 4, (i + 2) % 4 + 8, (i + 3) % 4 + 12, x, y)
            }
        }
        for i in 0..<8 { state[i] ^= v[i] ^ v[i + 8] }
    }

    @inline(__always)
    private static func mix(
        _ v: inout InlineArray<16, UInt64>, _ a: Int, _ b: Int, _ c: Int, _ d: Int,
        _ x: UInt64, _ y: UInt64
    ) {
        v[a] = v[a] &+ v[b] &+ x
        v[d] = (v[d] ^ v[a]).rotatedRight(32)
        v[c] = v[c] &+ v[d]
        v[b] = (v[b] ^ v[c]).rotatedRight(24)
        v[a] = v[a] &+ v[b] &+ y
        v[d] = (v[d] ^ v[a]).rotatedRight(16)
        v[c] = v[c] &+ v[d]
        v[b] = (v[b] ^ v[c]).rotatedRight(63)
    }

    private static let initial: InlineArray<8, UInt64> = [
        0x6a09_e667_f3bc_c908, 0xbb67_ae85_84ca_a73b, 0x3c6e_f372_fe94_f82b,
        0xa54f_f53a_5f1d_36f1, 0x510e_527f_ade6_82d1, 0x9b05_688c_2b3e_6c1f,
        0x1f83_d9ab_fb41_bd6b, 0x5be0_cd19_137e_2179,
    ]

    /// The order of the message words in each of the ten kinds of round.
    private static let order: InlineArray<160, UInt8> = [
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
        14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3,
        11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4,
        7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8,
        9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13,
        2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9,
        12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11,
        13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10,
        6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5,
        10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0,
    ]
}
