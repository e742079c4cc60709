// The responder's side: what it takes, what it refuses, and that header and output follow each
// other in that order.

import Compute
import Multiformats
import TestSupport
import Testing
import Wire

/// A responder with a peer that asks it.
private struct Desk {
    var server: CallServer
    var now = Instant(nanoseconds: 1_000_000_000)
    let identity = Identity()
    let asker = Identity().peer
    let stream = StreamID(connection: 1, stream: 1)
    var sent: [CallReply] = []
    var wasReset = false

    init(
        offer: CallOffer = CallOffer(speed: 1_000, slots: 2),
        limits: CallServerLimits = CallServerLimits()
    ) throws {
        server = CallServer(offer: offer, limits: limits)
        server.receive(.accepted(stream, asker, CallProtocol.name), now: now)
        try read()
    }

    mutating func ask(
        _ id: UInt64, _ call: Call, price: Price = .usual, patience: Duration = .seconds(10)
    ) throws -> UInt64? {
        let question = CallQuestion(
            id: id, call: call, nonce: [UInt8](repeating: UInt8(truncatingIfNeeded: id), count: 16),
            maxPrice: price, patience: patience)
        try say(.ask(question))
        while let event = server.nextEvent() {
            if case .asked(let number, asker, question) = event { return number }
        }
        return nil
    }

    /// Asks what is not to be refused.
    mutating func mustAsk(
        _ id: UInt64, _ call: Call, price: Price = .usual, patience: Duration = .seconds(10)
    ) throws -> UInt64 {
        let number = try ask(id, call, price: price, patience: patience)
        return try #require(number)
    }

    mutating func say(_ commands: CallCommand...) throws {
        server.receive(.message(stream, commands.flatMap { $0.encoded }), now: now)
        try read()
    }

    mutating func answer(_ number: UInt64, _ record: CallRecord) -> CallHeader? {
        server.answer(number, record, price: .usual, salt: salt)
    }

    /// Signs whatever is to be signed, so many times.
    mutating func sign(_ times: Int = 1) throws -> Int {
        var count = 0
        while count < times, let event = server.nextEvent() {
            guard case .sign(let number, let message) = event else { continue }
            server.signed(number, identity.sign(message))
            count += 1
        }
        try read()
        return count
    }

    mutating func read() throws {
        while let order = server.nextTransmit() {
            switch order {
            case .send(stream, let message):
                #expect(message.count <= CallProtocol.maxMessageBytes)
                sent += try CallReply.decode(message.rawSpan)
            case .reset(stream): wasReset = true
            default: Issue.record("not what a responder does: \(order)")
            }
        }
    }
}

@Suite struct CallServerTests {
    @Test("what is offered comes first, then for each question a signed header and its output")
    func answers() throws {
        let offer = CallOffer(
            contracts: .these([contract]), price: Price(rate: 500), speed: 7, slots: 3,
            maxGas: 1 << 40, queue: .milliseconds(20))
        var desk = try Desk(offer: offer)
        #expect(desk.sent == [.offer(offer)])
        let record = try makeRecord(makeCall())
        let number = try desk.mustAsk(4, record.call)
        #expect(desk.server.callCount == 1)
        let given = desk.answer(number, record)
        let header = try #require(given)
        #expect(header.amount == 1_000)
        #expect(desk.sent.count == 1, "nothing leaves before it is signed")
        #expect(try desk.sign() == 1)
        guard
            case .headers(let headers, let signature, .milliseconds(20))? = desk.sent.dropFirst()
                .first
        else {
            Issue.record("the header comes first")
            return
        }
        #expect(headers.map { $0.id } == [4] && headers.map { $0.header } == [header])
        let signed = SignedHeader(
            header, by: desk.identity.peer, hashes: [desk.identity.hash(header)],
            signature: signature)
        #expect(signed.isValid)
        #expect(desk.sent.last == .reveal(id: 4, salt: salt, result: record.result))
        #expect(CallAnswer(signed, salt: salt, record: record).fits)
        #expect(desk.server.callCount == 0)
    }

    @Test("answers that are ready while one is being signed share the next signature")
    func batches() throws {
        var desk = try Desk()
        var numbers: [UInt64] = []
        for id in 1...10 as ClosedRange<UInt64> {
            numbers.append(try desk.mustAsk(id, makeCall("/\(id)")))
        }
        _ = desk.answer(numbers[0], try makeRecord(makeCall("/1")))
        guard case .sign(let first, let message)? = desk.server.nextEvent() else {
            Issue.record("a single answer is signed at once")
            return
        }
        for index in 1..<10 {
            _ = desk.answer(numbers[index], try makeRecord(makeCall("/\(index + 1)")))
        }
        #expect(desk.server.nextEvent() == nil, "one signature at a time")
        desk.server.signed(first, desk.identity.sign(message))
        #expect(try desk.sign(5) == 1)
        let batches = desk.sent.compactMap { reply -> [UInt64]? in
            guard case .headers(let headers, _, _) = reply else { return nil }
            return headers.map { $0.id }
        }
        #expect(batches == [[1], [2, 3, 4, 5, 6, 7, 8, 9, 10]])
        #expect(desk.sent.count { if case .reveal = $0 { true } else { false } } == 10)
    }

    @Test("the price is the offered one, and not over what the asker allows")
    func price() throws {
        var desk = try Desk(offer: CallOffer(price: Price(rate: 900), speed: 1, slots: 1))
        #expect(try desk.ask(1, makeCall(), price: Price(rate: 899)) == nil)
        #expect(desk.sent.last == .refuse(id: 1, .price))
        let number = try desk.mustAsk(2, makeCall(), price: Price(rate: 950))
        let header = desk.server.answer(
            number, try makeRecord(makeCall()), price: Price(rate: 2_000), salt: salt)
        #expect(header?.price == Price(rate: 950))
    }

    @Test("what is not offered is refused: contract, rules, gas")
    func notOffered() throws {
        let offer = CallOffer(contracts: .these([contract]), speed: 1, slots: 1, maxGas: 1_000)
        var desk = try Desk(offer: offer)
        for (id, call) in try [
            Call(file([1]), gas: 10), Call(contract, gas: 10, rules: 2), Call(contract, gas: 1_001),
        ].enumerated() {
            #expect(try desk.ask(UInt64(id), call) == nil)
            #expect(desk.sent.last == .refuse(id: UInt64(id), .notOffered))
        }
        #expect(try desk.ask(9, Call(contract, gas: 1_000)) != nil)
    }

    @Test("a peer has so many calls under way, and all together so many")
    func ceilings() throws {
        var limits = CallServerLimits()
        limits.callsPerPeer = 2
        limits.busyTime = .milliseconds(70)
        var desk = try Desk(limits: limits)
        let first = try desk.mustAsk(1, makeCall())
        #expect(try desk.ask(2, makeCall("/2")) != nil)
        #expect(try desk.ask(3, makeCall("/3")) == nil)
        #expect(desk.sent.last == .refuse(id: 3, .busy(.milliseconds(70))))
        desk.server.refuse(first, .resource)
        try desk.read()
        #expect(desk.sent.last == .refuse(id: 1, .resource))
        #expect(try desk.ask(4, makeCall("/4")) != nil)
    }

    @Test("a peer opens so many streams and no more")
    func streams() throws {
        var desk = try Desk()
        for number in 2...3 as ClosedRange<UInt32> {
            desk.server.receive(
                .accepted(StreamID(connection: 1, stream: number), desk.asker, CallProtocol.name),
                now: desk.now)
        }
        var resets: [StreamOrder] = []
        while let order = desk.server.nextTransmit() {
            if case .reset = order { resets.append(order) }
        }
        #expect(resets == [.reset(StreamID(connection: 1, stream: 3))])
    }

    @Test("whoever takes back, waits no longer or is gone costs nothing more")
    func withdrawn() throws {
        var desk = try Desk()
        let one = try desk.mustAsk(1, makeCall("/1"))
        let two = try desk.mustAsk(2, makeCall("/2"), patience: .seconds(5))
        let three = try desk.mustAsk(3, makeCall("/3"), patience: .seconds(60))
        try desk.say(.cancel(1))
        #expect(desk.server.nextEvent() == .withdrawn(one))
        desk.now = desk.now + .seconds(5)
        desk.server.advance(to: desk.now)
        #expect(desk.server.nextEvent() == .withdrawn(two))
        #expect(desk.answer(two, try makeRecord(makeCall("/2"))) == nil, "nobody pays for that")
        desk.server.receive(.reset(desk.stream), now: desk.now)
        #expect(desk.server.nextEvent() == .withdrawn(three))
        #expect(desk.server.callCount == 0)
        #expect(desk.server.nextEvent() == nil)
    }

    @Test("an answer that was taken back before it was signed is not sent")
    func takenBack() throws {
        var desk = try Desk()
        let number = try desk.mustAsk(1, makeCall())
        _ = desk.answer(number, try makeRecord(makeCall()))
        try desk.say(.cancel(1))
        #expect(try desk.sign() == 0)
        #expect(desk.sent.count == 1)
    }

    @Test("a question twice, a nonce of another length and noise end the stream")
    func breaksRules() throws {
        var twice = try Desk()
        _ = try twice.ask(1, makeCall())
        _ = try twice.ask(1, makeCall())
        #expect(twice.wasReset)
        #expect(twice.server.callCount == 0)
        var noise = try Desk()
        noise.server.receive(.message(noise.stream, [1, 2, 3]), now: noise.now)
        try noise.read()
        #expect(noise.wasReset)
    }

    @Test("without a signature there is no answer")
    func unsigned() throws {
        var desk = try Desk()
        let number = try desk.mustAsk(1, makeCall())
        _ = desk.answer(number, try makeRecord(makeCall()))
        guard case .sign(let order, _)? = desk.server.nextEvent() else {
            Issue.record("an answer is signed")
            return
        }
        desk.server.signed(order, nil)
        try desk.read()
        #expect(desk.wasReset)
        #expect(desk.sent.count == 1)
    }

    @Test("those who have a stream learn of a new offer, once")
    func newOffer() throws {
        var desk = try Desk()
        let offer = CallOffer(price: Price(rate: 1), speed: 5, slots: 1)
        desk.server.setOffer(offer)
        desk.server.setOffer(offer)
        try desk.read()
        #expect(desk.sent.dropFirst() == [.offer(offer)])
    }

    @Test("messages survive their encoding, and noise is read or refused, never more")
    func roundTrip() throws {
        var noise = Noise(seed: 3)
        for _ in 0..<200 {
            let record = try noise.record()
            let question = CallQuestion(
                id: .random(in: 0...UInt64.max, using: &noise), call: record.call,
                nonce: [UInt8](repeating: 3, count: 16),
                maxPrice: Price(rate: .random(in: 0...UInt32.max, using: &noise)),
                patience: .milliseconds(Int64.random(in: 0...600_000, using: &noise)))
            let commands: [CallCommand] = [
                .ask(question), .cancel(.random(in: 0...UInt64.max, using: &noise)),
                .acknowledge(noise.bytes(upTo: 100)),
            ]
            let message = commands.flatMap { $0.encoded }
            #expect(try CallCommand.decode(message.rawSpan) == commands)
            let header = CallHeader(
                call: record.call.cid, nonce: question.nonce,
                commitment: Commitment.make(salt: salt, record: record), gas: record.gas,
                price: question.maxPrice)
            let replies: [CallReply] = [
                .headers(
                    [(id: UInt64(5), header: header)], signature: [1, 2], queue: .milliseconds(7)),
                .reveal(id: 5, salt: salt, result: record.result), .claim([1]), .receipt([2]),
                .refuse(id: 9, .busy(.milliseconds(4))), .offer(CallOffer(speed: 9, slots: 1)),
            ]
            let answer = replies.flatMap { $0.encoded }
            #expect(try CallReply.decode(answer.rawSpan) == replies)
            _ = try? CallCommand.decode(noise.mutation(of: message).rawSpan)
            _ = try? CallReply.decode(noise.mutation(of: answer).rawSpan)
        }
    }
}
