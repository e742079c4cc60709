public import Multiformats
public import Wire

/// Why a connection ended before it was closed.
public enum ConnectionError: Error, Hashable, Sendable {
    /// What a connection waits for.
    public enum Stage: Hashable, Sendable {
        case security, muxer
    }

    /// The negotiation of a protocol for the whole connection broke the rules.
    case negotiation(DecodeError)
    /// The peer has none of the security protocols that were proposed.
    case securityRefused
    /// The peer has no yamux.
    case muxerRefused
    /// The encrypted channel failed.
    case noise(NoiseFault)
    /// Somebody else answered.
    case wrongPeer(expected: PeerID, found: PeerID)
    /// The peer broke the rules of yamux, or went silent.
    case yamux(YamuxFault)
    /// The peer sent more than is kept before it has proven who it is.
    case tooEarly
    /// The peer did not come this far in time.
    case timedOut(Stage)
}

extension ConnectionError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .negotiation(let error): "the peer does not negotiate as libp2p does: \(error)"
        case .securityRefused: "the peer speaks none of our security protocols"
        case .muxerRefused: "the peer does not speak yamux"
        case .noise(let fault): "encryption failed: \(fault)"
        case .wrongPeer(let expected, let found):
            "asked for the peer \(expected), answered by \(found)"
        case .yamux(let fault): "\(fault)"
        case .tooEarly: "the peer sent too much before it proved who it is"
        case .timedOut(.security): "the peer did not finish the handshake in time"
        case .timedOut(.muxer): "the peer did not agree on a stream muxer in time"
        }
    }
}
