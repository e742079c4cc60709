// The calls about topics: Kubo's pubsub/*, in which topics and data are multibase text, and our own
// with more in them.

import Hummingbird
import HummingbirdCore
import IPLD
import Multiformats
import NIOCore
import NodeCore
import Weft

extension LocalServices {
    /// The most that is read of what is to be published, in bytes; the node's own limit is lower.
    private static let maxDataBytes = 1 << 20

    func addPubSubRoutes(to router: Router<LocalContext>) {
        router.call("/api/v0/pubsub/pub") { call in
            let topic = try Self.topic(try call.only("topic"))
            let reader = try UploadReader(call)
            guard try await reader.nextPart() != nil else {
                throw APIError.badArgument("argument \"data\" is required, as a file of the form")
            }
            let data = try await reader.wholePart(upTo: Self.maxDataBytes)
            try await node.mesh.publish(Array(data.readableBytesView), to: topic)
            return APIAnswer.empty
        }
        router.post("/api/v0/pubsub/sub") { request, context in
            let call = try APIRequest(request)
            let topic = try Self.topic(try call.only("topic"))
            return try await messages(of: topic, request, context) { Self.kuboEntry(of: $0) }
        }
        router.call("/api/v0/pubsub/ls") { _ in
            let topics = try await node.mesh.topics()
            return APIAnswer.json(["Strings": .list(topics.map { Self.text($0.topic) })])
        }
        router.call("/api/v0/pubsub/peers") { call in
            let topic = try call.all.first.map { text throws(APIError) in try Self.topic(text) }
            let peers = try await node.mesh.topicPeers(of: topic)
            let names = peers.map(\.peer.description).sorted()
            return APIAnswer.json(["Strings": .list(names.map { .string($0) })])
        }
    }

    func addOwnPubSubRoutes(to router: Router<LocalContext>) {
        router.call("/weft/v1/publish") { call in
            let topic = Array(try call.only("topic").utf8)
            let data = try await call.request.body.collect(upTo: Self.maxDataBytes)
            let count = try await node.mesh.publish(Array(data.readableBytesView), to: topic)
            return APIAnswer.json([
                "topic": .string(ForeignText.printable(topic)),
                "bytes": .number(data.readableBytes), "peers": .number(count),
            ])
        }
        router.post("/weft/v1/subscribe") { request, context in
            let topic = Array(try APIRequest(request).only("topic").utf8)
            return try await messages(of: topic, request, context) { Self.entry(of: $0) }
        }
        router.call("/weft/v1/topics") { _ in
            let topics = try await node.mesh.topics()
            return APIAnswer.json(["topics": .list(topics.map { Self.entry(of: $0) })])
        }
        router.call("/weft/v1/topic-peers") { call in
            let peers = try await node.mesh.topicPeers(of: call.all.first.map { Array($0.utf8) })
            return APIAnswer.json(["peers": .list(peers.map { Self.entry(of: $0) })])
        }
    }

    /// What is published from now on, one line each, until the caller goes.
    private func messages(
        of topic: [UInt8], _ request: ServerRequest, _ context: LocalContext,
        _ entry: @escaping @Sendable (TopicMessage) -> Value
    ) async throws -> ServerResponse {
        let subscription = try await node.mesh.subscribe(to: topic)
        return APIAnswer.lines { @concurrent emit in
            guard !context.isInProcess else {
                for await message in subscription { try await emit(entry(message)) }
                return
            }
            // A topic may be silent for long, and nobody is told then that the caller has gone.
            try await request.body.consumeWithCancellationOnInboundClose { _ in
                for await message in subscription { try await emit(entry(message)) }
            }
        }
    }

    // MARK: Arguments

    private static func topic(_ text: String) throws(APIError) -> [UInt8] {
        do {
            return try Multibase.decode(text).bytes
        } catch {
            throw .badArgument(
                "the topic '\(text)' is not in multibase, such as base64url: \(error)")
        }
    }

    // MARK: Answers

    private static func text(_ bytes: [UInt8]) -> Value {
        .string(Multibase.base64URL.encode(bytes))
    }

    private static func kuboEntry(of message: TopicMessage) -> Value {
        .object([
            "from": .string(message.author.description), "data": text(message.data),
            "seqno": text(message.sequence), "topicIDs": .list([text(message.topic)]),
        ])
    }

    private static func entry(of message: TopicMessage) -> Value {
        let words = String(validating: message.data, as: UTF8.self)
        return .object([
            "topic": .string(ForeignText.printable(message.topic)),
            "author": .string(message.author.description),
            "receivedFrom": .string(message.receivedFrom.description),
            "sequence": .string(Multibase.base16.encodeBody(message.sequence)),
            "data": .string(Multibase.base64Pad.encodeBody(message.data)),
            "text": words.map { .string($0) }, "missed": .number(message.missed),
        ])
    }

    private static func entry(of topic: NodeCore.TopicStatus) -> Value {
        .object([
            "topic": .string(ForeignText.printable(topic.topic)),
            "subscriptions": .number(topic.subscriptions), "peers": .number(topic.peers),
            "meshPeers": .number(topic.meshPeers),
        ])
    }

    private static func entry(of peer: NodeCore.TopicPeer) -> Value {
        .object([
            "peer": .string(peer.peer.description), "score": .number(Int64(peer.score)),
            "mesh": .bool(peer.isInMesh),
        ])
    }
}
