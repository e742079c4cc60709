// Messages wait until the application has judged them. What it refuses goes to nobody, and counts
// against whoever brought it.

import Multiformats
public import Wire

extension PubSub {
    /// What an application thinks of a message.
    public enum Verdict: Hashable, Sendable {
        /// It is delivered, and passed on.
        case accept
        /// Nobody gets it, and nobody is to blame.
        case ignore
        /// Nobody gets it, and it counts as an invalid message of those who brought it (P4).
        case reject
    }

    /// Names a message that waits to be judged. The number is never used again.
    public struct ValidationID: Hashable, Sendable {
        let number: UInt64
    }

    /// How long an application has to judge a message, which is ignored then.
    public static let validationTime: Duration = .seconds(5)
    /// How many messages wait to be judged, and how many bytes; more are ignored.
    public static let maxValidations = 256
    public static let maxValidationBytes = 4 << 20
    /// Of how many peers that brought a waiting message it is known that they did.
    static let maxBearers = 16

    /// The messages that wait.
    struct Validations: Sendable {
        private struct Waiting {
            let message: PubSubMessage
            let id: [UInt8]
            let due: Instant
            var bearers: [PeerID]
        }

        /// The topics whose messages are judged.
        var topics: Set<[UInt8]> = []
        private var waiting: [UInt64: Waiting] = [:]
        private var numbers: [[UInt8]: UInt64] = [:]
        /// All have equally long, so that the first is due first. Some have been judged already.
        private var order = BoundedQueue<UInt64>(limit: 8 * PubSub.maxValidations)
        private var bytes = 0
        private var last: UInt64 = 0

        var deadline: Instant? { order.first.flatMap { waiting[$0]?.due } }

        /// Has a message wait; nil if too many do.
        mutating func add(
            _ message: PubSubMessage, _ id: [UInt8], from peer: PeerID, now: Instant
        ) -> ValidationID? {
            guard waiting.count < PubSub.maxValidations,
                bytes + message.cost <= PubSub.maxValidationBytes, order.append(last + 1)
            else { return nil }
            last += 1
            bytes += message.cost
            numbers[id] = last
            waiting[last] = Waiting(
                message: message, id: id, due: now + PubSub.validationTime, bearers: [peer])
            return ValidationID(number: last)
        }

        /// Notes who else brought a message that waits. Returns whether it does.
        mutating func note(_ peer: PeerID, bears id: [UInt8]) -> Bool {
            guard let number = numbers[id], let bearers = waiting[number]?.bearers else {
                return false
            }
            if bearers.count < PubSub.maxBearers, !bearers.contains(peer) {
                waiting[number]?.bearers.append(peer)
            }
            return true
        }

        /// Ends the wait of a message; nil if it is over already.
        mutating func remove(
            _ validation: ValidationID
        ) -> (message: PubSubMessage, id: [UInt8], bearers: [PeerID])? {
            guard let gone = waiting.removeValue(forKey: validation.number) else { return nil }
            numbers[gone.id] = nil
            bytes -= gone.message.cost
            while let first = order.first, waiting[first] == nil { _ = order.popFirst() }
            return (gone.message, gone.id, gone.bearers)
        }

        /// Ends the wait of a message that was not judged in time.
        mutating func removeDue(at now: Instant) -> Bool {
            guard let first = order.first, let due = waiting[first]?.due, due <= now else {
                return false
            }
            _ = remove(ValidationID(number: first))
            return true
        }
    }

    /// Whether messages of a topic wait until the application has judged them. Those of this node
    /// do not.
    public mutating func setValidation(of topic: [UInt8], _ isOn: Bool) {
        if isOn { validations.topics.insert(topic) } else { validations.topics.remove(topic) }
    }

    /// The application's word on a message. One that comes too late does nothing.
    public mutating func decide(_ validation: ValidationID, _ verdict: Verdict, now: Instant) {
        guard let (message, id, bearers) = validations.remove(validation) else { return }
        switch verdict {
        case .accept:
            guard topics.contains(message.topic) else { return }
            deliver(message, id, from: bearers, now: now)
        case .ignore: break
        case .reject: for peer in bearers { peers[peer]?.score.broughtInvalid(1) }
        }
        flush()
    }

    /// Has a message wait. If too many do, it is ignored: others may have room for it.
    mutating func hold(
        _ message: PubSubMessage, _ id: [UInt8], from peer: PeerID, now: Instant
    ) {
        guard let number = validations.add(message, id, from: peer, now: now) else { return }
        events.append(.validate(number, message, from: peer))
    }

    mutating func giveUpValidations(now: Instant) {
        while validations.removeDue(at: now) {}
    }
}
