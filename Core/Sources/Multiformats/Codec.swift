/// The multicodec number that says how a block's bytes are to be read
/// (github.com/multiformats/multicodec, table.csv).
public struct Codec: RawRepresentable, Hashable, Sendable {
    /// The number in the multicodec table.
    public let rawValue: UInt64

    /// A codec by its number; it need not be one that can be decoded here.
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    public static let cbor = Codec(rawValue: 0x51)
    public static let raw = Codec(rawValue: 0x55)
    public static let dagPB = Codec(rawValue: 0x70)
    public static let dagCBOR = Codec(rawValue: 0x71)
    public static let libp2pKey = Codec(rawValue: 0x72)
    public static let gitRaw = Codec(rawValue: 0x78)
    public static let dagJOSE = Codec(rawValue: 0x85)
    public static let dagJSON = Codec(rawValue: 0x0129)
    public static let json = Codec(rawValue: 0x0200)
    public static let car = Codec(rawValue: 0x0202)
    public static let ipnsRecord = Codec(rawValue: 0x0300)

    /// The name of the table, such as `dag-pb`; nil for a number that has none here.
    public var name: String? {
        Self.names.first { $0.codec == self }?.name
    }

    /// The codec of a table name, such as `dag-cbor`.
    public init?(name: String) {
        guard let entry = Self.names.first(where: { $0.name.utf8.elementsEqual(name.utf8) })
        else { return nil }
        self = entry.codec
    }

    private static let names: [(codec: Codec, name: String)] = [
        (.cbor, "cbor"), (.raw, "raw"), (.dagPB, "dag-pb"), (.dagCBOR, "dag-cbor"),
        (.libp2pKey, "libp2p-key"), (.gitRaw, "git-raw"), (.dagJOSE, "dag-jose"),
        (.dagJSON, "dag-json"), (.json, "json"), (.car, "car"), (.ipnsRecord, "ipns-record"),
    ]
}
