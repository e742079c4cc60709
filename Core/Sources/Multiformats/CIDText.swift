// The text forms of CIDs (github.com/multiformats/cid): version 0 is bare base58btc and starts
// with `Qm`, version 1 is a multibase.

public import Wire

extension CID {
    /// Reads either version's text form. A version 0 identifier inside a multibase is refused, as
    /// the specification demands.
    public init(text: String) throws(DecodeError) {
        let utf8 = Array(text.utf8)
        try self.init(utf8: utf8.rawSpan)
    }

    /// Reads either version's text form from UTF-8 bytes.
    public init(utf8 text: RawSpan) throws(DecodeError) {
        if text.byteCount == 46, [UInt8](text.extracting(first: 2)) == [0x51, 0x6d] {
            let bytes = try Multibase.base58btc.decodeBody(text)
            try self.init(decoding: bytes.rawSpan)
            return
        }
        let bytes = try Multibase.decode(utf8: text).bytes
        guard bytes.first != 0x12 else {
            throw DecodeError(.malformed, "a version 0 CID must not have a multibase prefix")
        }
        try self.init(decoding: bytes.rawSpan)
    }

    /// The text form in `base`. Version 0 has no other form than base58btc, so in another base
    /// its version 1 is written.
    public func text(in base: Multibase) -> String {
        version == .v0 && base == .base58btc ? description : base.encode(v1.bytes)
    }
}

extension CID: CustomStringConvertible {
    /// The usual text form: base58btc in version 0, base32 in version 1.
    public var description: String {
        version == .v0 ? Multibase.base58btc.encodeBody(bytes) : Multibase.base32.encode(bytes)
    }
}
