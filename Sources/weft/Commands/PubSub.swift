// weft pubsub: pub, sub, ls, peers

import ArgumentParser
import Gateway
import IPLD
import NIOCore
import Synchronization
import Weft

struct PubSub: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pubsub",
        abstract: "Publish to topics, and receive what others publish.",
        discussion: """
            Messages are signed, and go to all who subscribe to the topic at that time and are \
            connected, directly or through others. Nothing is kept for later. Anybody may publish \
            to any topic: what matters in a message is who signed it.


            """
                + Examples.text(
                    ("weft pubsub sub news", "show what is published to 'news', until Ctrl-C"),
                    ("weft pubsub pub news 'it rains'", "publish to it")),
        subcommands: [Publish.self, Subscribe.self, Topics.self, TopicPeers.self])
}

extension PubSub {
    struct Publish: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "pub",
            abstract: "Publish a message to a topic.",
            discussion: """
                With --json an object with topic, bytes, and peers: to how many peers it went at \
                once. Peers that come within the next seconds get it too.


                """
                    + Examples.text(
                        ("weft pubsub pub news 'it rains'", "publish a text"),
                        ("weft pubsub pub news < report.json", "publish what is read")))

        @OptionGroup var common: CommonOptions

        @Argument(help: "The topic's name.")
        var topic: String

        @Argument(help: "What is published; without it, what standard input holds.")
        var text: String?

        /// The most that is read; the node's own limit is lower.
        private static let maxBytes = 1 << 20

        func run() async throws {
            try await LocalClient.with(common) { client in
                try client.requireNode()
                var data = ByteBuffer(string: text ?? "")
                if text == nil { data = try await Self.standardInput() }
                var call = APICall("/weft/v1/publish", [("arg", topic)])
                call.body = .init("application/octet-stream", data)
                let answer = try await client.value(call)
                if common.json { return try StandardOutput.line(JSONText.text(of: answer)) }
                let count = answer["peers"]?.count ?? 0
                try StandardOutput.line(
                    count == 0
                        ? "published; no peer of this topic is connected yet"
                        : "published to \(count) \(count == 1 ? "peer" : "peers")")
            }
        }

        private static func standardInput() async throws -> ByteBuffer {
            var whole = ByteBuffer()
            for try await var chunk in InputFile(path: "-") {
                whole.writeBuffer(&chunk)
                guard whole.readableBytes <= maxBytes else {
                    throw CommandFailure(
                        "a message is a mebibyte at most; add what is longer and publish its CID")
                }
            }
            return whole
        }
    }

    struct Subscribe: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "sub",
            abstract: "Show what is published to a topic, until Ctrl-C.",
            discussion: """
                Each line is the peer that signed a message, and its text without control \
                characters. With --json each line is an object with topic, author, receivedFrom, \
                sequence, data (base64), text (if it is UTF-8), and missed: how many messages \
                before it were dropped because they were not read in time.


                """
                    + Examples.text(
                        ("weft pubsub sub news", "show what is published"),
                        ("weft pubsub sub --count 1 --json news", "wait for one message")))

        @OptionGroup var common: CommonOptions

        @Option(name: [.short, .long], help: "End after so many messages.")
        var count: UInt64?

        @Argument(help: "The topic's name.")
        var topic: String

        func validate() throws {
            guard count != 0 else { throw ValidationError("--count must be at least 1") }
        }

        func run() async throws {
            let (json, rest) = (common.json, Rest(count))
            do {
                try await LocalClient.with(common) { client in
                    try client.requireNode()
                    try await client.values(APICall("/weft/v1/subscribe", [("arg", topic)])) {
                        try Self.show($0, json: json)
                        if rest.isOver() { throw CommandFailure("enough") }
                    }
                }
            } catch  where rest.isReached {
                return
            }
        }

        private static func show(_ message: Value, json: Bool) throws {
            if json {
                try StandardOutput.line(JSONText.text(of: message))
            } else {
                if let missed = message["missed"]?.count, missed > 0 {
                    StandardError.write("weft: \(missed) messages were not read in time\n")
                }
                let text = message["text"]?.text.map { ForeignText.printable(Array($0.utf8)) }
                let author = StandardOutput.dim(message["author"]?.text ?? "")
                try StandardOutput.line("\(author)  \(text ?? message["data"]?.text ?? "")")
            }
            try StandardOutput.flush()
        }

        /// How many messages are still to come; nil for any number.
        private final class Rest: Sendable {
            private let count: Mutex<UInt64?>

            init(_ count: UInt64?) { self.count = Mutex(count) }

            var isReached: Bool { count.withLock { $0 == 0 } }

            /// Counts a message; true if it was the last.
            func isOver() -> Bool {
                count.withLock { count in
                    if let rest = count { count = rest - 1 }
                    return count == 0
                }
            }
        }
    }

    struct Topics: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "ls",
            abstract: "List the topics that the running node subscribes to.",
            discussion: """
                With --json each line is an object with topic, subscriptions (how many on this \
                node), peers (how many are known to subscribe), and meshPeers (with how many of \
                them messages are exchanged as they come).


                """ + Examples.text(("weft pubsub ls", "one line for each topic")))

        @OptionGroup var common: CommonOptions

        func run() async throws {
            try await LocalClient.with(common) { client in
                try client.requireNode()
                let answer = try await client.value(APICall("/weft/v1/topics"))
                for topic in answer["topics"]?.elements ?? [] {
                    let peers = topic["peers"]?.count ?? 0
                    let rest = StandardOutput.dim("\(peers) \(peers == 1 ? "peer" : "peers")")
                    try StandardOutput.line(
                        common.json
                            ? JSONText.text(of: topic) : "\(topic["topic"]?.text ?? "")  \(rest)")
                }
            }
        }
    }

    struct TopicPeers: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "peers",
            abstract: "List the peers that subscribe to a topic.",
            discussion: """
                Without a topic, the peers that take part in publish-subscribe at all. With --json \
                each line is an object with peer, score (below zero: not trusted with messages), \
                and mesh (whether messages are exchanged as they come).


                """ + Examples.text(("weft pubsub peers news", "who receives 'news'")))

        @OptionGroup var common: CommonOptions

        @Argument(help: "The topic's name.")
        var topic: String?

        func run() async throws {
            try await LocalClient.with(common) { client in
                try client.requireNode()
                let call = APICall(
                    "/weft/v1/topic-peers", topic.map { [(name: "arg", value: $0)] } ?? [])
                let answer = try await client.value(call)
                for peer in answer["peers"]?.elements ?? [] {
                    try StandardOutput.line(
                        common.json ? JSONText.text(of: peer) : peer["peer"]?.text ?? "")
                }
            }
        }
    }
}
