// Finding peers of the same local network: what is said is understood, by others' software too, and
// what is nonsense costs nothing.

import Multiformats
import Testing
import Wire

@testable import Peering

@Suite struct MDNSTests {
    private let one: PeerID
    private let two: PeerID
    private let start = Instant(nanoseconds: 1_000_000_000)

    init() throws {
        (one, two) = (try peer(1), try peer(2))
    }

    private func addresses(_ texts: String...) throws -> [Multiaddr] {
        try texts.map { try Multiaddr(text: $0) }
    }

    private func decode(_ packet: [UInt8]) throws -> MDNSMessage {
        try MDNSMessage(decoding: packet.rawSpan)
    }

    /// All that a machine has to say until then, and what it was told.
    private func run(
        _ machine: inout MDNS, until end: Instant
    ) -> (packets: [[UInt8]], events: [MDNS.Event]) {
        var packets: [[UInt8]] = []
        while let due = machine.deadline, due <= end {
            machine.advance(to: due)
            while let packet = machine.nextTransmit() { packets.append(packet) }
        }
        var events: [MDNS.Event] = []
        while let event = machine.nextEvent() { events.append(event) }
        return (packets, events)
    }

    @Test("one asks, the other answers, and is found") func finding() throws {
        var asking = MDNS(own: one, seed: 1, now: start)
        var answering = MDNS(own: two, seed: 2, now: start)
        let useful = try addresses(
            "/ip4/192.168.1.7/tcp/4001", "/ip6/fd00::7/tcp/4001", "/ip4/5.6.7.8/tcp/4001/ws")
        answering.setAddresses(
            useful + (try addresses("/ip4/127.0.0.1/tcp/4001")), now: start)
        _ = run(&answering, until: start)
        let question = try #require(run(&asking, until: start).packets.first)
        try answering.receive(question.rawSpan, now: start + .seconds(2))
        let said = run(&answering, until: start + .seconds(3)).packets
        let answers = said.filter { $0 != MDNSMessage.question }
        #expect(answers.count == 1)
        let answer = try #require(answers.first)
        #expect(answer.count < 1_400)
        try asking.receive(answer.rawSpan, now: start + .seconds(3))
        #expect(asking.nextEvent() == .found(two, useful))
        // Whoever hears himself, or the same again at once, has learnt nothing.
        try answering.receive(answer.rawSpan, now: start + .seconds(3))
        #expect(answering.nextEvent() == nil)
        try asking.receive(answer.rawSpan, now: start + .seconds(4))
        #expect(asking.nextEvent() == nil)
        try asking.receive(answer.rawSpan, now: start + .seconds(60))
        #expect(asking.nextEvent() == .found(two, useful))
    }

    @Test("a node that goes says goodbye, and whoever knew it hears that") func goodbye() throws {
        var hearing = MDNS(own: one, seed: 1, now: start)
        var going = MDNS(own: two, seed: 2, now: start)
        #expect(going.goodbye == nil)
        let place = try addresses("/ip4/192.168.1.7/tcp/4001")
        going.setAddresses(place, now: start)
        let said = run(&going, until: start).packets.filter { $0 != MDNSMessage.question }
        let (hello, packet) = (try #require(said.first), try #require(going.goodbye))
        // Nobody misses whom he did not know.
        try hearing.receive(packet.rawSpan, now: start)
        #expect(hearing.nextEvent() == nil)
        try hearing.receive(hello.rawSpan, now: start)
        #expect(hearing.nextEvent() == .found(two, place))
        try hearing.receive(packet.rawSpan, now: start + .seconds(1))
        #expect(hearing.nextEvent() == .left(two) && hearing.nextEvent() == nil)
        // And one that comes back at once is found at once.
        try hearing.receive(hello.rawSpan, now: start + .seconds(2))
        #expect(hearing.nextEvent() == .found(two, place))
    }

    @Test("a flood of questions is answered once a second, and one's own are few")
    func pace() throws {
        var machine = MDNS(own: one, seed: 1, now: start)
        machine.setAddresses(try addresses("/ip4/10.0.0.1/tcp/1"), now: start)
        var packets: [[UInt8]] = []
        for step in 0..<1_000 {
            let now = start + .milliseconds(Int64(step) * 10)
            try machine.receive(MDNSMessage.question.rawSpan, now: now)
            packets += run(&machine, until: now).packets
        }
        #expect(packets.count { $0 != MDNSMessage.question } <= 11)
        let hour = run(&machine, until: start + .seconds(3_600)).packets
        #expect((10...20).contains(hour.count { $0 == MDNSMessage.question }))
    }

    @Test("a node that nobody can reach says nothing") func silent() throws {
        var machine = MDNS(own: one, seed: 1, now: start)
        machine.setAddresses(try addresses("/ip4/127.0.0.1/tcp/4001"), now: start)
        try machine.receive(MDNSMessage.question.rawSpan, now: start)
        let said = run(&machine, until: start + .seconds(30)).packets
        #expect(said.allSatisfy { $0 == MDNSMessage.question } && !said.isEmpty)
    }

    /// A packet as others build it: compressed names, a TXT record among the answers, strings that
    /// are none of ours, two peers behind one name.
    @Test("a compressed packet of other software") func compressed() throws {
        var packet: [UInt8] = [0, 0, 0x84, 0, 0, 0, 0, 2, 0, 0, 0, 0]
        packet += Array("\u{4}_P2P\u{4}_udp\u{5}local\u{0}".utf8)
        packet += [0, 12, 0, 1, 0, 0, 0, 10, 0, 6] + Array("\u{3}abc".utf8) + [0xc0, 12]
        packet += [0xc0, 0, 0, 16, 0x80, 1, 0, 0, 0, 10]
        var texts: [UInt8] = []
        for text in [
            "dnsaddr=/ip4/192.168.1.7/tcp/4001/p2p/\(two)", "something=else", "dnsaddr=nonsense",
            "dnsaddr=/ip4/192.168.1.8/udp/4001/quic-v1/p2p/\(two)",
            "dnsaddr=/ip4/192.168.1.9/tcp/4001/p2p/\(one)", "dnsaddr=/p2p/\(one)",
            "dnsaddr=/ip4/192.168.1.9/tcp/4001",
        ] {
            texts.append(UInt8(text.utf8.count))
            texts += Array(text.utf8)
        }
        packet.appendBigEndian(UInt16(texts.count))
        packet += texts
        // The pointer of the second record leads to "abc" in the data of the first.
        let name = try #require(packet.firstRange(of: Array("\u{3}abc".utf8))?.lowerBound)
        let pointer = name + 4 + 2
        packet[pointer + 1] = UInt8(name)
        let message = try MDNSMessage(decoding: packet.rawSpan)
        #expect(!message.isQuestion)
        #expect(message.announcements.map(\.peer) == [two, one])
        #expect(
            message.announcements.first?.addresses
                == (try addresses("/ip4/192.168.1.7/tcp/4001", "/ip4/192.168.1.8/udp/4001/quic-v1"))
        )
        for length in 0..<packet.count {
            #expect(throws: DecodeError.self) { try decode(Array(packet[..<length])) }
        }
    }

    @Test("noise, floods of records and of peers stay within bounds") func hostile() throws {
        var random = SeededGenerator(seed: 5)
        for _ in 0..<2_000 {
            var noise = random.bytes(Int(random.next() % 200))
            if noise.count > 12 { noise.replaceSubrange(4..<12, with: [0, 1, 0, 1, 0, 0, 0, 1]) }
            // Refused or understood; neither has an effect.
            _ = try? MDNSMessage(decoding: noise.rawSpan)
        }
        let many: [UInt8] = [0, 0, 0x84, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0]
        #expect(throws: DecodeError.self) { try decode(many) }
        var machine = MDNS(own: one, seed: 1, now: start)
        for index in 0..<1_000 {
            let packet = MDNSMessage.announcement(
                of: try peer(UInt64(index) + 3), as: Array("x".utf8),
                at: try addresses("/ip4/10.0.0.1/tcp/1"))
            try machine.receive(
                packet.rawSpan, now: start + .milliseconds(Int64(index)))
            #expect(machine.nextEvent() != nil)
        }
        #expect(machine.rememberedCount <= MDNS.maxPeers)
        let long = (0..<200).compactMap { try? Multiaddr(text: "/ip4/10.0.0.\($0)/tcp/4001") }
        #expect(
            MDNSMessage.announcement(of: one, as: Array("x".utf8), at: long).count < 1_400)
    }
}
