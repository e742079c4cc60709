// What connections are built of: time, queues with a limit, and messages out of a stream.

import TestSupport
import Testing
import Wire

@Suite struct InstantTests {
    /// Sums stay within what the clock can show, instead of trapping on a peer's numbers.
    @Test func saturation() {
        let start = Instant(nanoseconds: 5)
        #expect(start + .nanoseconds(7) == Instant(nanoseconds: 12))
        #expect(start + .nanoseconds(-7) == Instant(nanoseconds: 0))
        #expect(Instant(nanoseconds: .max - 1) + .seconds(1) == Instant(nanoseconds: .max))
        #expect(start.since(start + .seconds(1)) == .zero)
        #expect((start + .milliseconds(3)).since(start) == .milliseconds(3))
        #expect(Duration.seconds(Int64.max).wholeNanoseconds == .max)
    }

    /// The earlier of two deadlines, of which either may be missing.
    @Test func deadlines() {
        let (early, late) = (Instant(nanoseconds: 1), Instant(nanoseconds: 2))
        #expect(Instant?.none.earlier(late) == late)
        #expect(Optional(late).earlier(nil) == late)
        #expect(Optional(late).earlier(early) == early)
    }
}

@Suite struct SeededGeneratorTests {
    /// A seed gives the same sequence for ever, since failures are replayed by it.
    @Test func repeats() {
        var (one, two) = (SeededGenerator(seed: 1), SeededGenerator(seed: 1))
        var other = SeededGenerator(seed: 2)
        #expect(one.bytes(19) == two.bytes(19))
        #expect(one.next() == two.next())
        #expect(one.next() != other.next())
        #expect(one.bytes(0).isEmpty)
    }
}

@Suite struct BoundedQueueTests {
    /// Against an array, with random work: order is kept and the limit is never passed.
    @Test(arguments: [1, 2, 5, 64])
    func model(limit: Int) {
        var noise = SeededGenerator(seed: UInt64(limit))
        var queue = BoundedQueue<Int>(limit: limit)
        var model: [Int] = []
        for step in 0..<2000 {
            if Bool.random(using: &noise) {
                #expect(queue.append(step) == (model.count < limit))
                if model.count < limit { model.append(step) }
            } else {
                #expect(queue.popFirst() == model.first)
                if !model.isEmpty { model.removeFirst() }
            }
            #expect(queue.count == model.count && queue.first == model.first)
            #expect(queue.isFull == (model.count == limit))
        }
        queue.removeAll()
        #expect(queue.isEmpty && queue.popFirst() == nil)
    }
}

@Suite struct FrameReaderTests {
    /// However a stream is cut, the same messages come out.
    @Test func pieces() throws {
        var noise = SeededGenerator(seed: 3)
        let messages = (0..<60).map { noise.bytes($0 * $0) }
        var stream: [UInt8] = []
        for message in messages {
            stream.appendVarint(UInt64(message.count))
            stream.append(contentsOf: message)
        }
        for _ in 0..<20 {
            var reader = FrameReader(limit: 4096)
            var found: [[UInt8]] = []
            var rest = stream[...]
            while !rest.isEmpty {
                let piece = Array(rest.prefix(Int.random(in: 1...900, using: &noise)))
                rest = rest.dropFirst(piece.count)
                var input = ByteReader(piece.rawSpan)
                while let message = try reader.next(&input) { found.append(message) }
                let isUsedUp = input.isAtEnd
                #expect(isUsedUp)
            }
            #expect(found == messages)
            #expect(reader.isBetweenMessages)
        }
    }

    /// A length over the limit, a padded one and an endless one are refused at once.
    @Test(arguments: ["8120", "8000", "ffffffffffffffffffff01"])
    func refusals(prefix: String) {
        #expect(throws: DecodeError.self) {
            var reader = FrameReader(limit: 4096)
            let bytes = hex(prefix)
            var input = ByteReader(bytes.rawSpan)
            _ = try reader.next(&input)
        }
    }
}
