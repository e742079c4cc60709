/// The multicodec number of a hash function (github.com/multiformats/multicodec, table.csv).
public struct HashCode: RawRepresentable, Hashable, Sendable {
    /// The number in the multicodec table.
    public let rawValue: UInt64

    /// A hash function by its number; it need not be one that can be computed here.
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    public static let identity = HashCode(rawValue: 0x00)
    public static let sha1 = HashCode(rawValue: 0x11)
    public static let sha2_256 = HashCode(rawValue: 0x12)
    public static let sha2_512 = HashCode(rawValue: 0x13)
    public static let sha3_512 = HashCode(rawValue: 0x14)
    public static let sha3_384 = HashCode(rawValue: 0x15)
    public static let sha3_256 = HashCode(rawValue: 0x16)
    public static let sha3_224 = HashCode(rawValue: 0x17)
    public static let keccak_256 = HashCode(rawValue: 0x1b)
    public static let blake3 = HashCode(rawValue: 0x1e)
    public static let dbl_sha2_256 = HashCode(rawValue: 0x56)
    public static let blake2b_256 = HashCode(rawValue: 0xb220)
}
