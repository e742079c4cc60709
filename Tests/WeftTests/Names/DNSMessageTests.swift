// DNS messages come from strangers: what is right is read, what is wrong is refused, and nothing
// crashes or runs for ever.

import Testing
import Wire

@testable import Weft

@Suite struct DNSMessageTests {
    /// A question as the wire has it.
    static let question: [UInt8] =
        [8] + Array("_dnslink".utf8) + [7] + Array("example".utf8) + [3]
        + Array("org".utf8) + [0, 0, 16, 0, 1]

    static func message(
        id: UInt16 = 7, flags: UInt16 = 0x8180, answers: [[UInt8]]
    ) -> [UInt8] {
        var out: [UInt8] = []
        out.appendBigEndian(id)
        out.appendBigEndian(flags)
        out += [0, 1]
        out.appendBigEndian(UInt16(answers.count))
        out += [0, 0, 0, 0]
        return out + question + answers.flatMap { $0 }
    }

    /// A record; `owner` is already on the wire, usually a pointer to the question's name.
    static func record(
        owner: [UInt8] = [0xc0, 12], type: UInt8 = 16, ttl: UInt8 = 60, _ data: [UInt8]
    ) -> [UInt8] {
        var out = owner + [0, type, 0, 1, 0, 0, 0, ttl]
        out.appendBigEndian(UInt16(data.count))
        return out + data
    }

    static func text(_ parts: String...) -> [UInt8] {
        parts.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
    }

    static func read(
        _ bytes: [UInt8], name: String = "_dnslink.example.org"
    ) throws(DecodeError) -> DNSMessage.Answer {
        try DNSMessage.answer(bytes.span.bytes, to: name, id: 7)
    }

    @Test func query() throws {
        let query = try #require(DNSMessage.query("_dnslink.Example.org.", id: 0x1234))
        #expect(Array(query.prefix(12)) == [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0])
        #expect(query.count == 12 + Self.question.count)
    }

    @Test(arguments: [
        "", ".", "a..b", String(repeating: "a", count: 64),
        String(repeating: "abcdefg.", count: 40), "a b", "ä.org",
    ])
    func noName(_ name: String) {
        #expect(DNSMessage.query(name, id: 1) == nil)
    }

    /// Parts of a text are joined, and the shortest time to live counts.
    @Test func texts() throws {
        let answer = try Self.read(
            Self.message(answers: [
                Self.record(ttl: 60, Self.text("dnslink=/ipfs/", "bafy")),
                Self.record(ttl: 30, Self.text("v=spf1")),
                Self.record(type: 1, [1, 2, 3, 4]),
            ]))
        #expect(answer.texts == ["dnslink=/ipfs/bafy", "v=spf1"])
        #expect(answer.ttl == 30)
    }

    /// Aliases are followed; texts of other names do not count.
    @Test func alias() throws {
        let target: [UInt8] = [1] + Array("B".utf8) + [0]
        let answer = try Self.read(
            Self.message(answers: [
                Self.record(type: 5, ttl: 10, target),
                Self.record(owner: target, Self.text("right")),
                Self.record(owner: [1, 0x63, 0], Self.text("wrong")),
            ]))
        #expect(answer.texts == ["right"])
        #expect(answer.ttl == 10)
        // Two names that are aliases of each other end.
        let circle = try Self.read(
            Self.message(answers: [
                Self.record(type: 5, target), Self.record(owner: target, type: 5, [0xc0, 12]),
            ]))
        #expect(circle.texts.isEmpty)
    }

    @Test func codes() throws {
        #expect(try Self.read(Self.message(flags: 0x8183, answers: [])).code == 3)
        #expect(try Self.read(Self.message(flags: 0x8380, answers: [])).isTruncated)
    }

    /// Answers to other questions, pointers that do not end, lengths that lie.
    @Test func refused() {
        #expect(throws: DecodeError.self) { try Self.read(Self.message(id: 8, answers: [])) }
        #expect(throws: DecodeError.self) {
            try Self.read(Self.message(answers: []), name: "_dnslink.example.com")
        }
        #expect(throws: DecodeError.self) {
            try Self.read(Self.message(flags: 0x0100, answers: []))
        }
        let here = UInt8(12 + Self.question.count)
        #expect(throws: DecodeError.self) {
            // A name that points to itself.
            try Self.read(Self.message(answers: [Self.record(owner: [0xc0, here], [])]))
        }
        #expect(throws: DecodeError.self) {
            // A name whose label is followed by a pointer back to that label.
            try Self.read(
                Self.message(answers: [Self.record(owner: [1, 0x61, 0xc0, here], [])]))
        }
        #expect(throws: DecodeError.self) {
            try Self.read(Self.message(answers: [Self.record([5, 0x61])]))
        }
        #expect(throws: DecodeError.self) {
            try Self.read(Self.message(answers: [Self.record(type: 5, [1, 0x61, 0, 0])]))
        }
    }

    /// Every truncation is refused, and noise never crashes.
    @Test func truncationsAndNoise() throws {
        let whole = Self.message(answers: [
            Self.record(type: 5, [1, 0x62, 0]), Self.record(owner: [1, 0x62, 0], Self.text("x")),
        ])
        for count in 0..<whole.count {
            #expect(throws: DecodeError.self) { try Self.read(Array(whole.prefix(count))) }
        }
        var generator = SeededGenerator(seed: 42)
        for _ in 0..<20_000 {
            var bytes = whole
            for _ in 0..<Int.random(in: 1...6, using: &generator) {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] =
                    UInt8.random(in: 0...255, using: &generator)
            }
            // Only that it ends matters.
            _ = try? Self.read(bytes)
        }
    }
}
