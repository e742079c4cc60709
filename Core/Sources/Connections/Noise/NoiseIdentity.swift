// What a peer says about itself in a handshake: its identity key, and a signature by it of the key
// that the handshake uses (github.com/libp2p/specs, noise).

import Cryptography
public import Multiformats
import Wire

/// Our side of every Noise handshake: the static key, and that our identity stands behind it. Made
/// once, used for all connections.
public struct NoiseIdentity: Sendable {
    /// Who we are.
    public let peer: PeerID
    let staticKey: [UInt8]
    /// The payload of our messages, without extensions.
    let payload: [UInt8]

    static let signedPrefix = Array("noise-libp2p-static-key:".utf8)

    /// The side of the holder of `identity`, with a static X25519 private key of 32 bytes that is
    /// used for nothing else.
    public init(_ identity: PrivateKey, staticKey: [UInt8]) throws(NoiseFault) {
        peer = PeerID(identity.publicKey)
        self.staticKey = staticKey
        let publicKey: [UInt8]
        do throws(CipherError) {
            publicKey = try X25519.publicKey(of: staticKey)
        } catch {
            throw NoiseFault(error)
        }
        let signature: [UInt8]
        do throws(SigningError) {
            signature = try identity.sign(Self.signedPrefix + publicKey)
        } catch {
            throw .unsupported
        }
        var payload: [UInt8] = []
        payload.appendField(1, bytes: identity.publicKey.encoded)
        payload.appendField(2, bytes: signature)
        self.payload = payload
    }

    /// The payload with the muxers we offer in it, the preferred one first.
    func payload(offering muxers: [ProtocolName]) -> [UInt8] {
        guard !muxers.isEmpty else { return payload }
        var extensions: [UInt8] = []
        for muxer in muxers { extensions.appendField(2, bytes: muxer.utf8) }
        var out = payload
        out.appendField(4, bytes: extensions)
        return out
    }
}

/// What the other side's payload says.
struct NoisePayload {
    /// The longest that is read: an RSA key and signature, and some extensions.
    static let maxLength = 16_384
    /// The most muxers that are read, and the longest name of one.
    static let maxMuxers = 16
    static let maxMuxerLength = 128

    var identityKey: [UInt8] = []
    var signature: [UInt8] = []
    /// The stream muxers it offers, the preferred one first; empty if it does not say.
    var muxers: [ProtocolName] = []

    init(decoding bytes: [UInt8]) throws(DecodeError) {
        guard bytes.count <= Self.maxLength else {
            throw DecodeError(.overLimit, "noise: the payload is too long")
        }
        var reader = ByteReader(bytes.rawSpan)
        while let tag = try reader.readTag() {
            switch tag {
            case ProtobufTag(1, .bytes): identityKey = [UInt8](try reader.readDelimited())
            case ProtobufTag(2, .bytes): signature = [UInt8](try reader.readDelimited())
            case ProtobufTag(4, .bytes): try readExtensions(ByteReader(try reader.readDelimited()))
            default: try reader.skipValue(of: tag.wireType)
            }
        }
    }

    private mutating func readExtensions(
        _ extensions: consuming ByteReader
    ) throws(DecodeError) {
        var reader = extensions
        while let tag = try reader.readTag() {
            guard tag == ProtobufTag(2, .bytes) else {
                try reader.skipValue(of: tag.wireType)
                continue
            }
            let name = try reader.readDelimited()
            guard muxers.count < Self.maxMuxers, name.byteCount <= Self.maxMuxerLength else {
                throw DecodeError(.overLimit, "noise: too many muxers")
            }
            muxers.append(ProtocolName(utf8: [UInt8](name)))
        }
    }

    /// The peer that the payload belongs to, if its signature covers `staticKey`.
    func verifiedPeer(staticKey: [UInt8]) throws(NoiseFault) -> PeerID {
        let key: PublicKey
        do throws(DecodeError) {
            key = try PublicKey(decoding: identityKey.rawSpan)
        } catch {
            throw .malformedPayload
        }
        guard key.verify(signature: signature, of: NoiseIdentity.signedPrefix + staticKey) else {
            throw .invalidSignature
        }
        return PeerID(key)
    }
}
