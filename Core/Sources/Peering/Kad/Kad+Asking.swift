import Multiformats
import Wire

// Questions to peers: one at a time on a stream, streams kept for the next one.
extension Kad {
    /// What a message to a peer is for.
    enum Reason: Sendable {
        /// Part of a lookup.
        case question
        /// A value to keep. It is echoed.
        case store
        /// Provider records. They are not answered.
        case announce
    }

    /// A message on its way.
    struct Request: Sendable {
        let operation: UInt64
        let peer: PeerID
        let messages: [[UInt8]]
        let reason: Reason
        var begun: Instant
        var stream: StreamID?
        var deadline: Instant
        /// Whether the stream has carried questions before. It may have ended unseen, so that a
        /// failure means nothing.
        var isReused = false
        /// Whether its command goes on without it.
        var isLate = false
        /// Whether its peer has been thought less of because it takes so long.
        var isCounted = false
        /// Whether it waits until a limit of this node leaves room for it.
        var isHeld = false
    }

    /// Sends messages to a peer for a command.
    mutating func ask(
        _ peer: PeerID, _ messages: [[UInt8]], _ reason: Reason, for operation: UInt64,
        now: Instant
    ) {
        let number = nextNumber
        nextNumber += 1
        var request = Request(
            operation: operation, peer: peer, messages: messages, reason: reason, begun: now,
            deadline: now + Self.answerTimeout)
        operations[operation]?.result.asked += 1
        if reason == .question, operations[operation]?.isCheck == false {
            deadlines.add(.patience(number), at: now + answerTimes.patience)
        }
        if let kept = idle[peer] {
            dropIdle(kept.stream)
            request.isReused = true
            requests[number] = request
            deadlines.add(.request(number), at: request.deadline)
            send(number, on: kept.stream, now: now)
        } else {
            requests[number] = request
            deadlines.add(.request(number), at: request.deadline)
            orders.append(.open(peer, [configuration.name], request: number))
        }
    }

    mutating func opened(_ number: UInt64, _ stream: StreamID, now: Instant) {
        guard requests[number] != nil else {
            orders.append(.reset(stream))
            return
        }
        send(number, on: stream, now: now)
    }

    private mutating func send(_ number: UInt64, on stream: StreamID, now: Instant) {
        guard var request = requests[number] else { return }
        for message in request.messages { orders.append(.send(stream, message)) }
        request.stream = stream
        request.deadline = now + Self.answerTimeout
        requests[number] = request
        if request.reason == .announce {
            // Nothing comes back from deployed servers; if something does, nobody waits for it.
            orders.append(.finish(stream))
            sent.append(number)
        } else {
            waiting[stream] = number
        }
    }

    /// Takes the answer to a request.
    mutating func take(
        _ bytes: [UInt8], for number: UInt64, addresses: inout AddressBook, now: Instant
    ) {
        guard let request = requests.removeValue(forKey: number), let stream = request.stream
        else { return }
        waiting[stream] = nil
        guard let operation = operations[request.operation] else {
            orders.append(.reset(stream))
            return
        }
        do throws(DecodeError) {
            let message = try KadMessage(decoding: bytes.rawSpan)
            let expected: KadMessage.Kind =
                switch (request.reason, operation.purpose) {
                case (.store, _): .putValue
                case (_, .getValue): .getValue
                case (_, .findProviders): .getProviders
                default: .findNode
                }
            guard message.kind == expected else {
                orders.append(.reset(stream))
                events.append(.violation(request.peer, .mismatched))
                end(request, .invalid, addresses: &addresses, now: now)
                return
            }
            keep(stream, of: request.peer, now: now)
            if request.reason == .question { answerTimes.note(now.since(request.begun)) }
            write(request, answer(message, to: request), now: now)
            if request.reason == .store {
                stored(request.operation, success: true, addresses: &addresses, now: now)
            } else {
                heard(
                    message, from: request.peer, for: request.operation, addresses: &addresses,
                    now: now)
            }
        } catch {
            orders.append(.reset(stream))
            events.append(.violation(request.peer, .malformed(error)))
            end(request, .invalid, addresses: &addresses, now: now)
        }
    }

    private func answer(_ message: KadMessage, to request: Request) -> KadStep.Answer {
        if request.reason == .store { return .stored }
        if message.record != nil { return .value }
        return .peers(closer: message.closerPeers.count, providers: message.providers.count)
    }

    /// A stream of ours ended.
    mutating func ended(
        _ stream: StreamID, _ farewell: StreamOrder?, addresses: inout AddressBook, now: Instant
    ) {
        if idlePeers[stream] != nil {
            dropIdle(stream)
            if let farewell { orders.append(farewell) }
            return
        }
        guard let number = waiting.removeValue(forKey: stream) else { return }
        if farewell != nil { orders.append(.reset(stream)) }
        requests[number]?.stream = nil
        fail(number, .disconnected, addresses: &addresses, now: now)
    }

    /// A request takes long; its command goes on without it. A peer that has not even been reached
    /// is given up in the end, because dials are few.
    mutating func late(_ number: UInt64, addresses: inout AddressBook, now: Instant) {
        guard let request = requests[number] else { return }
        guard !request.isHeld else {
            deadlines.add(.patience(number), at: now + answerTimes.patience)
            return
        }
        let end = request.begun + Self.patience
        let due = request.isLate ? end : min(request.begun + answerTimes.patience, end)
        guard due <= now else {
            deadlines.add(.patience(number), at: due)
            return
        }
        guard now >= end else {
            requests[number]?.isLate = true
            deadlines.add(.patience(number), at: end)
            operations[request.operation]?.lookup.late(KadID(request.peer))
            pump(request.operation, addresses: &addresses, now: now)
            return
        }
        guard request.stream != nil else {
            fail(number, .timedOut, addresses: &addresses, now: now)
            return
        }
        table.failed(KadID(request.peer))
        requests[number]?.isCounted = true
        guard !request.isLate else { return }
        requests[number]?.isLate = true
        operations[request.operation]?.lookup.late(KadID(request.peer))
        pump(request.operation, addresses: &addresses, now: now)
    }

    /// A request came to nothing. One on a stream that was used before is sent again on a new one.
    mutating func fail(
        _ number: UInt64, _ fault: StreamFault, addresses: inout AddressBook, now: Instant
    ) {
        guard var request = requests.removeValue(forKey: number) else { return }
        if let stream = request.stream {
            waiting[stream] = nil
            orders.append(.reset(stream))
        }
        if fault == .overLimit, request.stream == nil, operations[request.operation] != nil {
            // A limit of our own says nothing about the peer; nobody else is asked in its place.
            request.isHeld = true
            requests[number] = request
            deadlines.add(.held(number), at: now + Self.holdTime)
            finishOldestIdle()
            return
        }
        if request.stream == nil, fault == .timedOut {
            orders.append(.withdraw(request.peer, request: number))
        }
        if request.isReused, fault == .disconnected {
            request.isReused = false
            request.stream = nil
            requests[number] = request
            orders.append(.open(request.peer, [configuration.name], request: number))
            return
        }
        end(request, .failed(fault), addresses: &addresses, now: now)
    }

    /// Tries a request again that a limit of this node did not let through.
    mutating func retry(_ number: UInt64, now: Instant) {
        guard var request = requests[number], request.isHeld else { return }
        request.isHeld = false
        request.begun = now
        request.deadline = now + Self.answerTimeout
        requests[number] = request
        orders.append(.open(request.peer, [configuration.name], request: number))
    }

    /// Tells a request's command that nothing came of it.
    private mutating func end(
        _ request: Request, _ answer: KadStep.Answer, addresses: inout AddressBook, now: Instant
    ) {
        let id = KadID(request.peer)
        if !request.isCounted { table.failed(id) }
        if request.stream == nil, !table.contains(id),
            answer == .failed(.unreachable) || answer == .failed(.timedOut)
        {
            unreachable.insert(request.peer, now: now)
        }
        write(request, answer, now: now)
        if request.reason == .question {
            operations[request.operation]?.lookup.failed(id)
            pump(request.operation, addresses: &addresses, now: now)
        } else {
            stored(request.operation, success: false, addresses: &addresses, now: now)
        }
    }

    /// Provider records that were sent count as taken, because there is no answer to them.
    mutating func settleSent(addresses: inout AddressBook, now: Instant) {
        while let number = sent.popLast() {
            guard let request = requests.removeValue(forKey: number) else { continue }
            write(request, .stored, now: now)
            stored(request.operation, success: true, addresses: &addresses, now: now)
        }
    }

    private mutating func write(_ request: Request, _ answer: KadStep.Answer, now: Instant) {
        guard let count = operations[request.operation]?.result.steps.count,
            count < KadResult.maxSteps
        else { return }
        let step = KadStep(
            peer: request.peer, answer: answer, duration: now.since(request.begun))
        operations[request.operation]?.result.steps.append(step)
    }

    /// Keeps a stream for the next question to its peer.
    private mutating func keep(_ stream: StreamID, of peer: PeerID, now: Instant) {
        guard idle[peer] == nil, idle.count < Self.maxIdle else {
            orders.append(.finish(stream))
            return
        }
        let until = now + Self.idleTimeout
        idle[peer] = Idle(stream: stream, until: until)
        idlePeers[stream] = peer
        deadlines.add(.idle(stream), at: until)
    }

    /// Lets go of a stream that is kept for a question that may not come, and so of its connection.
    private mutating func finishOldestIdle() {
        let oldest = idle.values.min { one, two in
            if one.until != two.until { return one.until < two.until }
            let (a, b) = (one.stream, two.stream)
            return (a.connection, a.stream) < (b.connection, b.stream)
        }
        guard let oldest else { return }
        dropIdle(oldest.stream)
        orders.append(.finish(oldest.stream))
    }

    mutating func dropIdle(_ stream: StreamID) {
        guard let peer = idlePeers.removeValue(forKey: stream) else { return }
        idle[peer] = nil
    }
}
