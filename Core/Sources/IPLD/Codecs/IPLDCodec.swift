// Every codec behind one door: decode, encode and list links by multicodec number.

public import Multiformats
public import Wire

/// The codecs that can be read and written here.
public enum IPLDCodec {
    /// The CIDs that a block links to, in the order of its bytes, repeats included.
    ///
    /// A raw, cbor or json block links to nothing. Throws `unsupported` for a codec that is not
    /// known here, since its links cannot be told.
    public static func links(in block: RawSpan, codec: Codec) throws(DecodeError) -> [CID] {
        switch codec {
        case .raw, .cbor, .json, .libp2pKey: []
        case .dagPB: try PBLayout.links(in: block)
        default: throw DecodeError(.unsupported, "this codec's links cannot be read here")
        }
    }
}
