// A payload with its author's signature, bound to a purpose (github.com/libp2p/specs, RFC 0002).

public import Cryptography
public import Wire

/// A payload that somebody signed for one purpose. One that was read proves nothing before
/// ``isValid(in:)``.
public struct SignedEnvelope: Hashable, Sendable {
    /// The longest envelope that is read, in bytes.
    public static let maxBytes = 16 << 10

    /// Who signed.
    public let publicKey: PublicKey
    /// What kind of payload it is, as its specification says.
    public let payloadType: [UInt8]
    /// What was signed.
    public let payload: [UInt8]
    /// The signature of the domain, the type and the payload.
    public let signature: [UInt8]

    /// Signs a payload for the purpose that `domain` names. Throws if the key cannot sign here.
    public init(
        _ payload: [UInt8], type: [UInt8], domain: StaticString, signingWith key: PrivateKey
    ) throws(SigningError) {
        publicKey = key.publicKey
        payloadType = type
        self.payload = payload
        signature = try key.sign(Self.message(domain, type, payload))
    }

    /// Reads an envelope without believing it.
    public init(decoding bytes: RawSpan) throws(DecodeError) {
        guard bytes.byteCount <= Self.maxBytes else {
            throw DecodeError(.overLimit, "the envelope is larger than 16 KiB")
        }
        var reader = ByteReader(bytes)
        var key: PublicKey?
        var type: [UInt8] = []
        var payload: [UInt8] = []
        var signature: [UInt8] = []
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .bytes): key = try PublicKey(decoding: try reader.readDelimited())
            case (2, .bytes): type = [UInt8](try reader.readDelimited())
            case (3, .bytes): payload = [UInt8](try reader.readDelimited())
            case (5, .bytes): signature = [UInt8](try reader.readDelimited())
            default: try reader.skipValue(of: tag.wireType)
            }
        }
        guard let key else {
            throw reader.error(.malformed, "the envelope does not say who signed it")
        }
        publicKey = key
        payloadType = type
        self.payload = payload
        self.signature = signature
    }

    /// The protobuf.
    public var encoded: [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(payload.count + signature.count + 64)
        out.appendField(1, bytes: publicKey.encoded)
        out.appendField(2, bytes: payloadType)
        out.appendField(3, bytes: payload)
        out.appendField(5, bytes: signature)
        return out
    }

    /// Whether the holder of ``publicKey`` signed the payload for the purpose of `domain`.
    public func isValid(in domain: StaticString) -> Bool {
        publicKey.verify(
            signature: signature, of: Self.message(domain, payloadType, payload))
    }

    /// What a signature is of: all three with their lengths, so that no part can flow over into
    /// another. For those who send the parts in a form of their own.
    public static func message(
        _ domain: StaticString, _ type: [UInt8], _ payload: [UInt8]
    ) -> [UInt8] {
        let name = Array(domain.description.utf8)
        var out: [UInt8] = []
        out.reserveCapacity(name.count + type.count + payload.count + 8)
        for part in [name, type, payload] {
            out.appendVarint(UInt64(part.count))
            out.append(contentsOf: part)
        }
        return out
    }
}
