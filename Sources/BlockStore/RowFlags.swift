// The small facts about a block that share one column of the index.

import Multiformats

/// The codec that a block's links are read by, and how it is retained.
struct RowFlags: OptionSet, Hashable, Sendable {
    var rawValue: Int64

    /// The block itself is pinned, without what it links to.
    static let pinnedDirectly = RowFlags(rawValue: 8)
    /// The blocks that it links to have been counted as referred to.
    static let counted = RowFlags(rawValue: 16)

    private static let codecMask: Int64 = 7
    private static let codecs: [Codec] = [
        .raw, .dagPB, .dagCBOR, .dagJSON, .cbor, .json, .libp2pKey,
    ]

    init(rawValue: Int64) { self.rawValue = rawValue }

    init(_ codec: Codec) {
        rawValue = Int64(Self.codecs.firstIndex(of: codec) ?? Self.codecs.count)
    }

    /// The codec; nil for one whose links cannot be read here.
    var codec: Codec? {
        get {
            let number = Int(rawValue & Self.codecMask)
            return number < Self.codecs.count ? Self.codecs[number] : nil
        }
        set {
            let code = newValue.flatMap(Self.codecs.firstIndex(of:)) ?? Self.codecs.count
            rawValue = rawValue & ~Self.codecMask | Int64(code)
        }
    }

    /// Whether blocks of the codec can link to others.
    var mayLink: Bool {
        switch codec {
        case .raw, .cbor, .json, .libp2pKey: false
        default: true
        }
    }
}
