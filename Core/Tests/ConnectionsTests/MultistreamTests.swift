// Agreeing on protocols: the bytes of the specification, any cut of them, and peers that misbehave.

import Connections
import Multiformats
import TestSupport
import Testing
import Wire

/// Feeds `bytes` in pieces of random size, and returns the outcome and what was left over.
private func feed(
    _ side: inout Multistream, _ bytes: [UInt8], _ noise: inout SeededGenerator
) throws -> (outcome: Multistream.Outcome?, used: Int) {
    var start = 0
    while start < bytes.count {
        let end = Int.random(in: (start + 1)...bytes.count, using: &noise)
        var input = ByteReader(bytes.rawSpan.extracting(start..<end))
        if let outcome = try side.receive(&input) { return (outcome, start + input.offset) }
        start = end
    }
    return (nil, start)
}

@Suite struct MultistreamTests {
    private let one = ProtocolName("/one")
    private let two = ProtocolName("/two")
    private let header = "132f6d756c746973747265616d2f312e302e300a"

    /// Header and first proposal leave at once, as the specification writes them.
    @Test func bytes() {
        var dialer = Multistream(proposing: [one])
        let proposal = dialer.takeOutput()
        #expect(hex(proposal) == header + "052f6f6e650a")
        var listener = Multistream(supporting: [one])
        let answer = listener.takeOutput()
        #expect(hex(answer) == header)
    }

    /// Both sides agree on the first common protocol, however the bytes are cut, and take nothing
    /// of what follows.
    @Test(arguments: 0..<30)
    func agreement(seed: UInt64) throws {
        var noise = SeededGenerator(seed: seed)
        var dialer = Multistream(proposing: [one, two])
        var listener = Multistream(supporting: [two])
        var outcome = try feed(&listener, dialer.takeOutput(), &noise)
        #expect(outcome.outcome == nil)
        outcome = try feed(&dialer, listener.takeOutput(), &noise)
        #expect(outcome.outcome == nil)
        let proposal = dialer.takeOutput()
        outcome = try feed(&listener, proposal + [1, 2, 3], &noise)
        #expect(outcome.outcome == .agreed(two) && outcome.used == proposal.count)
        let answer = listener.takeOutput()
        outcome = try feed(&dialer, answer + [4], &noise)
        #expect(outcome.outcome == .agreed(two) && outcome.used == answer.count)
    }

    /// Without a common protocol the dialer learns it from the last refusal.
    @Test func refusal() throws {
        var dialer = Multistream(proposing: [one])
        var noise = SeededGenerator(seed: 1)
        let outcome = try feed(&dialer, hex(header + "036e610a"), &noise)
        #expect(outcome.outcome == .refused)
    }

    /// Another header, a message without an end, one that is too long, an answer to nothing, and
    /// endless proposals all end the negotiation.
    @Test(arguments: ["052f6f6e650a", "0161", "ff7f", "00"])
    func hostile(bytes: String) {
        #expect(throws: DecodeError.self) {
            var listener = Multistream(supporting: [one])
            var noise = SeededGenerator(seed: 1)
            _ = try feed(&listener, hex(bytes), &noise)
        }
        #expect(throws: DecodeError.self) {
            var dialer = Multistream(proposing: [one])
            var noise = SeededGenerator(seed: 1)
            _ = try feed(&dialer, hex(header + "052f74776f0a"), &noise)
        }
        #expect(throws: DecodeError.self) {
            var listener = Multistream(supporting: [one])
            var noise = SeededGenerator(seed: 1)
            let flood = hex(header) + (0..<100).flatMap { _ in hex("052f74776f0a") }
            _ = try feed(&listener, flood, &noise)
        }
    }
}
