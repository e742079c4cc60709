// Topics: what a node publishes, and what it receives of what others publish.

import Multiformats
import NIOCore
public import NodeCore
import Peering
import Wire

extension Configuration {
    /// When a node takes part in publish-subscribe.
    public enum PublishSubscribe: String, Sendable, CaseIterable {
        /// While somebody on it subscribes or publishes, and a minute longer.
        case auto
        /// Always, so that it also passes on what others publish to topics that it subscribes to
        /// later without a pause.
        case on
        /// Never.
        case off

        var participation: NodeCore.Participation {
            switch self {
            case .auto: .onDemand
            case .on: .always
            case .off: .never
            }
        }
    }
}

extension Mesh {
    /// Receives what is published to a topic, by this node too; see
    /// ``Node/subscribe(to:expecting:validate:)``.
    ///
    /// - Throws: ``PubSubError``.
    public func subscribe(
        to topic: [UInt8], expecting perMinute: Int? = nil, validate: MessageValidator? = nil
    ) async throws -> Subscription {
        try check(topic)
        let limits = NodeLimits(settings).pubSub
        let queue = SubscriptionQueue(
            messages: limits.waitingMessages, bytes: limits.waitingBytes, validate: validate)
        var terms = SubscriptionTerms()
        terms.validates = validate != nil
        terms.perMinute = perMinute.map { Double(max(0, $0)) }
        let begun = eventLoop.makePromise(of: NodeCore.Answer?.self)
        run { [terms] driver in
            begun.succeed(driver.subscribe(to: topic, terms, queue))
        } stopped: {
            begun.fail(PubSubError.stopped)
        }
        let answer = try await begun.futureResult.get()
        if case .failed(let failure) = answer { throw PubSubError(failure) }
        return Subscription(topic, queue, self)
    }

    /// Publishes data to a topic, subscribed or not.
    ///
    /// - Returns: to how many peers it went at once. Peers that come within the next seconds get it
    ///   too, and those that have it pass it on.
    /// - Throws: ``PubSubError``.
    @discardableResult
    public func publish(_ data: [UInt8], to topic: [UInt8]) async throws -> Int {
        try check(topic)
        let limit = NodeLimits(settings).pubSub.machine.messageBytes
        guard data.count <= limit else {
            throw PubSubError.tooLong(bytes: data.count, limit: limit)
        }
        guard case .published(let count) = try await ask(.publish(data, to: topic)) else {
            return 0
        }
        return count
    }

    /// The topics that are subscribed to.
    public func topics() async throws -> [NodeCore.TopicStatus] {
        guard case .topics(let topics) = try await ask(.topics) else { return [] }
        return topics
    }

    /// The peers that subscribed to a topic; without one, all that take part in publish-subscribe.
    public func topicPeers(of topic: [UInt8]? = nil) async throws -> [NodeCore.TopicPeer] {
        if let topic { try check(topic) }
        guard case .peers(let peers) = try await ask(.peers(topic: topic)) else { return [] }
        return peers
    }

    private func check(_ topic: [UInt8]) throws(PubSubError) {
        guard 1...PubSub.maxTopicBytes ~= topic.count else { throw .badTopic }
    }

    /// Nil for what is done without more words.
    private func ask(_ command: NodeCore.PubSubCommand) async throws -> NodeCore.PubSubAnswer? {
        do {
            switch try await ask(.pubSub(command), within: Self.shortLimit) {
            case .pubSub(let answer): return answer
            case .failed(let failure): throw PubSubError(failure)
            default: return nil
            }
        } catch MeshError.stopped {
            throw PubSubError.stopped
        }
    }
}

extension PubSubError {
    init(_ failure: NodeCore.Failure) {
        switch failure {
        case .unavailable: self = .turnedOff
        default: self = .overLimit
        }
    }
}

extension MeshDriver {
    /// Begins a subscription.
    func subscribe(
        to topic: [UInt8], _ terms: SubscriptionTerms, _ queue: SubscriptionQueue
    ) -> NodeCore.Answer? {
        let answer = perform(.pubSub(.subscribe(topic, terms)))
        if case .pubSub(.subscribed(let id)) = answer {
            queue.begin(id)
            subscriptions[id] = queue
        }
        return answer
    }

    /// Ends a subscription.
    func unsubscribe(_ queue: SubscriptionQueue) {
        guard let id = queue.id, subscriptions.removeValue(forKey: id) != nil else { return }
        _ = perform(.pubSub(.unsubscribe(id)))
    }

    /// Has subscribers judge a message. Only what all of them accept is accepted.
    func judge(
        _ message: PubSubMessage, _ id: PubSub.ValidationID, from peer: PeerID,
        by ids: [SubscriptionID]
    ) {
        let validators = ids.compactMap { subscriptions[$0]?.validate }
        // One that never answers keeps its place, though the machine has long given the message up.
        guard !validators.isEmpty, judging < PubSub.maxValidations else {
            _ = perform(.pubSub(.judge(id, .ignore)))
            return
        }
        judging += 1
        let message = TopicMessage(message, from: peer)
        Task { [mesh] in
            var verdict = PubSub.Verdict.accept
            for validate in validators where verdict == .accept {
                switch await validate(message) {
                case .accept: break
                case .ignore: verdict = .ignore
                case .reject: verdict = .reject
                }
            }
            mesh.run { [verdict] driver in
                driver.judging -= 1
                _ = driver.perform(.pubSub(.judge(id, verdict)))
            }
        }
    }

    /// Hands on a message.
    func deliver(_ message: PubSubMessage, from peer: PeerID, to ids: [SubscriptionID]) {
        let message = TopicMessage(message, from: peer)
        for id in ids { subscriptions[id]?.deliver(message) }
    }
}
