public import Connections
public import Multiformats

/// Why a peer could not be reached, or a connection or stream ended.
public enum TransportError: Error, Sendable {
    /// There is no way to use this address.
    case unsupportedAddress(Multiaddr)
    /// Listening here takes a certificate of the web, and there is none.
    case noCertificate(Multiaddr)
    /// Nobody answers at the address, or the network failed; with what the system said.
    case unreachable(String)
    /// This port cannot be dialled from: it already has a connection there, or had a moment ago.
    case portTaken
    /// No socket listens whose port could be dialled from.
    case notListening
    /// The peer broke the rules, or is somebody else.
    case failed(ConnectionError)
    /// TLS failed; with what it said.
    case tls(String)
    /// The connection was closed.
    case closed
    /// The peer speaks none of the protocols that were offered.
    case protocolRefused
    /// There are too many streams on the connection, or connections on the node.
    case overLimit
    /// The connection held more than its part of the memory that there is for peers.
    case overMemory
    /// The stream was given up by the peer, or with its connection.
    case streamReset
    /// The peer did not go on in time.
    case timedOut
}

extension TransportError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .unsupportedAddress(let address):
            "the address \(address) is of a kind that this node cannot dial or listen on"
        case .noCertificate(let address):
            "\(address) takes a certificate; name its files with 'mesh.certificate' and "
                + "'mesh.certificate-key'"
        case .unreachable(let reason): "nobody answers: \(reason)"
        case .portTaken: "there is, or just was, a connection between the same two ports"
        case .notListening: "this node does not listen on a port that it could dial from"
        case .failed(let error): "\(error)"
        case .tls(let reason): "TLS failed: \(reason)"
        case .closed: "the connection was closed"
        case .protocolRefused: "the peer does not speak the protocol"
        case .overLimit: "there are too many connections or streams; try again later"
        case .overMemory: "the connection took more than its part of 'mesh.memory'"
        case .streamReset: "the peer gave up the stream"
        case .timedOut: "the peer did not go on in time"
        }
    }
}
