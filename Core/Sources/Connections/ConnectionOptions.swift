public import Multiformats

/// How a connection is secured, by the names that are negotiated.
public enum SecurityProtocol: Hashable, Sendable {
    /// Noise, which the connection does itself.
    case noise
    /// TLS 1.3, which the shell does when it is told to.
    case tls

    /// The name in the negotiation.
    public var name: ProtocolName {
        switch self {
        case .noise: ProtocolName("/noise")
        case .tls: ProtocolName("/tls/1.0.0")
        }
    }
}

/// What all connections of a node have in common.
public struct ConnectionOptions: Sendable {
    /// Who we are.
    public var identity: NoiseIdentity
    /// The security protocols that a listener accepts.
    public var accepted: [SecurityProtocol] = [.noise, .tls]
    /// The protocols that the peer may open streams with.
    public var protocols: [ProtocolName]
    /// The key of the private network that the connection belongs to; nil for the public one.
    public var presharedKey: PresharedKey?
    /// Limits of the streams.
    public var limits = YamuxLimits()
    /// How long the handshake may take, up to the first stream.
    public var handshakeTimeout = Duration.seconds(10)
    /// How long the peer may take to agree on a stream's protocol.
    public var negotiationTimeout = Duration.seconds(10)

    /// The only stream muxer.
    public static let muxer = ProtocolName("/yamux/1.0.0")

    /// The usual options.
    public init(identity: NoiseIdentity, protocols: [ProtocolName]) {
        self.identity = identity
        self.protocols = protocols
    }
}

/// Random bytes that one connection needs, from a source fit for secrets.
public struct ConnectionSecrets: Sendable {
    let ephemeralKey: [UInt8]
    let nonce: [UInt8]

    /// How many random bytes there have to be.
    public static let byteCount = 56

    /// Secrets of ``byteCount`` random bytes, which are used for nothing else.
    public init(_ random: [UInt8]) {
        precondition(random.count == Self.byteCount, "a connection needs 56 random bytes")
        ephemeralKey = Array(random[..<32])
        nonce = Array(random[32...])
    }
}
