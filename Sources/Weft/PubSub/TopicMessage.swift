// A message of publish-subscribe, as subscribers get it.

public import Multiformats
import NodeCore
import Peering

/// A message that was published to a topic. Its author's signature has been checked.
public struct TopicMessage: Hashable, Sendable {
    /// The name of the topic; UTF-8 as a rule.
    public let topic: [UInt8]
    /// Who published it.
    public let author: PeerID
    /// The peer that brought it; this node for what it published itself.
    public let receivedFrom: PeerID
    /// Tells the messages of an author apart, and grows.
    public let sequence: [UInt8]
    /// What was published.
    public let data: [UInt8]
    /// How many messages before this one were dropped, because they were not taken in time.
    public internal(set) var missed: UInt64 = 0

    init(_ message: PubSubMessage, from peer: PeerID) {
        topic = message.topic
        author = message.author
        receivedFrom = peer
        sequence = message.sequence
        data = message.data
    }
}

/// What a subscriber thinks of a message that it is to judge.
public enum MessageVerdict: Hashable, Sendable {
    /// Subscribers get it, and it goes on to other peers.
    case accept
    /// Nobody gets it, and nobody is to blame.
    case ignore
    /// Nobody gets it, and the peers that brought it are soon not listened to.
    case reject
}

/// Why something about topics was not done.
public enum PubSubError: Error, Hashable, Sendable {
    /// The data is longer than the node passes on.
    case tooLong(bytes: Int, limit: Int)
    /// The topic has no name, or one of more than 256 bytes.
    case badTopic
    /// There are as many subscriptions, or topics, as there may be.
    case overLimit
    /// The configuration says that this node takes no part (`mesh.pubsub`).
    case turnedOff
    /// The node stops.
    case stopped
}

extension PubSubError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .tooLong(let bytes, let limit):
            "a message of \(bytes) bytes is too long: this node passes on \(limit) at most "
                + "('mesh.pubsub-message'); publish the CID of what is longer"
        case .badTopic: "the name of a topic has 1 to \(PubSub.maxTopicBytes) bytes"
        case .overLimit:
            "there are as many subscriptions or topics as there may be "
                + "('mesh.pubsub-subscriptions', 'mesh.pubsub-topics'); 'weft pubsub ls' shows them"
        case .turnedOff: "publish-subscribe is turned off on this node ('mesh.pubsub')"
        case .stopped: "the node stops"
        }
    }
}
