import Wire

/// The Keccak sponge with the parameters of SHA-3 (FIPS 202) and of the older Keccak submission,
/// which differ in one padding byte.
public struct Keccak: Sendable {
    /// A member of the family: how long its digest is and how it pads.
    public struct Variant: Sendable {
        let digestLength: Int
        let padding: UInt8

        public static let sha3_224 = Variant(digestLength: 28, padding: 0x06)
        public static let sha3_256 = Variant(digestLength: 32, padding: 0x06)
        public static let sha3_384 = Variant(digestLength: 48, padding: 0x06)
        public static let sha3_512 = Variant(digestLength: 64, padding: 0x06)
        public static let keccak_224 = Variant(digestLength: 28, padding: 0x01)
        public static let keccak_256 = Variant(digestLength: 32, padding: 0x01)
        public static let keccak_384 = Variant(digestLength: 48, padding: 0x01)
        public static let keccak_512 = Variant(digestLength: 64, padding: 0x01)

        /// How many bytes are taken in between two permutations.
        var rate: Int { 200 - 2 * digestLength }
    }

    private let variant: Variant
    private var state = InlineArray<25, UInt64>(repeating: 0)
    private var buffer: BlockBuffer

    /// Starts a new message.
    public init(_ variant: Variant) {
        self.variant = variant
        self.buffer = BlockBuffer(blockSize: variant.rate, last: .released)
    }

    /// Takes in the next piece of the message.
    public mutating func update(_ bytes: RawSpan) {
        var state = self.state
        let rate = variant.rate
        buffer.absorb(bytes) { Self.absorb(&state, $0, rate: rate) }
        self.state = state
    }

    /// The digest of the whole message, as long as the variant says.
    public consuming func finalize() -> [UInt8] {
        var end = [UInt8](buffer.pending[..<buffer.count])
        end.append(variant.padding)
        end.append(contentsOf: repeatElement(0, count: variant.rate - end.count))
        end[end.count - 1] |= 0x80
        Self.absorb(&state, end.rawSpan, rate: variant.rate)
        var digest: [UInt8] = []
        for index in 0..<((variant.digestLength + 7) / 8) {
            digest.appendLittleEndian(state[index])
        }
        digest.removeLast(digest.count - variant.digestLength)
        return digest
    }

    /// The digest of one message.
    public static func hash(_ bytes: RawSpan, _ variant: Variant) -> [UInt8] {
        var hasher = Self(variant)
        hasher.update(bytes)
        return hasher.finalize()
    }

    private static func absorb(
        _ state: inout InlineArray<25, UInt64>, _ blocks: RawSpan, rate: Int
    ) {
        for start in stride(from: 0, to: blocks.byteCount, by: rate) {
            for lane in 0..<(rate / 8) {
                state[lane] ^= blocks.littleEndian64(at: start + 8 * lane)
            }
            permute(&state)
        }
    }

    /// Keccak-f[1600]: 24 rounds of theta, rho and pi, chi, iota.
    private static func permute(_ a: inout InlineArray<25, UInt64>) {
        var b = InlineArray<25, UInt64>(repeating: 0)
        for round in 0..<24 {
            var c = InlineArray<5, UInt64>(repeating: 0)
            for x in 0..<5 { c[x] = a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20] }
            let d: InlineArray<5, UInt64> = [
                c[4] ^ c[1].rotatedLeft(1), c[0] ^ c[2].rotatedLeft(1),
                c[1] ^ c[3].rotatedLeft(1), c[2] ^ c[4].rotatedLeft(1),
                c[3] ^ c[0].rotatedLeft(1),
            ]
            b[0] = a[0] ^ d[0]
            b[1] = (a[6] ^ d[1]).rotatedLeft(44)
            b[2] = (a[12] ^ d[2]).rotatedLeft(43)
            b[3] = (a[18] ^ d[3]).rotatedLeft(21)
            b[4] = (a[24] ^ d[4]).rotatedLeft(14)
            b[5] = (a[3] ^ d[3]).rotatedLeft(28)
            b[6] = (a[9] ^ d[4]).rotatedLeft(20)
            b[7] = (a[10] ^ d[0]).rotatedLeft(3)
            b[8] = (a[16] ^ d[1]).rotatedLeft(45)
            b[9] = (a[22] ^ d[2]).rotatedLeft(61)
            b[10] = (a[1] ^ d[1]).rotatedLeft(1)
            b[11] = (a[7] ^ d[2]).rotatedLeft(6)
            b[12] = (a[13] ^ d[3]).rotatedLeft(25)
            b[13] = (a[19] ^ d[4]).rotatedLeft(8)
            b[14] = (a[20] ^ d[0]).rotatedLeft(18)
            b[15] = (a[4] ^ d[4]).rotatedLeft(27)
            b[16] = (a[5] ^ d[0]).rotatedLeft(36)
            b[17] = (a[11] ^ d[1]).rotatedLeft(10)
            b[18] = (a[17] ^ d[2]).rotatedLeft(15)
            b[19] = (a[23] ^ d[3]).rotatedLeft(56)
            b[20] = (a[2] ^ d[2]).rotatedLeft(62)
            b[21] = (a[8] ^ d[3]).rotatedLeft(55)
            b[22] = (a[14] ^ d[4]).rotatedLeft(39)
            b[23] = (a[15] ^ d[0]).rotatedLeft(41)
            b[24] = (a[21] ^ d[1]).rotatedLeft(2)
            for y in stride(from: 0, to: 25, by: 5) {
                a[y] = b[y] ^ (~b[y + 1] & b[y + 2])
                a[y + 1] = b[y + 1] ^ (~b[y + 2] & b[y + 3])
                a[y + 2] = b[y + 2] ^ (~b[y + 3] & b[y + 4])
                a[y + 3] = b[y + 3] ^ (~b[y + 4] & b[y])
                a[y + 4] = b[y + 4] ^ (~b[y] & b[y + 1])
            }
            a[0] ^= roundConstants[round]
        }
    }

    private static let roundConstants: InlineArray<24, UInt64> = [
        0x0000_0000_0000_0001, 0x0000_0000_0000_8082, 0x8000_0000_0000_808a,
        0x8000_0000_8000_8000, 0x0000_0000_0000_808b, 0x0000_0000_8000_0001,
        0x8000_0000_8000_8081, 0x8000_0000_0000_8009, 0x0000_0000_0000_008a,
        0x0000_0000_0000_0088, 0x0000_0000_8000_8009, 0x0000_0000_8000_000a,
        0x0000_0000_8000_808b, 0x8000_0000_0000_008b, 0x8000_0000_0000_8089,
        0x8000_0000_0000_8003, 0x8000_0000_0000_8002, 0x8000_0000_0000_0080,
        0x0000_0000_0000_800a, 0x8000_0000_8000_000a, 0x8000_0000_8000_8081,
        0x8000_0000_0000_8080, 0x0000_0000_8000_0001, 0x8000_0000_8000_8008,
    ]
}
