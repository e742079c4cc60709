// Peering is what peers say to each other once they are connected: who they are and where they can
// be reached (Identify, Ping, AddressBook), whom to dial when (Dialing), and who knows what (Kad).
//
// Every protocol is a machine of its own and a value. It takes stream events and the time, and
// gives stream orders and events; it opens no socket, reads no clock and draws its randomness from
// a generator that it is given. One message is one element: what cuts bytes into messages works on
// the connection (StreamFraming). Queues and tables have limits with names.
//
// All machines share one AddressBook, which they are handed when they need it.

public import Multiformats
import Wire

/// The protocols that this module speaks, and how their streams are cut up.
public enum PeerProtocols {
    public static let identify = ProtocolName("/ipfs/id/1.0.0")
    public static let identifyPush = ProtocolName("/ipfs/id/push/1.0.0")
    public static let ping = ProtocolName("/ipfs/ping/1.0.0")
    public static let kad = ProtocolName("/ipfs/kad/1.0.0")
    public static let lanKad = ProtocolName("/ipfs/lan/kad/1.0.0")
    public static let autoNATv1 = ProtocolName("/libp2p/autonat/1.0.0")
    public static let autoNATv2Request = ProtocolName("/libp2p/autonat/2/dial-request")
    public static let autoNATv2DialBack = ProtocolName("/libp2p/autonat/2/dial-back")
    public static let relayHop = ProtocolName("/libp2p/circuit/relay/0.2.0/hop")
    public static let relayStop = ProtocolName("/libp2p/circuit/relay/0.2.0/stop")
    public static let fetch = ProtocolName("/libp2p/fetch/0.0.1")
    public static let dcutr = ProtocolName("/libp2p/dcutr")
    public static let signaling = ProtocolName("/webrtc-signaling/0.0.1")
    public static let meeting = ProtocolName("/weft/meet/1")

    /// How streams of a protocol are cut up; nil for one that this module does not speak.
    public static func framing(of name: ProtocolName) -> StreamFraming? {
        switch name {
        case identify, identifyPush: .messages(limit: IdentifyMessage.maxBytes)
        case ping: .raw
        case autoNATv1, autoNATv2Request, autoNATv2DialBack:
            .messages(limit: AutoNATMessage.maxBytes)
        // Messages at first, then a connection of its own.
        case relayHop, relayStop: .raw
        case fetch: .messages(limit: KeyFetch.maxBytes)
        case dcutr: .messages(limit: DCUtR.maxBytes)
        case signaling: .messages(limit: SignalingMessage.maxBytes)
        case meeting: .messages(limit: MeetingMessage.maxBytes)
        case kad, lanKad: .messages(limit: KadMessage.maxBytes)
        case _ where PubSub.protocols.contains(name): .messages(limit: PubSub.maxMessageBytes)
        default: nil
        }
    }
}
