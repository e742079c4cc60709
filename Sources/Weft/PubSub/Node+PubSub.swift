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
    /// - Parameter topic: the name, of 1 to 256 bytes in UTF-8.
    /// - Throws: ``PubSubError``.
    public func subscribe(to topic: String) async throws -> Subscription {
        try await mesh.subscribe(to: Array(topic.utf8))
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
