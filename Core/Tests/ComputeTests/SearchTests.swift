// Looking for peers that run a contract when those that are known do not suffice, and calls that
// are asked for twice at a time.

import Compute
import Multiformats
import TestSupport
import Testing
import Wire

@testable import Simulation

@Suite struct SearchTests {
    private var random = SeededGenerator(seed: 3)
    private var network = CallNetwork()
    private let call: Call

    init() throws {
        call = try PretendEngine.call(depth: 0, number: 77)
        for lie in [nil, CallLie.output, nil, nil, nil] {
            try network.add(lie, random: &random)
        }
    }

    private mutating func fetch(
        _ call: Call, _ audit: CallAudit, of candidates: [Int], here: LocalCapacity? = nil,
        terms: CallTerms = CallTerms()
    ) -> UInt64 {
        let peers = candidates.map { network.nodes[$0].peer }
        return network.with(0) { exchange, now in
            exchange.fetch(
                call, terms: terms, audit: audit, candidates: peers, here: here, now: now)
        }
    }

    private mutating func reports(for time: Duration = .seconds(60)) -> [CallExchange.Event] {
        let end = network.now + time
        while network.step(by: end).goesOn {}
        return network.takeReports().filter { $0.node == 0 }.map { $0.event }
    }

    @Test("who knows nobody looks for peers that run the contract, once for many calls")
    mutating func strangers() throws {
        network.findable = [2, 3]
        for number in 0..<5 as Range<UInt64> {
            let call = try PretendEngine.call(depth: 0, number: 100 + number)
            _ = fetch(call, .none, of: [])
        }
        let events = reports()
        let right = events.compactMap { event -> Responder? in
            guard case .answered(_, let result) = event else { return nil }
            return result.responder
        }
        #expect(right.count == 5)
        #expect(Set(right).isSubset(of: [2, 3].map { .peer(network.nodes[$0].peer) }))
        #expect(network.searches == 1)
        // It is remembered for the next.
        _ = fetch(call, .none, of: [])
        #expect(reports().count == 1 && network.searches == 1)
    }

    @Test("a search that finds nobody ends the call, and is not repeated at once")
    mutating func nobody() {
        network.findable = []
        for _ in 0..<2 {
            _ = fetch(call, .none, of: [])
            guard case .failed(_, let error)? = reports(for: .seconds(2)).first else {
                Issue.record("it fails")
                return
            }
            #expect(error.kind == .nobody && error.trace.isEmpty)
        }
        #expect(network.searches == 1)
    }

    @Test("a search without an end is given up in time")
    func endless() {
        var caller = Caller(secret: [UInt8](repeating: 1, count: 32))
        let start = Instant(nanoseconds: 1_000_000_000)
        let number = caller.fetch(call, candidates: [], here: nil, now: start)
        #expect(caller.nextEvent() == .search(call.contract))
        #expect(caller.nextEvent() == nil)
        caller.advance(to: start + .milliseconds(9_999))
        #expect(caller.nextEvent() == nil)
        caller.advance(to: start + .seconds(10))
        guard case .failed(number, let error)? = caller.nextEvent() else {
            Issue.record("it fails")
            return
        }
        #expect(error.kind == .nobody)
        #expect(caller.sessionCount == 0)
    }

    @Test("who wants a call for much longer, or shorter, than another is no part of the other's")
    mutating func ownPatience() throws {
        let silent = network.nodes.count
        try network.add(.stall, random: &random)
        network.findable = []
        let start = network.now
        let numbers = [40, 3, 38].map { seconds in
            fetch(call, .none, of: [silent], terms: CallTerms(patience: .seconds(seconds)))
        }
        network.with(0) { exchange, _ in #expect(exchange.callCounts.own == 2) }
        var ends: [UInt64: Duration] = [:]
        while network.now < start + .seconds(60), network.step(by: start + .seconds(60)).goesOn {
            for case .failed(let number, _) in network.takeReports().map({ $0.event }) {
                ends[number] = network.now.since(start)
            }
        }
        #expect(ends[numbers[1]].map { $0 <= .seconds(4) } == true, "\(ends)")
        #expect(ends[numbers[0]] == ends[numbers[2]])
        #expect(ends[numbers[0]].map { $0 >= .seconds(30) } == true, "\(ends)")
    }

    @Test("a quorum that those who are known do not make is filled up with strangers")
    mutating func quorum() {
        network.findable = [3, 4]
        _ = fetch(call, .quorum(3), of: [2])
        guard case .answered(_, let result)? = reports().first else {
            Issue.record("three agree")
            return
        }
        #expect(result.confidence.basis == .agreement(3))
        #expect(network.searches == 1)
    }

    @Test("a quorum that cannot be had is no reason not to run it here, again and again")
    mutating func noQuorum() throws {
        network.findable = []
        let here = LocalCapacity(speed: 1 << 40)
        for number in 0..<3 as Range<UInt64> {
            let call = try PretendEngine.call(depth: 0, number: 500 + number)
            _ = fetch(call, .quorum(2), of: [], here: here)
            guard case .answered(_, let result)? = reports(for: .seconds(2)).first else {
                Issue.record("it is answered")
                return
            }
            #expect(result.responder == .here)
        }
    }

    @Test("who says nothing keeps no quorum from an answer: others are asked, or it is run here")
    mutating func silentPeer() throws {
        network.findable = []
        let silent = network.nodes.count
        for _ in 0..<2 { try network.add(.stall, random: &random) }
        for (number, candidates) in [[2, silent], [2, silent, silent + 1, 3]].enumerated() {
            let call = try PretendEngine.call(depth: 0, number: 600 + UInt64(number))
            _ = fetch(call, .quorum(2), of: candidates, here: LocalCapacity(speed: 1 << 40))
            let events = reports(for: .seconds(20))
            guard case .answered(_, let result)? = events.first else {
                Issue.record("it is answered long before its time is up")
                return
            }
            let answered = result.trace.filter { $0.outcome == .answered }.map { $0.responder }
            let second = candidates.contains(3) ? .peer(network.nodes[3].peer) : Responder.here
            #expect(answered.count == 2 && answered.contains(second), "\(result.trace)")
        }
    }

    @Test("a peer of a quorum that is only slow is waited for before it is run here")
    mutating func slowPeer() throws {
        network.findable = []
        network.occupy(3, for: .seconds(3))
        let call = try PretendEngine.call(depth: 0, number: 700)
        _ = fetch(call, .quorum(2), of: [2, 3], here: LocalCapacity(speed: 1 << 40))
        guard case .answered(_, let result)? = reports(for: .seconds(20)).first else {
            Issue.record("it is answered")
            return
        }
        #expect(result.confidence.basis == .agreement(2), "\(result.trace)")
    }

    @Test("a check for which nobody else is known is made by a stranger")
    mutating func check() {
        network.findable = [2, 3]
        _ = fetch(call, .sample(millionths: 1_000_000), of: [1])
        let events = reports()
        let liar = network.nodes[1].peer
        #expect(events.contains { if case .answered = $0 { true } else { false } })
        #expect(events.contains { if case .convicted(liar, _) = $0 { true } else { false } })
        #expect(events.contains { if case .refuted = $0 { true } else { false } })
        #expect(network.nodes[0].exchange.callCounts.own == 0)
    }

    @Test("a node runs small calls itself; one that is busy looks for somebody with time")
    mutating func busy() {
        network.findable = [2]
        let terms = CallTerms(expectedGas: 100_000)
        _ = fetch(call, .none, of: [], here: LocalCapacity(speed: 1_000_000_000), terms: terms)
        guard case .answered(_, let quick)? = reports().first else {
            Issue.record("it is run here")
            return
        }
        #expect(quick.responder == .here && network.searches == 0)
        _ = fetch(
            call, .none, of: [],
            here: LocalCapacity(speed: 1_000_000_000, queue: .seconds(20)), terms: terms)
        guard case .answered(_, let away)? = reports().first else {
            Issue.record("a peer runs it")
            return
        }
        #expect(away.responder == .peer(network.nodes[2].peer) && network.searches == 1)
        // If nobody is found, it is run here after all.
        network.findable = []
        guard let stranger = try? Call(file([9]), path: call.path, gas: call.gas) else { return }
        _ = fetch(
            stranger, .none, of: [],
            here: LocalCapacity(speed: 1_000_000_000, queue: .seconds(20)), terms: terms)
        guard case .answered(_, let own)? = reports().first else {
            Issue.record("it is run here")
            return
        }
        #expect(own.responder == .here && network.searches == 2)
    }

    @Test("work that a peer was given counts, so that many calls at a time are spread")
    func spread() throws {
        var caller = Caller(secret: [UInt8](repeating: 2, count: 32))
        let now = Instant(nanoseconds: 1_000_000_000)
        let peers = network.nodes.dropFirst().map { $0.peer }
        let terms = CallTerms(expectedGas: 100_000_000)
        for number in 0..<80 as Range<UInt64> {
            _ = caller.fetch(
                try PretendEngine.call(depth: 0, number: number), terms: terms, audit: .none,
                candidates: peers, here: nil, now: now)
        }
        var counts: [PeerID: Int] = [:]
        var peerOf: [StreamID: PeerID] = [:]
        while let order = caller.nextTransmit() {
            if case .send(let stream, _) = order, let peer = peerOf[stream] {
                counts[peer, default: 0] += 1
            }
            guard case .open(let peer, let names, let request) = order else { continue }
            let stream = StreamID(connection: request, stream: 1)
            peerOf[stream] = peer
            caller.receive(.opened(request: request, stream, names[0]), now: now)
        }
        #expect(counts.count == 4 && counts.allSatisfy { 15...25 ~= $0.value }, "\(counts)")
    }

    @Test("a peer that had less than its time for a call is not blamed for its silence")
    func deadline() throws {
        var caller = Caller(secret: [UInt8](repeating: 3, count: 32))
        var now = Instant(nanoseconds: 1_000_000_000)
        let peer = network.nodes[1].peer
        // What takes it some seconds, and what it could answer at once.
        for (gas, failures) in [(50_000_000_000, 0), (1_000, 1)] as [(UInt64, UInt32)] {
            let terms = CallTerms(expectedGas: gas, patience: .milliseconds(400))
            let call = try Call(self.call.contract, path: "/\(gas)", gas: 1 << 40)
            _ = caller.fetch(
                call, terms: terms, audit: .none, candidates: [peer], here: nil, now: now)
            while let order = caller.nextTransmit() {
                guard case .open(_, let names, let request) = order else { continue }
                let stream = StreamID(connection: request, stream: 1)
                caller.receive(.opened(request: request, stream, names[0]), now: now)
            }
            now = now + .milliseconds(500)
            caller.advance(to: now)
            #expect(caller.responders[peer].failed == failures)
        }
    }

    @Test("who asks one peer for more than it may waits in line, and harms nobody's name")
    mutating func line() throws {
        var numbers: Set<UInt64> = []
        for number in 0..<200 as Range<UInt64> {
            let call = try PretendEngine.call(depth: 0, number: 1_000 + number)
            numbers.insert(
                fetch(call, .none, of: [2], terms: CallTerms(patience: .seconds(600))))
        }
        network.findable = []
        let events = reports(for: .seconds(600))
        let peer = network.nodes[2].peer
        let answered = events.compactMap { event -> UInt64? in
            guard case .answered(let number, let result) = event,
                result.responder == .peer(peer), result.trace.count == 1
            else { return nil }
            return number
        }
        #expect(Set(answered) == numbers && events.count == 200)
        #expect(network.nodes[0].exchange.callCounts.own == 0)
    }

    @Test("what is held against the answers of peers is run here wholly, the rest need not be")
    func purposes() {
        var caller = Caller(secret: [UInt8](repeating: 4, count: 32))
        let now = Instant(nanoseconds: 1_000_000_000)
        let here = LocalCapacity(speed: 1 << 50)
        for (audit, expected) in [
            (CallAudit.none, CallAudit.none), (.usual, .usual), (.selfExecution, .selfExecution),
        ] {
            _ = caller.fetch(call, audit: audit, candidates: [], here: here, now: now)
            guard case .run(_, call, _, let given)? = caller.nextEvent() else {
                Issue.record("it is run here")
                continue
            }
            #expect(given == expected)
        }
        _ = caller.fetch(call, audit: .quorum(2), candidates: [], here: here, now: now)
        #expect(caller.nextEvent() == .search(call.contract))
        caller.searched(call.contract, now: now)
        guard case .run(_, call, _, .selfExecution)? = caller.nextEvent() else {
            Issue.record("who runs it itself needs no quorum")
            return
        }
    }

    @Test("who asks for a call that is under way gets its result; it is run once")
    mutating func merged() throws {
        let numbers = Set((0..<10).map { _ in fetch(call, .none, of: [2, 3, 4]) })
        #expect(numbers.count == 10)
        let events = reports()
        let answered = events.compactMap { event -> UInt64? in
            guard case .answered(let number, _) = event else { return nil }
            return number
        }
        #expect(Set(answered) == numbers && answered.count == 10)
        #expect(network.runs == 1)
        // What is asked for in another way is another thing.
        _ = fetch(call, .none, of: [2, 3, 4])
        _ = fetch(call, .quorum(2), of: [2, 3, 4])
        #expect(reports().count == 2)
        #expect(network.runs == 4)
    }

    @Test("whoever takes a call back leaves it to the others; the last one ends it")
    mutating func leaving() {
        let numbers = (0..<3).map { _ in fetch(call, .none, of: [2]) }
        for number in numbers.prefix(2) { network.with(0) { $0.cancel(number, now: $1) } }
        guard case .answered(let number, _)? = reports().first else {
            Issue.record("the third gets its answer")
            return
        }
        #expect(number == numbers[2])
        #expect(network.stopped.isEmpty)
        let others = (0..<3).map { _ in
            fetch(call, .selfExecution, of: [2], here: LocalCapacity(speed: 1_000_000))
        }
        for number in others { network.with(0) { $0.cancel(number, now: $1) } }
        #expect(reports().isEmpty)
        #expect(network.stopped == [0])
        #expect(network.nodes[0].exchange.callCounts.own == 0)
    }
}
