// Every codec behind one door: decode, encode and list links by multicodec number.

public import Multiformats
public import Wire

/// The codecs that can be read and written here: raw, dag-pb, dag-cbor, dag-json, cbor and json.
public enum IPLDCodec {
    /// The value of a block; that of a raw block is its bytes.
    public static func decode(_ block: RawSpan, codec: Codec) throws(DecodeError) -> Value {
        switch codec {
        case .raw: .bytes([UInt8](block))
        case .dagPB: try DagPB.decode(block)
        case .dagCBOR: try DagCBOR.decode(block)
        case .dagJSON: try DagJSON.decode(block)
        case .cbor: try CBOR.decode(block)
        case .json: try JSON.decode(block)
        default: throw DecodeError(.unsupported, "this codec cannot be read here")
        }
    }

    /// The block of a value; only bytes can be raw.
    public static func encode(_ value: Value, codec: Codec) throws(EncodeError) -> [UInt8] {
        switch codec {
        case .raw:
            guard case .bytes(let bytes) = value else {
                throw EncodeError(.shape, "a raw block is bytes and nothing else")
            }
            return bytes
        case .dagPB: return try DagPB.encode(value)
        case .dagCBOR: return try DagCBOR.encode(value)
        case .dagJSON: return try DagJSON.encode(value)
        case .cbor: return try CBOR.encode(value)
        case .json: return try JSON.encode(value)
        default: throw EncodeError(.unsupported, "this codec cannot be written here")
        }
    }

    /// The CIDs that a block links to, in the order of its bytes, repeats included.
    ///
    /// A raw, cbor or json block links to nothing. Throws `unsupported` for a codec that is not
    /// known here, since its links cannot be told.
    public static func links(in block: RawSpan, codec: Codec) throws(DecodeError) -> [CID] {
        switch codec {
        case .raw, .cbor, .json, .libp2pKey: return []
        case .dagPB: return try PBLayout.links(in: block)
        case .dagCBOR: return try DagCBOR.links(in: block)
        case .dagJSON: return try DagJSON.links(in: block)
        default: throw DecodeError(.unsupported, "this codec's links cannot be read here")
        }
    }
}
