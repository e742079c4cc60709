// What can be asked about publish-subscribe, and what it answers.

public import Multiformats
public import Peering

/// Somebody on this node who receives what is published to a topic. The number is never used again.
public struct SubscriptionID: Hashable, Sendable {
    let number: UInt64
}

/// What somebody who subscribes wants besides messages.
public struct SubscriptionTerms: Hashable, Sendable {
    /// Messages wait until they have been judged (``NodeCore/PubSubCommand/judge(_:_:)``).
    public var validates = false
    /// How many messages a minute each peer of the mesh brings at least; those that bring less are
    /// replaced. Nil if that is not known.
    public var perMinute: Double?

    /// Messages alone.
    public init() {}
}

extension NodeCore {
    /// When a node takes part in publish-subscribe.
    public enum Participation: Hashable, Sendable {
        /// From the first subscription or publication on, and until a minute after the last.
        case onDemand
        /// Though nobody on it has asked for that.
        case always
        case never
    }

    /// What can be asked about publish-subscribe. All is answered at once, in ``PubSubAnswer``.
    ///
    /// Of a node that never takes part, a subscription or publication is
    /// `.failed(.unavailable)`.
    public enum PubSubCommand: Sendable {
        /// Receive what is published to a topic, by this node too, as
        /// ``Output/message(_:from:subscriptions:)``: `.subscribed`.
        case subscribe([UInt8], SubscriptionTerms = SubscriptionTerms())
        /// Receive no more of it: `.done`.
        case unsubscribe(SubscriptionID)
        /// What is thought of a message that came as
        /// ``Output/validate(_:_:from:subscriptions:)``: `.done`.
        case judge(PubSub.ValidationID, PubSub.Verdict)
        /// Publish data to a topic, subscribed or not: `.published`.
        case publish([UInt8], to: [UInt8])
        /// What is subscribed to: `.topics`.
        case topics
        /// Who subscribed to a topic, or, without one, who takes part: `.peers`.
        case peers(topic: [UInt8]?)
    }

    /// What a ``PubSubCommand`` is answered with, if not with a failure.
    public enum PubSubAnswer: Sendable {
        case subscribed(SubscriptionID)
        /// To how many peers it goes at once; those that join within seconds get it as well.
        case published(peers: Int)
        case topics([TopicStatus])
        case peers([TopicPeer])
    }

    /// A topic that is subscribed to.
    public struct TopicStatus: Hashable, Sendable {
        /// Its name, in UTF-8 as a rule.
        public let topic: [UInt8]
        /// How many on this node receive it.
        public let subscriptions: Int
        /// How many peers are known to have subscribed to it.
        public let peers: Int
        /// With how many of them messages are exchanged as they come.
        public let meshPeers: Int
    }

    /// A peer that takes part in publish-subscribe.
    public struct TopicPeer: Hashable, Sendable {
        /// Who it is.
        public let peer: PeerID
        /// What its behaviour is worth; below zero it is in no mesh.
        public let score: Double
        /// Whether it is in the mesh of the topic that was asked for, or of any.
        public let isInMesh: Bool
    }
}
