// Publishing and subscribing in the library: two nodes over loopback, and what a slow reader loses.

import Multiformats
import NodeCore
import Peering
import Synchronization
import Testing

@testable import Weft

@Suite struct PubSubTests {
    /// Waits until a node knows so many subscribers of a topic. Each question is a round through
    /// the event loop.
    private static func await(_ count: Int, of topic: String, at node: Node) async throws {
        let deadline = ContinuousClock.now + .seconds(240)
        while try await node.mesh.topicPeers(of: Array(topic.utf8)).count != count {
            try #require(ContinuousClock.now < deadline, "\(count) subscribers of \(topic)")
            await Task.yield()
        }
    }

    @Test("messages go both ways, in order, and a node hears itself") func bothWays() async throws {
        try await withNode { mine, _ in
            try await withNode { theirs, _ in
                let there = try await theirs.mesh.listen(
                    on: [Multiaddr(text: "/ip4/127.0.0.1/tcp/0")])
                try await mine.mesh.connect(to: try #require(there.last))
                let here = try await mine.subscribe(to: "worlds")
                let other = try await theirs.subscribe(to: "worlds")
                try await Self.await(1, of: "worlds", at: mine)
                try await Self.await(1, of: "worlds", at: theirs)
                for number in 0..<20 as Range<UInt8> {
                    #expect(try await mine.publish([number], to: "worlds") == 1)
                }
                var iterator = other.makeAsyncIterator()
                for number in 0..<20 as Range<UInt8> {
                    let message = try #require(await iterator.next())
                    #expect(message.data == [number])
                    #expect(message.author == mine.peer && message.receivedFrom == mine.peer)
                    #expect(message.missed == 0)
                }
                try await theirs.publish([99], to: "worlds")
                var own = here.makeAsyncIterator()
                for number in 0..<20 as Range<UInt8> {
                    #expect(await own.next()?.data == [number])
                }
                #expect(await own.next()?.author == theirs.peer)
                other.cancel()
                #expect(await iterator.next() == nil)
                try await Self.await(0, of: "worlds", at: mine)
                #expect(try await theirs.mesh.topics().isEmpty)
            }
        }
    }

    @Test("an application judges what others publish before anybody gets it")
    func validation() async throws {
        try await withNode { mine, _ in
            try await withNode { theirs, _ in
                let there = try await theirs.mesh.listen(
                    on: [Multiaddr(text: "/ip4/127.0.0.1/tcp/0")])
                try await mine.mesh.connect(to: try #require(there.last))
                let judged = Mutex<[[UInt8]]>([])
                let here = try await mine.subscribe(to: "moves") { message in
                    judged.withLock { $0.append(message.data) }
                    // As one does that asks a database.
                    await Task.yield()
                    return message.data.count == 2 ? .accept : .ignore
                }
                let other = try await theirs.subscribe(to: "moves")
                try await Self.await(1, of: "moves", at: mine)
                try await Self.await(1, of: "moves", at: theirs)
                for number in 0..<4 as Range<UInt8> {
                    let data = [UInt8](repeating: number, count: Int(number))
                    #expect(try await theirs.publish(data, to: "moves") == 1)
                }
                var iterator = here.makeAsyncIterator()
                #expect(await iterator.next()?.data == [2, 2])
                // What a node publishes itself it need not judge.
                try await mine.publish([9], to: "moves")
                #expect(await iterator.next()?.data == [9])
                var far = other.makeAsyncIterator()
                for _ in 0..<4 { _ = await far.next() }
                #expect(await far.next()?.data == [9])
                #expect(!judged.withLock { $0.contains([9]) })
            }
        }
    }

    @Test("who reads too slowly loses the oldest, and is told how many") func slow() async throws {
        var configuration = Configuration()
        configuration.routing.delegated = []
        configuration.mesh.ceilings["mesh.pubsub-waiting"] = 5
        try await withNode(configuration) { node, _ in
            let slow = try await node.subscribe(to: "a")
            let bystander = try await node.subscribe(to: "a")
            for number in 0..<12 as Range<UInt8> { try await node.publish([number], to: "a") }
            #expect(slow.dropped == 7)
            var iterator = slow.makeAsyncIterator()
            let first = try #require(await iterator.next())
            #expect(first.data == [7] && first.missed == 7)
            #expect(await iterator.next()?.missed == 0)
            #expect(bystander.dropped == 7)
        }
    }

    @Test("a subscription ends with its task, with its holder, and with the node")
    func ends() async throws {
        try await withNode { node, _ in
            let reader = Task {
                for await _ in try await node.subscribe(to: "a") {}
                return true
            }
            while try await node.mesh.topics().isEmpty { await Task.yield() }
            reader.cancel()
            #expect(try await reader.value)
            while try await !node.mesh.topics().isEmpty { await Task.yield() }
            let held = try await node.subscribe(to: "b")
            await node.stop()
            var iterator = held.makeAsyncIterator()
            #expect(await iterator.next() == nil)
            await #expect(throws: PubSubError.stopped) { try await node.subscribe(to: "b") }
            await #expect(throws: PubSubError.stopped) { try await node.publish([1], to: "b") }
        }
    }

    @Test("what cannot be done is an error that says why") func refusals() async throws {
        var configuration = Configuration()
        configuration.routing.delegated = []
        configuration.mesh.ceilings["mesh.pubsub-subscriptions"] = 1
        try await withNode(configuration) { node, _ in
            let long = [UInt8](repeating: 0, count: (64 << 10) + 1)
            await #expect(throws: PubSubError.tooLong(bytes: long.count, limit: 64 << 10)) {
                try await node.publish(long, to: "a")
            }
            await #expect(throws: PubSubError.badTopic) { try await node.publish([1], to: "") }
            await #expect(throws: PubSubError.badTopic) {
                try await node.subscribe(to: String(repeating: "a", count: 257))
            }
            let one = try await node.subscribe(to: "a")
            await #expect(throws: PubSubError.overLimit) { try await node.subscribe(to: "a") }
            one.cancel()
        }
        configuration.mesh.pubSub = .off
        try await withNode(configuration) { node, _ in
            await #expect(throws: PubSubError.turnedOff) { try await node.subscribe(to: "a") }
            await #expect(throws: PubSubError.turnedOff) { try await node.publish([1], to: "a") }
        }
    }
}
