// The client's half of bitswap towards one peer: what it is told, what its answers mean, and how
// long they are waited for.

import Exchange
import IPLD
import Multiformats
import Testing
import Wire

@Suite struct BitswapAsksTests {
    let one = block(5000, seed: 1)
    let two = block(5000, seed: 2)
    let start = Instant(nanoseconds: 1_000_000_000)

    func message(_ blocks: [(cid: CID, bytes: [UInt8])]) throws -> ReceivedBitswapMessage {
        var bytes: [UInt8] = []
        for block in blocks {
            bytes += BitswapMessage.blockHeader(
                block.cid, byteCount: block.bytes.count, .v1_2_0)
            bytes += block.bytes
        }
        return try ReceivedBitswapMessage(verifying: bytes)
    }

    func presence(_ cid: CID, _ kind: BitswapMessage.Presence.Kind) throws
        -> ReceivedBitswapMessage
    {
        var lists = BitswapMessage()
        lists.presences = [.init(cid, kind)]
        return try ReceivedBitswapMessage(verifying: lists.encoded(.v1_2_0))
    }

    @Test("the first message is a full list, later ones are changes, one at a time")
    func messages() throws {
        var asks = BitswapAsks()
        asks.ask(one.cid, .have, priority: 9)
        let told = asks.nextMessage(.v1_2_0)
        let first = try #require(told)
        #expect(first.isFull)
        #expect(first.wants == [.init(one.cid, .have, priority: 9, absence: .answer)])
        asks.ask(two.cid, .block, priority: 3)
        asks.ask(one.cid, .block, priority: 9)
        #expect(asks.nextMessage(.v1_2_0) == nil)
        asks.sent(now: start)
        let changed = asks.nextMessage(.v1_2_0)
        let second = try #require(changed)
        #expect(!second.isFull && second.wants.map(\.cid) == [two.cid, one.cid])
        asks.sent(now: start)
        asks.cancel(two.cid)
        #expect(asks.nextMessage(.v1_2_0)?.wants == [.init(two.cid, .cancel)])
    }

    @Test("what was never told is not taken back")
    func unsentCancel() {
        var asks = BitswapAsks()
        asks.ask(one.cid, .block, priority: 1)
        asks.cancel(one.cid)
        #expect(asks.nextMessage(.v1_2_0) == nil && asks.isEmpty)
    }

    @Test("a block that crosses its cancel is no offence, one never asked for is")
    func unasked() throws {
        var asks = BitswapAsks()
        asks.ask(one.cid, .block, priority: 1)
        _ = asks.nextMessage(.v1_2_0)
        asks.sent(now: start)
        asks.cancel(one.cid)
        let late = asks.receive(try message([one]), now: start)
        guard case .block(let taken) = late.first, taken.cid == one.cid else {
            Issue.record("the block is taken")
            return
        }
        let foreign = asks.receive(try message([two]), now: start)
        guard case .unasked(two.cid) = foreign.first else {
            Issue.record("the block is refused")
            return
        }
    }

    @Test("silence counts as absence after five seconds, and sooner once the peer is known")
    func patience() throws {
        var asks = BitswapAsks()
        asks.ask(one.cid, .have, priority: 1)
        _ = asks.nextMessage(.v1_2_0)
        asks.sent(now: start)
        #expect(asks.deadline == start + .seconds(5))
        let answered = start + .milliseconds(100)
        let outcomes = asks.receive(try presence(one.cid, .have), now: answered)
        guard case .has(one.cid.hash) = outcomes.first else {
            Issue.record("the peer has it")
            return
        }
        asks.ask(two.cid, .block, priority: 1)
        _ = asks.nextMessage(.v1_2_0)
        asks.sent(now: answered)
        // Four times as long as the first answer took.
        #expect(asks.advance(to: answered + .milliseconds(399)).isEmpty)
        let late = asks.advance(to: answered + .milliseconds(400))
        guard case .lacks(two.cid.hash, .silence) = late.first else {
            Issue.record("the peer is taken not to have it")
            return
        }
        #expect(asks.nextMessage(.v1_2_0)?.wants == [.init(two.cid, .cancel)])
    }

    @Test("blocks are waited for while the peer sends others")
    func slowPeer() throws {
        var asks = BitswapAsks()
        asks.ask(one.cid, .block, priority: 2)
        asks.ask(two.cid, .block, priority: 1)
        _ = asks.nextMessage(.v1_2_0)
        asks.sent(now: start)
        let later = start + .seconds(4)
        #expect(asks.receive(try message([one]), now: later).count == 1)
        #expect(asks.advance(to: start + .seconds(6)).isEmpty)
        #expect(asks.advance(to: later + .seconds(7)).count == 1)
    }
}
