// Each thing that a responder can do wrong, and what exactly comes of it.

import Compute
import Multiformats
import TestSupport
import Testing
import Wire

@Suite struct BadResponderTests {
    private let call: Call
    private let record: CallRecord

    init() throws {
        call = try makeCall()
        record = try makeRecord(call)
    }

    private func failure(_ asker: inout Asker) -> CallFailure? {
        guard case .failed(asker.number, let failure)? = asker.outcome() else { return nil }
        return failure
    }

    @Test("an honest answer is given out, with the signature that anybody can check")
    func honest() throws {
        var asker = Asker()
        try asker.ask(call)
        try asker.hear(answer: record)
        guard case .answered(asker.number, let answer)? = asker.outcome() else {
            Issue.record("an honest answer is an answer")
            return
        }
        #expect(answer.record == record)
        #expect(answer.fits)
        #expect(answer.header.isValid)
        #expect(answer.header.responder == asker.responder.peer)
        #expect(asker.outcome() == nil, "each question ends once")
    }

    @Test("stalling: the question ends at its deadline, and the responder is told")
    func stalls() throws {
        var asker = Asker()
        try asker.ask(call, patience: .seconds(10))
        asker.hear(.offer(CallOffer(speed: 1, slots: 1)))
        asker.wait(.milliseconds(9_999))
        #expect(failure(&asker) == nil)
        asker.wait(.milliseconds(1))
        #expect(failure(&asker) == .stalled)
        let sent = asker.client.nextTransmit()
        #expect(sent == .send(asker.stream, CallCommand.cancel(asker.number).encoded))
    }

    @Test("vanishing after the header: the time for the output is short")
    func vanishes() throws {
        var asker = Asker()
        try asker.ask(call, patience: .seconds(10))
        try asker.hear(answer: record, isRevealed: false)
        asker.wait(.seconds(29))
        #expect(failure(&asker) == nil)
        asker.wait(.seconds(1))
        #expect(failure(&asker) == .vanished)
    }

    @Test("a connection that ends after the header is no better")
    func breaksOff() throws {
        var asker = Asker()
        try asker.ask(call)
        try asker.hear(answer: record, isRevealed: false)
        asker.client.receive(.reset(asker.stream), now: asker.now)
        #expect(failure(&asker) == .vanished)
    }

    @Test("a connection that ends before is a failure of another name")
    func disconnects() throws {
        var asker = Asker()
        try asker.ask(call)
        asker.client.receive(.finished(asker.stream), now: asker.now)
        #expect(failure(&asker) == .disconnected)
    }

    @Test("a header about another call")
    func otherQuestion() throws {
        var asker = Asker()
        try asker.ask(call)
        try asker.hear(answer: makeRecord(makeCall("/other")))
        #expect(failure(&asker) == .otherQuestion)
    }

    @Test("the output of another call under the header of this one")
    func otherOutput() throws {
        var asker = Asker()
        try asker.ask(call)
        try asker.hear(answer: record, reveal: makeRecord(makeCall("/other"), "other"))
        #expect(failure(&asker) == .brokenCommitment)
    }

    @Test("an old answer, which carries another nonce")
    func replays() throws {
        var asker = Asker()
        try asker.ask(call)
        try asker.hear(answer: record)
        guard case .answered(_, let old)? = asker.outcome() else {
            Issue.record("the first answer is fresh")
            return
        }
        try asker.ask(call)
        let id = try #require(asker.question).id
        asker.hear(
            .headers([(id, old.header.header)], signature: old.header.signature, queue: .zero),
            .reveal(id: id, salt: old.salt, result: old.record.result))
        #expect(failure(&asker) == .replayed)
    }

    @Test("the gas of the header is not that of the record")
    func liesAboutGas() throws {
        var asker = Asker()
        try asker.ask(call)
        try asker.hear(answer: record) { header in
            CallHeader(
                call: header.call, nonce: header.nonce, commitment: header.commitment,
                gas: header.gas + 1, price: header.price)
        }
        #expect(failure(&asker) == .brokenCommitment)
    }

    @Test("more gas than was given, or a higher price than was allowed")
    func overcharges() throws {
        for (gas, price) in [(call.gas + 1, Price.usual), (10, Price(rate: 1_001))] {
            var asker = Asker()
            try asker.ask(call)
            try asker.hear(answer: record) { header in
                CallHeader(
                    call: header.call, nonce: header.nonce, commitment: header.commitment,
                    gas: gas, price: price)
            }
            #expect(failure(&asker) == .overcharged)
        }
    }

    @Test("another output than was committed to")
    func changesOutput() throws {
        var asker = Asker()
        try asker.ask(call)
        try asker.hear(answer: record, reveal: makeRecord(call, "43"))
        #expect(failure(&asker) == .brokenCommitment)
    }

    @Test("a signature by somebody else")
    func forges() throws {
        var asker = Asker()
        try asker.ask(call)
        try asker.hear(answer: record, signedBy: Identity())
        #expect(failure(&asker) == .badSignature)
    }

    @Test("an output without a header, twice a header, and noise")
    func breaksRules() throws {
        var asker = Asker()
        try asker.ask(call)
        asker.hear(.reveal(id: asker.number, salt: salt, result: record.result))
        #expect(failure(&asker) == .malformed)
        try asker.ask(call)
        try asker.hear(answer: record, isRevealed: false)
        try asker.hear(answer: record, isRevealed: false)
        #expect(failure(&asker) == .malformed)
        try asker.ask(call)
        asker.client.receive(.message(asker.stream, [0xff, 0xff]), now: asker.now)
        #expect(failure(&asker) == .malformed)
        #expect(asker.client.nextTransmit() == .reset(asker.stream))
    }

    @Test("what is said of a question that was taken back is neither an answer nor a fault")
    func late() throws {
        var asker = Asker()
        try asker.ask(call)
        asker.client.cancel(asker.number, now: asker.now)
        try asker.hear(answer: record)
        #expect(asker.outcome() == nil)
        #expect(
            asker.client.nextTransmit()
                == .send(asker.stream, CallCommand.cancel(asker.number).encoded))
        #expect(asker.client.nextTransmit() == nil)
    }

    @Test("each reason to refuse arrives as it was sent")
    func refusals() throws {
        for refusal in [
            CallRefusal.busy(.milliseconds(1_500)), .notOffered, .price, .credit, .resource,
            .invalid,
        ] {
            var asker = Asker()
            try asker.ask(call)
            asker.hear(.refuse(id: asker.number, refusal))
            #expect(failure(&asker) == .refused(refusal))
        }
    }

    @Test("a peer that cannot be reached")
    func unreachable() throws {
        var client = CallClient()
        let now = Instant(nanoseconds: 1)
        let number = client.ask(
            call, of: Identity().peer, maxPrice: .usual, nonce: [UInt8](repeating: 0, count: 16),
            patience: .seconds(1), now: now)
        guard case .open(_, _, let request)? = client.nextTransmit() else {
            Issue.record("a stream is asked for")
            return
        }
        client.receive(.refused(request: request, .unreachable), now: now)
        #expect(client.nextEvent() == .failed(number, .unreachable(.unreachable)))
        #expect(client.deadline.map { _ in client.nextTransmit() } == .some(nil))
    }

    @Test("no more is asked of a peer than it may be, and a stream without calls is given up")
    func limits() throws {
        var asker = Asker()
        var numbers: [UInt64] = []
        for index in 0..<CallProtocol.maxCallsPerPeer {
            try asker.ask(makeCall("/\(index)"))
            numbers.append(asker.number)
        }
        let more = asker.client.ask(
            call, of: asker.responder.peer, maxPrice: .usual,
            nonce: [UInt8](repeating: 0, count: 16), patience: .seconds(1), now: asker.now)
        #expect(asker.outcome() == .failed(more, .overLimit))
        for number in numbers { asker.client.cancel(number, now: asker.now) }
        while asker.client.nextTransmit() != nil {}
        asker.wait(CallProtocol.idleTime)
        #expect(asker.client.nextTransmit() == .reset(asker.stream))
    }
}
