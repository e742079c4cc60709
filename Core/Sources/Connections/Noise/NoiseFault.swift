import Cryptography

/// Why a Noise handshake or channel failed.
public enum NoiseFault: Error, Hashable, Sendable {
    /// A message is shorter than its parts.
    case truncated
    /// A message was changed on its way, or was made with another key.
    case forged
    /// The other side's key is unusable.
    case invalidKey
    /// What the other side says about itself cannot be read.
    case malformedPayload
    /// The other side's identity has not signed its handshake key.
    case invalidSignature
    /// Both sides named muxers, and have none in common.
    case noCommonMuxer
    /// This build has no implementation of the ciphers, or of our key's signatures.
    case unsupported

    init(_ error: CipherError) {
        switch error {
        case .invalidKey: self = .invalidKey
        case .forged: self = .forged
        case .unsupported: self = .unsupported
        }
    }
}

extension NoiseFault: CustomStringConvertible {
    public var description: String {
        switch self {
        case .truncated: "a handshake message is too short"
        case .forged: "the encrypted bytes were changed on their way"
        case .invalidKey: "the peer's handshake key is unusable"
        case .malformedPayload: "the peer's handshake cannot be read"
        case .invalidSignature: "the peer's identity did not sign its handshake key"
        case .noCommonMuxer: "the peer has no stream muxer in common with us"
        case .unsupported: "this build cannot encrypt connections"
        }
    }
}
