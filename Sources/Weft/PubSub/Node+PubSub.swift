// Publishing and subscribing, as an application uses it.

extension Node {
    /// Receives what is published to a topic by any peer of the network, this node too.
    ///
    /// Messages reach those that are connected, directly or through others, while they subscribe;
    /// nothing is kept for later. From here on and until a minute after the last subscription the
    /// node takes part in publish-subscribe (gossipsub), unless `mesh.pubsub` says otherwise.
    ///
    /// ```swift
    /// for await message in try await node.subscribe(to: "worlds") {
    ///     print("\(message.author): \(message.data.count) bytes")
    /// }
    /// ```
    ///
    /// With `validate`, the application has the say on what other peers publish, before anybody
    /// gets it and before it is passed on:
    ///
    /// ```swift
    /// let moves = try await node.subscribe(to: "moves") { message in
    ///     message.data.count == 8 ? .accept : .reject
    /// }
    /// ```
    ///
    /// It is asked about up to 256 messages at once and has five seconds for each; what it does not
    /// judge by then, and what exceeds those, is ignored.
    ///
    /// - Parameters:
    ///   - topic: the name, of 1 to 256 bytes in UTF-8.
    ///   - perMinute: how many messages each peer of the topic's mesh brings at least. Those that
    ///     bring less for a minute or more are replaced by others, because they may be keeping
    ///     messages back. Leave it out where you do not know, as well-behaved peers lose their
    ///     places where it is too high.
    ///   - validate: judges each message of other peers. It need not answer in order.
    /// - Throws: ``PubSubError``.
    public func subscribe(
        to topic: String, expecting perMinute: Int? = nil, validate: MessageValidator? = nil
    ) async throws -> Subscription {
        try await mesh.subscribe(
            to: Array(topic.utf8), expecting: perMinute, validate: validate)
    }

    /// Publishes data to a topic, signed with the node's key. It need not be subscribed to.
    ///
    /// - Parameters:
    ///   - data: up to 64 KiB, unless `mesh.pubsub-message` says otherwise.
    ///   - topic: the name, of 1 to 256 bytes in UTF-8.
    /// - Returns: to how many peers it went at once. Peers that come within the next seconds get it
    ///   too, and those that have it pass it on.
    /// - Throws: ``PubSubError``.
    @discardableResult
    public func publish(_ data: [UInt8], to topic: String) async throws -> Int {
        try await mesh.publish(data, to: Array(topic.utf8))
    }
}
