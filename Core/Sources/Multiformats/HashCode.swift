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
    public static let keccak_224 = HashCode(rawValue: 0x1a)
    public static let keccak_256 = HashCode(rawValue: 0x1b)
    public static let keccak_384 = HashCode(rawValue: 0x1c)
    public static let keccak_512 = HashCode(rawValue: 0x1d)
    public static let blake3 = HashCode(rawValue: 0x1e)
    public static let dbl_sha2_256 = HashCode(rawValue: 0x56)
    public static let blake2b_160 = HashCode(rawValue: 0xb214)
    public static let blake2b_256 = HashCode(rawValue: 0xb220)
    public static let blake2b_512 = HashCode(rawValue: 0xb240)

    /// The table's name, such as `sha2-256`; nil for a number that has none here.
    public var name: String? {
        Self.names.first { $0.code == self }?.name
    }

    /// The function of a table name, such as `blake3`.
    public init?(name: String) {
        guard let entry = Self.names.first(where: { $0.name.utf8.elementsEqual(name.utf8) })
        else { return nil }
        self = entry.code
    }

    /// The longest digest that the function makes, in bytes; nil for one that cannot be computed
    /// here, and for the identity, which is as long as its content.
    public var digestLength: Int? {
        switch self {
        case .sha1: 20
        case .sha3_224, .keccak_224: 28
        case .sha2_256, .dbl_sha2_256, .sha3_256, .keccak_256: 32
        case .sha3_384, .keccak_384: 48
        case .sha2_512, .sha3_512, .keccak_512: 64
        case .blake3: Multihash.maxDigestLength
        default: blake2bLength
        }
    }

    /// The digest length that a blake2b code implies. Those under 20 bytes are too short to name
    /// content and count as unknown.
    var blake2bLength: Int? {
        Self.blake2b_160.rawValue...Self.blake2b_512.rawValue ~= rawValue
            ? Int(rawValue - 0xb200) : nil
    }

    private static let names: [(code: HashCode, name: String)] = [
        (.identity, "identity"), (.sha1, "sha1"), (.sha2_256, "sha2-256"),
        (.sha2_512, "sha2-512"), (.sha3_224, "sha3-224"), (.sha3_256, "sha3-256"),
        (.sha3_384, "sha3-384"), (.sha3_512, "sha3-512"), (.keccak_224, "keccak-224"),
        (.keccak_256, "keccak-256"), (.keccak_384, "keccak-384"), (.keccak_512, "keccak-512"),
        (.blake3, "blake3"), (.dbl_sha2_256, "dbl-sha2-256"), (.blake2b_160, "blake2b-160"),
        (.blake2b_256, "blake2b-256"), (.blake2b_512, "blake2b-512"),
    ]
}
