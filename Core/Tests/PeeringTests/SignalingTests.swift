// Agreeing on a WebRTC connection through a third peer: who says what when, and what is not taken.

import Multiformats
import TestSupport
import Testing
import Wire

@testable import Peering

/// Two machines whose streams are joined.
private struct Pair {
    var machines = [Signaling(), Signaling()]
    let peers: [PeerID]
    var events: [[Signaling.Event]] = [[], []]
    /// What was sent, by whom.
    var sent: [(from: Int, message: [UInt8])] = []
    var resets = 0
    private var nextStream: UInt32 = 1

    init() throws {
        peers = try [UInt8(1), 2].map { try PeerID(Multihash.sha2_256(of: [$0].rawSpan)) }
    }

    mutating func run(now: Instant = instant(1)) {
        var isQuiet = false
        while !isQuiet {
            isQuiet = true
            for side in 0...1 {
                while let order = machines[side].nextTransmit() {
                    isQuiet = false
                    carryOut(order, of: side, now: now)
                }
                while let event = machines[side].nextEvent() { events[side].append(event) }
            }
        }
    }

    /// Both ends of a stream have the same number.
    private mutating func carryOut(_ order: StreamOrder, of side: Int, now: Instant) {
        let other = 1 - side
        switch order {
        case .open(_, let names, let request):
            let stream = StreamID(connection: 1, stream: nextStream)
            nextStream += 1
            machines[side].receive(.opened(request: request, stream, names[0]), now: now)
            machines[other].receive(.accepted(stream, peers[side], names[0]), now: now)
        case .send(let stream, let bytes):
            sent.append((side, bytes))
            machines[other].receive(.message(stream, bytes), now: now)
        case .finish(let stream): machines[other].receive(.finished(stream), now: now)
        case .reset(let stream):
            resets += 1
            machines[other].receive(.reset(stream), now: now)
        default: Issue.record("\(order)")
        }
    }
}

@Suite struct SignalingTests {
    private let stream = StreamID(connection: 9, stream: 9)

    @Test("an offer, its answer and ways both ways") func agreement() throws {
        var pair = try Pair()
        let call = pair.machines[0].call(pair.peers[1], now: instant(1))
        pair.run()
        #expect(pair.events[0] == [.wanted(call)] && pair.events[1].isEmpty)
        // Nothing is told before there is an offer.
        pair.machines[0].tell(call, [9])
        pair.machines[0].offer(call, Array("v=0 offer".utf8))
        pair.machines[0].tell(call, Array("one".utf8))
        pair.run()
        guard case .offered(let answered, pair.peers[0], let offer) = pair.events[1].first else {
            Issue.record("\(pair.events[1])")
            return
        }
        #expect(offer == Array("v=0 offer".utf8))
        #expect(pair.events[1].last == .candidate(answered, Array("one".utf8)))
        // As the specification's schema has it: a kind, and its text.
        #expect(pair.sent[0].message == [8, 0, 0x12, 9] + Array("v=0 offer".utf8))
        pair.machines[1].answer(answered, [1])
        pair.machines[1].answer(answered, [2])
        pair.machines[1].tell(answered, [3])
        pair.machines[1].tell(answered, [])
        pair.machines[1].tell(answered, Array("null".utf8))
        pair.run()
        #expect(
            pair.events[0].dropFirst() == [.answered(call, [1]), .candidate(call, [3])])
        pair.machines[1].connected(answered)
        pair.run()
        pair.machines[0].connected(call)
        pair.run()
        #expect(pair.machines.allSatisfy { $0.count == 0 } && pair.resets == 0)
        #expect(pair.events[0].count == 3 && pair.events[1].count == 2)
    }

    @Test("whoever gives up ends it for both") func ends() throws {
        var pair = try Pair()
        let call = pair.machines[0].call(pair.peers[1], now: instant(1))
        pair.run()
        pair.machines[0].offer(call, [1])
        pair.run()
        guard case .offered(let answered, _, _) = pair.events[1].first else {
            Issue.record("\(pair.events[1])")
            return
        }
        pair.machines[1].giveUp(answered)
        pair.run()
        #expect(pair.events[0].last == .failed(call, .ended))
        #expect(pair.machines.allSatisfy { $0.count == 0 })
    }

    @Test("a peer that is not there, or takes too long") func patience() throws {
        let pair = try Pair()
        var machine = Signaling()
        let one = machine.call(pair.peers[1], now: instant(1))
        machine.receive(.refused(request: one, .unsupported), now: instant(1))
        let two = machine.call(pair.peers[1], now: instant(1))
        machine.receive(.opened(request: two, stream, PeerProtocols.signaling), now: instant(2))
        machine.offer(two, [1])
        let late = instant(1) + Signaling.timeout
        #expect(machine.deadline == late)
        machine.advance(to: late)
        #expect(machine.nextEvent() == .failed(one, .refused))
        #expect(machine.nextEvent() == .wanted(two))
        #expect(machine.nextEvent() == .failed(two, .timedOut))
        while let order = machine.nextTransmit() {
            if machine.count == 0, case .reset(stream) = order { return }
        }
        Issue.record("the stream is not given up")
    }

    @Test("what is said out of turn, too often or not at all in this language ends it")
    func rules() throws {
        let peer = try Pair().peers[0]
        let offer = SignalingMessage.offer([1]).encoded
        let ways = (0...Signaling.maxCandidates).map {
            SignalingMessage.candidate([UInt8($0 + 1)]).encoded
        }
        for messages in [
            [SignalingMessage.answer([1]).encoded], [ways[0]], [offer, offer], [offer] + ways,
            [[8, 9]], [[0x12, 200]],
        ] {
            var machine = Signaling()
            machine.receive(.accepted(stream, peer, PeerProtocols.signaling), now: instant(1))
            for message in messages { machine.receive(.message(stream, message), now: instant(1)) }
            #expect(machine.count == 0, "\(messages)")
            var orders: [StreamOrder] = []
            while let order = machine.nextTransmit() { orders.append(order) }
            #expect(orders == [.reset(stream)])
        }
    }

    @Test("one peer has so many calls, and all have") func limits() throws {
        let peers = try (0..<40).map { try PeerID(Multihash.sha2_256(of: [UInt8($0)].rawSpan)) }
        var machine = Signaling()
        func accept(_ number: Int, from peer: PeerID) {
            let stream = StreamID(connection: 1, stream: UInt32(number))
            machine.receive(.accepted(stream, peer, PeerProtocols.signaling), now: instant(1))
        }
        for number in 0..<5 { accept(number, from: peers[0]) }
        #expect(machine.count == Signaling.maxCallsPerPeer)
        for (number, peer) in peers.enumerated() { accept(100 + number, from: peer) }
        #expect(machine.count == Signaling.maxForeignCalls)
        // The rest is left to us.
        for number in 30..<38 { _ = machine.call(peers[number], now: instant(1)) }
        #expect(machine.count == Signaling.maxCalls && machine.nextEvent() == nil)
        let call = machine.call(peers[39], now: instant(1))
        #expect(machine.nextEvent() == .failed(call, .busy))
    }

    @Test("noise is no message") func noise() {
        var generator = SeededGenerator(seed: 3)
        for _ in 0..<500 {
            let bytes = generator.bytes(Int.random(in: 0...40, using: &generator))
            guard let message = try? SignalingMessage(decoding: bytes.rawSpan) else { continue }
            #expect((try? SignalingMessage(decoding: message.encoded.rawSpan)) == message)
        }
    }
}
