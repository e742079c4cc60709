// SHA-1 (FIPS 180-4). Git objects are named by it; nothing here relies on it against forgery.

#if HostCrypto
    import Crypto

    private typealias Message = HostMessage<Insecure.SHA1>
#else
    import Wire

    private typealias Message = ChainedMessage<SHA1Compression>

    private enum SHA1Compression: Compression {
        static let blockSize = 64
        static let start: InlineArray<5, UInt32> = [
            0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0,
        ]

        static func digest(of state: InlineArray<5, UInt32>) -> [UInt8] {
            var digest: [UInt8] = []
            for index in 0..<5 { digest.appendBigEndian(state[index]) }
            return digest
        }

        static func compress(_ state: inout InlineArray<5, UInt32>, _ blocks: RawSpan) {
            var w = InlineArray<80, UInt32>(repeating: 0)
            for start in stride(from: 0, to: blocks.byteCount, by: 64) {
                for i in 0..<16 { w[i] = blocks.bigEndian32(at: start + 4 * i) }
                for i in 16..<80 {
                    w[i] = (w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16]).rotatedLeft(1)
                }
                var (a, b, c, d, e) = (state[0], state[1], state[2], state[3], state[4])
                for i in 0..<80 {
                    let (f, k) = step(i, b, c, d)
                    let next = a.rotatedLeft(5) &+ f &+ e &+ k &+ w[i]
                    (e, d, c, b, a) = (d, c, b.rotatedLeft(30), a, next)
                }
                state[0] &+= a
                state[1] &+= b
                state[2] &+= c
                state[3] &+= d
                state[4] &+= e
            }
        }

        /// The function and the constant of one of the four groups of twenty rounds.
        @inline(__always)
        private static func step(
            _ round: Int, _ b: UInt32, _ c: UInt32, _ d: UInt32
        ) -> (UInt32, UInt32) {
            switch round {
            case ..<20: ((b & c) | (~b & d), 0x5a82_7999)
            case ..<40: (b ^ c ^ d, 0x6ed9_eba1)
            case ..<60: ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc)
            default: (b ^ c ^ d, 0xca62_c1d6)
            }
        }
    }
#endif

/// An incremental SHA-1.
public struct SHA1: Sendable {
    private var message = Message()

    /// Starts a new message.
    public init() {}

    /// Takes in the next piece of the message.
    public mutating func update(_ bytes: RawSpan) { message.update(bytes) }

    /// The digest of the whole message, 20 bytes.
    public consuming func finalize() -> [UInt8] { message.finalize() }

    /// The digest of one message, 20 bytes.
    public static func hash(_ bytes: RawSpan) -> [UInt8] {
        var hasher = Self()
        hasher.update(bytes)
        return hasher.finalize()
    }
}
