// The muxer: what both sides see of each other, that windows are kept, and what hostile peers do.

import TestSupport
import Testing
import Wire

@testable import Connections

/// Two sides with a wire between them that cuts the bytes anywhere.
private struct Link {
    var sides: [Yamux]
    var noise: SeededGenerator
    var now = Instant(nanoseconds: 0)
    /// What each side has been given, by stream.
    var received: [[UInt32: [UInt8]]] = [[:], [:]]
    var finished: [Set<UInt32>] = [[], []]
    var resets: [Set<UInt32>] = [[], []]
    /// Whether each side takes the other for silent, as often as that changed.
    var silences: [[Bool]] = [[], []]
    var accepted: [[UInt32]] = [[], []]
    /// Whether what arrives is consumed at once.
    var isConsuming = true

    init(seed: UInt64, limits: YamuxLimits = YamuxLimits()) {
        noise = SeededGenerator(seed: seed)
        sides = [
            Yamux(role: .client, limits: limits, now: now),
            Yamux(role: .server, limits: limits, now: now),
        ]
    }

    mutating func open(_ side: Int) throws -> UInt32 {
        let id = sides[side].open(now: now)
        return try #require(id)
    }

    /// Writes what must be taken.
    mutating func write(_ bytes: ArraySlice<UInt8>, _ side: Int, _ id: UInt32) {
        let isTaken = sides[side].write(bytes, to: id)
        #expect(isTaken)
    }

    /// The bytes of everything that a side may send.
    mutating func output(of side: Int) -> [UInt8] {
        var out: [UInt8] = []
        while let frame = sides[side].nextTransmit(room: 65_519) {
            out += frame.header.encoded
            for piece in frame.pieces { out += piece }
            if frame.header.kind == .data {
                #expect(frame.pieces.reduce(0) { $0 + $1.count } == Int(frame.header.length))
            }
        }
        return out
    }

    mutating func deliver(_ bytes: [UInt8], to side: Int) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let piece = rest.prefix(Int.random(in: 1...max(1, rest.count), using: &noise))
            rest = rest.dropFirst(piece.count)
            try sides[side].receive(Array(piece)[...], now: now)
            drain(side)
        }
    }

    mutating func drain(_ side: Int) {
        for event in sides[side].takeEvents() {
            switch event {
            case .accepted(let id): accepted[side].append(id)
            case .data(let id, let bytes):
                received[side][id, default: []] += bytes
                let stream = sides[side].streams[id]
                #expect((stream?.unconsumed ?? 0) <= (stream?.window ?? 0))
                if isConsuming { sides[side].consume(bytes.count, of: id, now: now) }
            case .finished(let id): finished[side].insert(id)
            case .reset(let id): resets[side].insert(id)
            case .silent: silences[side].append(true)
            case .awake: silences[side].append(false)
            case .room, .goAway: break
            }
        }
    }

    /// Lets bytes pass in both directions until nobody has anything to say.
    mutating func settle() throws {
        for _ in 0..<10_000 {
            now = now + .microseconds(100)
            let output = [output(of: 0), output(of: 1)]
            guard !(output[0].isEmpty && output[1].isEmpty) else { return }
            try deliver(output[0], to: 1)
            try deliver(output[1], to: 0)
        }
        Issue.record("the sides never fall silent")
    }
}

@Suite struct YamuxTests {
    /// Many streams at once, any cut of the bytes: everything arrives whole, in order and once,
    /// both directions end, and nothing is left behind.
    @Test(arguments: 0..<10)
    func transfer(seed: UInt64) throws {
        var link = Link(seed: seed)
        var noise = SeededGenerator(seed: seed + 100)
        var sent: [[UInt32: [UInt8]]] = [[:], [:]]
        for _ in 0..<8 {
            let side = Int.random(in: 0...1, using: &noise)
            let id = try link.open(side)
            let bytes = noise.bytes(.random(in: 0...400_000, using: &noise))
            sent[1 - side][id] = bytes
            var rest = bytes[...]
            while !rest.isEmpty {
                let piece = rest.prefix(Int.random(in: 1...200_000, using: &noise))
                rest = rest.dropFirst(piece.count)
                link.write(piece, side, id)
            }
            link.sides[side].finish(id)
            if Bool.random(using: &noise) { try link.settle() }
        }
        try link.settle()
        for side in 0...1 {
            let expected = sent[side].filter { !$0.value.isEmpty }
            let isSame = link.received[side] == expected
            #expect(isSame)
            #expect(link.finished[side] == Set(sent[side].keys))
            #expect(Set(link.accepted[side]) == Set(sent[side].keys))
            for id in link.accepted[side] { link.sides[side].finish(id) }
        }
        try link.settle()
        #expect(link.sides[0].streams.isEmpty && link.sides[1].streams.isEmpty)
        #expect(link.sides[0].incomingCount == 0 && link.sides[0].outgoingCount == 0)
    }

    /// A reader that does not read stops the writer at the window, and goes on where it stopped.
    @Test func backPressure() throws {
        var link = Link(seed: 1)
        link.isConsuming = false
        let id = try link.open(0)
        let bytes = link.noise.bytes(900_000)
        link.write(bytes[...], 0, id)
        try link.settle()
        #expect(link.received[1][id]?.count == YamuxLimits.firstWindow)
        // The queue holds one more write below its limit, then none.
        link.write(bytes[...], 0, id)
        let isTaken = link.sides[0].write([1], to: id)
        #expect(!isTaken)
        link.isConsuming = true
        link.sides[1].consume(YamuxLimits.firstWindow, of: id, now: link.now)
        try link.settle()
        let isSame = link.received[1][id] == bytes + bytes
        #expect(isSame)
    }

    /// Without leave to grow windows stay as they are; what is held is known, and is nothing once
    /// it has been consumed or its stream is gone.
    @Test("what is held") func held() throws {
        var link = Link(seed: 2)
        link.sides[1].allowsGrowth = false
        try link.settle()
        let id = try link.open(0)
        for _ in 0..<20 {
            _ = link.sides[0].write([UInt8](repeating: 7, count: 1 << 18)[...], to: id)
            try link.settle()
            #expect(link.sides[1].unconsumed == 0)
        }
        #expect(link.sides[1].streams[id]?.window == YamuxLimits.firstWindow)
        link.isConsuming = false
        link.write([UInt8](repeating: 7, count: 1_000)[...], 0, id)
        try link.settle()
        #expect(link.sides[1].unconsumed == 1_000)
        link.sides[0].reset(id)
        try link.settle()
        #expect(link.sides[1].unconsumed == 0)
    }

    /// The window grows while it is what limits, up to its limit, and not on a slow path.
    @Test(arguments: [true, false])
    func growth(isFast: Bool) throws {
        var limits = YamuxLimits()
        limits.maxWindow = 4 << 20
        var link = Link(seed: 1, limits: limits)
        try link.settle()
        let id = try link.open(0)
        for _ in 0..<200 {
            let size = isFast ? 1 << 20 : 1 << 15
            _ = link.sides[0].write([UInt8](repeating: 7, count: size)[...], to: id)
            try link.settle()
            if !isFast { link.now = link.now + .seconds(1) }
        }
        let window = try #require(link.sides[1].streams[id]?.window)
        #expect(window == (isFast ? 4 << 20 : YamuxLimits.firstWindow))
        link.sides[1].reset(id)
        try link.settle()
        #expect(link.resets[0] == [id] && link.sides[0].streams.isEmpty)
    }

    /// A window that may not grow any more is opened long before half of it is used up, so that who
    /// writes over a long path need not wait for it.
    @Test func stepsAtTheLimit() throws {
        var limits = YamuxLimits()
        limits.maxWindow = YamuxLimits.firstWindow
        var link = Link(seed: 1, limits: limits)
        try link.settle()
        let id = try link.open(0)
        let count = YamuxLimits.firstWindow / 16
        link.write([UInt8](repeating: 7, count: count)[...], 0, id)
        try link.settle()
        #expect(link.sides[0].streams[id]?.sendWindow == UInt64(YamuxLimits.firstWindow))
    }

    /// No more streams than the limit are opened without an answer, or taken in.
    @Test func streamLimits() throws {
        var limits = YamuxLimits()
        limits.unacknowledgedStreams = 10
        limits.incomingStreams = 15
        var link = Link(seed: 1, limits: limits)
        for _ in 0..<10 { _ = try link.open(0) }
        let refused = link.sides[0].open(now: link.now)
        #expect(refused == nil)
        try link.settle()
        for _ in 0..<10 { _ = try link.open(0) }
        try link.settle()
        #expect(link.accepted[1].count == 15 && link.resets[0].count == 5)
        #expect(link.sides[1].incomingCount == 15 && link.sides[0].outgoingCount == 15)
    }

    /// Many short streams one after the other leave nothing behind.
    @Test func churn() throws {
        var limits = YamuxLimits()
        (limits.incomingStreams, limits.outgoingStreams) = (4, 4)
        var link = Link(seed: 1, limits: limits)
        for round in 0..<300 {
            let id = try link.open(0)
            _ = link.sides[0].write([1, 2, 3], to: id)
            if round % 3 == 0 { link.sides[0].reset(id) }
            link.sides[0].finish(id)
            try link.settle()
            link.sides[1].finish(id)
            try link.settle()
        }
        #expect(link.sides[0].streams.isEmpty && link.sides[1].streams.isEmpty)
        #expect(link.sides[0].outgoingCount == 0 && link.sides[1].incomingCount == 0)
    }

    /// A round trip is measured by pings, which also notice a peer that has gone.
    @Test func keepAlive() throws {
        var link = Link(seed: 1)
        let question = link.output(of: 0)
        link.now = link.now + .milliseconds(20)
        try link.deliver(question, to: 1)
        let answer = link.output(of: 1)
        link.now = link.now + .milliseconds(20)
        try link.deliver(answer, to: 0)
        #expect(link.sides[0].roundTrip == .milliseconds(40))
        let next = link.sides[0].deadline
        #expect(next == Instant(nanoseconds: 30_000_000_000))
        try link.sides[0].advance(to: next)
        let end = link.sides[0].deadline
        try link.sides[0].advance(to: end + .milliseconds(-1))
        #expect(throws: YamuxFault.keepAliveTimedOut) {
            var side = link.sides[0]
            try side.advance(to: end)
        }
    }

    /// Who is checked and says anything at all is there; who does not is silent until it does.
    @Test func check() throws {
        var link = Link(seed: 2)
        try link.settle()
        link.sides[0].check(now: link.now)
        try link.settle()
        link.now = link.now + .seconds(10)
        try link.sides[0].advance(to: link.now)
        link.drain(0)
        #expect(link.silences[0].isEmpty)

        link.sides[0].check(now: link.now)
        let question = link.output(of: 0)
        #expect(!question.isEmpty)
        link.now = link.sides[0].deadline
        try link.sides[0].advance(to: link.now)
        link.drain(0)
        #expect(link.silences[0] == [true])
        // Who asks again is told again, at once.
        link.sides[0].check(now: link.now)
        link.drain(0)
        #expect(link.silences[0] == [true, true])
        try link.deliver(question, to: 1)
        try link.settle()
        #expect(link.silences[0] == [true, true, false] && link.silences[1].isEmpty)
    }

    /// What breaks the rules ends the connection with the name of the rule.
    @Test func violations() throws {
        let cases: [(String, YamuxFault)] = [
            ("010000000000000000000000", .unknownFrame),
            ("000700000000000000000000", .unknownFrame),
            ("000000000000000000000001", .misaddressed),
            ("000200010000000100000001", .misaddressed),
            // An even stream, from a client; and an odd one twice.
            ("000000010000000200000000", .wrongStreamNumber),
            ("000000010000000100000000" + "000000010000000100000000", .wrongStreamNumber),
            ("000000010000000100040001", .windowExceeded),
            // Data after the end.
            ("000000050000000100000000" + "000000000000000100000001", .windowExceeded),
        ]
        for (bytes, fault) in cases {
            var server = Yamux(
                role: .server, limits: YamuxLimits(), now: Instant(nanoseconds: 0))
            #expect(throws: fault, "\(bytes)") {
                try server.receive(hex(bytes)[...], now: Instant(nanoseconds: 0))
            }
        }
    }

    /// A flood of pings, or of streams that are refused, ends at the limit of answers.
    @Test(arguments: ["pings", "streams"])
    func floods(of what: String) {
        var server = Yamux(role: .server, limits: YamuxLimits(), now: Instant(nanoseconds: 0))
        #expect(throws: YamuxFault.tooManyAnswers) {
            for index in 0..<UInt32(20_000) {
                let header =
                    what == "pings"
                    ? YamuxHeader(.ping, .syn, stream: 0, length: index)
                    : YamuxHeader(.data, .syn, stream: 2 * index + 1, length: 0)
                try server.receive(header.encoded[...], now: Instant(nanoseconds: 0))
            }
        }
        #expect(server.incomingCount <= YamuxLimits().incomingStreams)
    }

    /// Bytes for a stream that is gone are passed over, and a window may be added to for ever.
    @Test func leniency() throws {
        var server = Yamux(role: .server, limits: YamuxLimits(), now: Instant(nanoseconds: 0))
        let open = "000000010000000100000000"
        try server.receive(
            hex("000000000000000900000002aabb" + open)[...], now: Instant(nanoseconds: 0))
        for _ in 0..<100 {
            try server.receive(hex("0001000000000001ffffffff")[...], now: Instant(nanoseconds: 0))
        }
        let events = server.takeEvents()
        #expect(events.count == 1)
    }

    /// Noise of frames crashes nobody.
    @Test func noise() {
        var noise = SeededGenerator(seed: 9)
        for _ in 0..<400 {
            var server = Yamux(role: .server, limits: YamuxLimits(), now: Instant(nanoseconds: 0))
            for step in 0..<40 {
                var header = YamuxHeader(
                    YamuxHeader.Kind(rawValue: .random(in: 0...3, using: &noise)) ?? .data,
                    .init(rawValue: .random(in: 0...15, using: &noise)),
                    stream: .random(in: 0...6, using: &noise),
                    length: .random(in: 0...40, using: &noise))
                if header.kind != .data && step % 5 == 0 { header.length = .max }
                var bytes = header.encoded
                if header.kind == .data { bytes += noise.bytes(Int(header.length)) }
                do {
                    try server.receive(bytes[...], now: Instant(nanoseconds: UInt64(step)))
                } catch {
                    break
                }
                let opened = server.open(now: Instant(nanoseconds: UInt64(step)))
                if let opened { _ = server.write([1, 2], to: opened) }
                while server.nextTransmit(room: 4096) != nil {}
                for case .data(let id, let bytes) in server.takeEvents() {
                    server.consume(bytes.count, of: id, now: Instant(nanoseconds: UInt64(step)))
                }
            }
        }
    }
}
