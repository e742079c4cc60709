import IPLD
import Multiformats
import TestSupport
import Testing
import Wire

@testable import Peering

@Suite struct KeyFetchTests {
    private let peer: PeerID
    private let name: PeerID
    private let now = instant(1)

    init() throws {
        peer = try PeerID(Multihash.sha2_256(of: [1].rawSpan))
        name = try PeerID(Multihash.sha2_256(of: [2].rawSpan))
    }

    private static func stream(_ number: UInt32) -> StreamID {
        StreamID(connection: 1, stream: number)
    }

    /// The orders so far.
    private func orders(_ machine: inout KeyFetch) -> [StreamOrder] {
        var all: [StreamOrder] = []
        while let order = machine.nextTransmit() { all.append(order) }
        return all
    }

    /// A question and its answer, both sides.
    @Test func oneRecord() throws {
        var (mine, theirs) = (KeyFetch(), KeyFetch())
        let number = mine.fetch(name, from: peer)
        #expect(orders(&mine) == [.open(peer, [PeerProtocols.fetch], request: number)])
        let (here, there) = (Self.stream(1), Self.stream(2))
        mine.receive(.opened(request: number, here, PeerProtocols.fetch), now: now)
        let asked = orders(&mine)
        guard case .send(here, let question) = asked.first else {
            Issue.record("nothing was asked: \(asked)")
            return
        }
        #expect(asked.last == .finish(here))
        // As the specification's schema has it: a field with the key.
        #expect(
            question == [0x0a, UInt8(6 + name.bytes.count)] + Array("/ipns/".utf8) + name.bytes)
        theirs.receive(.accepted(there, peer, PeerProtocols.fetch), now: now)
        theirs.receive(.message(there, question), now: now)
        theirs.receive(.finished(there), now: now)
        guard case .asked(let lookUp, let asks) = theirs.nextEvent() else {
            Issue.record("nobody was asked")
            return
        }
        #expect(asks == name)
        theirs.answer(lookUp, [1, 2, 3])
        guard case .send(there, let answer) = theirs.nextTransmit() else {
            Issue.record("no answer")
            return
        }
        mine.receive(.message(here, answer), now: now)
        #expect(mine.nextEvent() == .answered(number, [1, 2, 3]))
    }

    /// Nothing but IPNS records is looked up, and what is not there is said not to be.
    @Test func nothingElse() throws {
        var machine = KeyFetch()
        let keys: [[UInt8]] = [
            [], Array("/ipns/".utf8), Array("/ipns/x".utf8), Array("/etc/passwd".utf8),
            Array("/pk/".utf8) + name.bytes, KeyFetch.key(of: name) + [0],
        ]
        for (index, key) in keys.enumerated() {
            let stream = Self.stream(UInt32(index))
            machine.receive(.accepted(stream, peer, PeerProtocols.fetch), now: now)
            machine.receive(.message(stream, FetchRequest(key).encoded), now: now)
            #expect(machine.nextEvent() == nil)
            let said = orders(&machine)
            #expect(said == [.send(stream, [8, 1]), .finish(stream)], "\(key)")
        }
        // None of them is in the way of others, though the peer has ended none.
        let stream = Self.stream(100)
        machine.receive(.accepted(stream, peer, PeerProtocols.fetch), now: now)
        #expect(orders(&machine).isEmpty)
        machine.receive(
            .message(stream, FetchRequest(KeyFetch.key(of: name)).encoded), now: now)
        guard case .asked(let number, _) = machine.nextEvent() else {
            Issue.record("nobody was asked")
            return
        }
        machine.answer(number, nil)
        #expect(orders(&machine) == [.send(stream, [8, 1]), .finish(stream)])
    }

    /// Streams, waits and messages are bounded; noise ends the stream.
    @Test func bounds() throws {
        var machine = KeyFetch()
        for number in 0..<10 as Range<UInt32> {
            machine.receive(.accepted(Self.stream(number), peer, PeerProtocols.fetch), now: now)
        }
        #expect(
            orders(&machine)
                == (4..<10).map { StreamOrder.reset(Self.stream(UInt32($0))) })
        machine.receive(.message(Self.stream(0), [0xff, 1]), now: now)
        #expect(orders(&machine) == [.reset(Self.stream(0))])
        machine.advance(to: now + KeyFetch.timeout)
        #expect(orders(&machine).count == 3)
        #expect(machine.deadline == nil)

        let asked = machine.fetch(name, from: peer)
        machine.receive(.opened(request: asked, Self.stream(20), PeerProtocols.fetch), now: now)
        machine.advance(to: now + KeyFetch.timeout)
        #expect(machine.nextEvent() == .failed(asked, .timedOut))
        let refused = machine.fetch(name, from: peer)
        machine.receive(.refused(request: refused, .unsupported), now: now)
        #expect(machine.nextEvent() == .failed(refused, .unsupported))
        var noise = Noise(seed: 7)
        let good = FetchResponse.value([1, 2, 3]).encoded
        for _ in 0..<2_000 {
            _ = try? FetchResponse(decoding: noise.mutation(of: good).rawSpan)
            _ = try? FetchRequest(decoding: noise.mutation(of: good).rawSpan)
        }
        for index in 1..<good.count {
            #expect(throws: DecodeError.self) {
                try FetchResponse(decoding: Array(good.prefix(index)).rawSpan)
            }
        }
    }
}
