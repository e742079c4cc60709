// SHA-2 with 256 bits (FIPS 180-4): the hash of almost all IPFS content.

#if HostCrypto
    import Crypto

    private typealias Message = HostMessage<Crypto.SHA256>
#else
    import Wire

    private typealias Message = ChainedMessage<SHA256Compression>

    private enum SHA256Compression: Compression {
        static let blockSize = 64
        static let start: InlineArray<8, UInt32> = [
            0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a,
            0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19,
        ]

        static func digest(of state: InlineArray<8, UInt32>) -> [UInt8] {
            var digest: [UInt8] = []
            for index in 0..<8 { digest.appendBigEndian(state[index]) }
            return digest
        }

        static func compress(_ state: inout InlineArray<8, UInt32>, _ blocks: RawSpan) {
            var w = InlineArray<64, UInt32>(repeating: 0)
            for start in stride(from: 0, to: blocks.byteCount, by: 64) {
                for i in 0..<16 { w[i] = blocks.bigEndian32(at: start + 4 * i) }
                for i in 16..<64 {
                    let (x, y) = (w[i - 15], w[i - 2])
                    let s0 = x.rotatedRight(7) ^ x.rotatedRight(18) ^ (x &>> 3)
                    let s1 = y.rotatedRight(17) ^ y.rotatedRight(19) ^ (y &>> 10)
                    w[i] = w[i - 16] &+ s0 &+ w[i - 7] &+ s1
                }
                var (a, b, c, d) = (state[0], state[1], state[2], state[3])
                var (e, f, g, h) = (state[4], state[5], state[6], state[7])
                for i in 0..<64 {
                    let s1 = e.rotatedRight(6) ^ e.rotatedRight(11) ^ e.rotatedRight(25)
                    let t1 = h &+ s1 &+ ((e & f) ^ (~e & g)) &+ constants[i] &+ w[i]
                    let s0 = a.rotatedRight(2) ^ a.rotatedRight(13) ^ a.rotatedRight(22)
                    let t2 = s0 &+ ((a & b) ^ (a & c) ^ (b & c))
                    (h, g, f, e, d, c, b, a) = (g, f, e, d &+ t1, c, b, a, t1 &+ t2)
                }
                state[0] &+= a
                state[1] &+= b
                state[2] &+= c
                state[3] &+= d
                state[4] &+= e
                state[5] &+= f
                state[6] &+= g
                state[7] &+= h
            }
        }

        private static let constants: InlineArray<64, UInt32> = [
            0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1,
            0x923f_82a4, 0xab1c_5ed5, 0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3,
            0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174, 0xe49b_69c1, 0xefbe_4786,
            0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
            0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147,
            0x06ca_6351, 0x1429_2967, 0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13,
            0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85, 0xa2bf_e8a1, 0xa81a_664b,
            0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
            0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a,
            0x5b9c_ca4f, 0x682e_6ff3, 0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208,
            0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
        ]
    }
#endif

/// An incremental SHA2-256.
public struct SHA256: Sendable {
    private var message = Message()

    /// Starts a new message.
    public init() {}

    /// Takes in the next piece of the message.
    public mutating func update(_ bytes: RawSpan) { message.update(bytes) }

    /// The digest of the whole message, 32 bytes.
    public consuming func finalize() -> [UInt8] { message.finalize() }

    /// The digest of one message, 32 bytes.
    public static func hash(_ bytes: RawSpan) -> [UInt8] {
        var hasher = Self()
        hasher.update(bytes)
        return hasher.finalize()
    }
}
