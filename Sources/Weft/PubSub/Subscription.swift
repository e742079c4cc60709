// What one subscriber receives: a bounded queue, read as an asynchronous sequence.

import DequeModule
import NodeCore
import Peering
import Synchronization

/// The messages of a topic, from the subscription on, in the order they come.
///
/// Whoever reads too slowly for a topic loses its oldest messages, never its newest: each message
/// says how many are missing before it (``TopicMessage/missed``). The sequence ends with
/// ``cancel()``, with the task that reads it, or with the node. A subscription that nobody holds
/// any more is over.
public final class Subscription: AsyncSequence, Sendable {
    public typealias Element = TopicMessage
    public typealias Failure = Never

    /// The name of the topic.
    public let topic: [UInt8]
    private let queue: SubscriptionQueue
    private let mesh: Mesh

    init(_ topic: [UInt8], _ queue: SubscriptionQueue, _ mesh: Mesh) {
        self.topic = topic
        self.queue = queue
        self.mesh = mesh
    }

    deinit { cancel() }

    /// How many messages were dropped so far because they were not taken in time.
    public var dropped: UInt64 { queue.dropped }

    /// Ends the subscription. What has come and was not taken is lost.
    public func cancel() {
        queue.end()
        mesh.run { [queue] in $0.unsubscribe(queue) }
    }

    public func makeAsyncIterator() -> Iterator { Iterator(subscription: self) }

    /// Takes the messages one after the other.
    public struct Iterator: AsyncIteratorProtocol {
        fileprivate let subscription: Subscription

        /// The next message; nil when the subscription, the node or the task has ended.
        public mutating func next() async -> TopicMessage? { await subscription.queue.next() }
    }
}

/// Judges a message, within five seconds.
public typealias MessageValidator = @Sendable (TopicMessage) async -> MessageVerdict

/// The messages that wait for one subscriber.
final class SubscriptionQueue: Sendable {
    private typealias Waiter = CheckedContinuation<TopicMessage?, Never>

    private struct State {
        var id: SubscriptionID?
        var messages = Deque<TopicMessage>()
        var bytes = 0
        var dropped: UInt64 = 0
        /// How many were dropped since a message was taken.
        var missed: UInt64 = 0
        var waiters: [(number: UInt64, waiter: Waiter)] = []
        var lastWaiter: UInt64 = 0
        var isEnded = false
    }

    private let limits: (messages: Int, bytes: Int)
    private let state = Mutex(State())
    /// Judges messages before anybody gets them; nil if all are as good.
    let validate: MessageValidator?

    init(messages: Int, bytes: Int, validate: MessageValidator?) {
        limits = (messages, bytes)
        self.validate = validate
    }

    var dropped: UInt64 { state.withLock { $0.dropped } }

    /// What the machine calls the subscription; nil before it knows of it.
    var id: SubscriptionID? { state.withLock { $0.id } }

    func begin(_ id: SubscriptionID) { state.withLock { $0.id = id } }

    /// A message came.
    func deliver(_ message: TopicMessage) {
        let waiter = state.withLock { state -> Waiter? in
            guard !state.isEnded else { return nil }
            if !state.waiters.isEmpty { return state.waiters.removeFirst().waiter }
            state.messages.append(message)
            state.bytes += message.data.count
            while state.messages.count > limits.messages
                || (state.bytes > limits.bytes && state.messages.count > 1),
                let oldest = state.messages.popFirst()
            {
                state.bytes -= oldest.data.count
                state.dropped += 1
                state.missed += 1
            }
            return nil
        }
        waiter?.resume(returning: message)
    }

    /// Waits for the next message.
    func next() async -> TopicMessage? {
        let number = state.withLock { state in
            state.lastWaiter += 1
            return state.lastWaiter
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { (waiter: Waiter) in
                let ready = state.withLock { state -> TopicMessage?? in
                    guard !state.isEnded, !Task.isCancelled else { return .some(nil) }
                    guard var message = state.messages.popFirst() else {
                        state.waiters.append((number, waiter))
                        return nil
                    }
                    state.bytes -= message.data.count
                    message.missed = state.missed
                    state.missed = 0
                    return message
                }
                if let ready { waiter.resume(returning: ready) }
            }
        } onCancel: {
            let waiter = state.withLock { state -> Waiter? in
                guard let index = state.waiters.firstIndex(where: { $0.number == number }) else {
                    return nil
                }
                return state.waiters.remove(at: index).waiter
            }
            waiter?.resume(returning: nil)
        }
    }

    /// Nothing more comes.
    func end() {
        let waiters = state.withLock { state in
            state.isEnded = true
            state.messages = []
            state.bytes = 0
            defer { state.waiters = [] }
            return state.waiters
        }
        for (_, waiter) in waiters { waiter.resume(returning: nil) }
    }
}
