// How long a peer and its streams are known to the block exchange.

import IPLD
import Multiformats
import TestSupport
import Testing
import Wire

@testable import Exchange

struct PeerLifeTests {
    private let start = Instant(nanoseconds: 1_000_000_000)
    private let block = EncodedBlock(Array("a block".utf8), codec: .raw)

    /// Everything that the exchange wants done.
    private func orders(_ exchange: inout BlockExchange) -> [BlockExchange.Order] {
        var orders: [BlockExchange.Order] = []
        while let order = exchange.nextOrder(now: start) { orders.append(order) }
        return orders
    }

    @Test("a provider that is never reached is forgotten with the session that it was offered to")
    func unreached() {
        var exchange = BlockExchange()
        let session = exchange.openSession(now: start)
        exchange.offer(peer(1), to: session, as: .provider, now: start)
        guard case .open(peer(1), _, let request) = orders(&exchange).first else {
            Issue.record("a stream is opened")
            return
        }
        #expect(exchange.peers.count == 1)
        exchange.closeSession(session, now: start)
        #expect(exchange.peers.isEmpty && exchange.peerOrder.isEmpty && exchange.opening.isEmpty)
        exchange.receive(.refused(request: request, .timedOut), now: start)
        #expect(exchange.peers.isEmpty)

        exchange.connected(peer(2), .direct, now: start)
        let other = exchange.openSession(now: start)
        exchange.offer(peer(2), to: other, as: .neighbour, now: start)
        exchange.closeSession(other, now: start)
        #expect(exchange.peers.count == 1)
    }

    @Test("a peer that says all it has to say at once is answered, and then the stream ends")
    func halfClosed() throws {
        var exchange = BlockExchange()
        exchange.connected(peer(1), .direct, now: start)
        let stream = StreamID(connection: 1, stream: 1)
        exchange.receive(.accepted(stream, peer(1), WeftLimits.protocolName), now: start)
        exchange.receive(
            .commands([.list(id: 1, credit: 1 << 20, [block.cid])]), on: stream, now: start)
        exchange.receive(.finished(stream), now: start)
        guard case .lookUp(let lookUp) = orders(&exchange).first else {
            Issue.record("what it asked for is looked up")
            return
        }
        exchange.lookedUp(lookUp, byteCounts: [block.bytes.count], now: start)
        guard case .send(stream, let message, let id) = orders(&exchange).first else {
            Issue.record("it is answered")
            return
        }
        #expect(message.blockBytes == block.bytes.count)
        exchange.sent(id, now: start)
        #expect(orders(&exchange) == [.finish(stream)])
        #expect(exchange.peers[peer(1)]?.accepted.isEmpty == true)
    }

    @Test("a peer that half-closes a stream on which it is told things is told them nevertheless")
    func toldAfterwards() {
        var exchange = BlockExchange()
        exchange.connected(peer(1), .direct, now: start)
        let session = exchange.openSession(now: start)
        exchange.offer(peer(1), to: session, as: .provider, now: start)
        guard case .open(_, _, let request) = orders(&exchange).first else {
            Issue.record("a stream is opened")
            return
        }
        let stream = StreamID(connection: 1, stream: 1)
        exchange.receive(
            .opened(request: request, stream, BitswapVersion.v1_2_0.protocolName), now: start)
        exchange.receive(.finished(stream), now: start)
        let isTaken = exchange.want(block.cid, at: 0, size: nil, in: session, now: start)
        #expect(isTaken)
        let sent = orders(&exchange).contains {
            if case .send(stream, _, _) = $0 { true } else { false }
        }
        #expect(sent)
    }

    @Test("who sends all of a DAG is sought when the line breaks, though nothing else is wanted")
    func lostWhileSending() {
        var exchange = BlockExchange()
        exchange.connected(peer(1), .direct, now: start)
        let session = exchange.openSession(now: start)
        exchange.offer(peer(1), to: session, as: .neighbour, now: start)
        guard case .open(_, _, let request) = orders(&exchange).first else {
            Issue.record("a stream is opened")
            return
        }
        let stream = StreamID(connection: 1, stream: 1)
        exchange.receive(.opened(request: request, stream, WeftLimits.protocolName), now: start)
        let dag = WeftDAG(root: block.cid, path: [], scope: .all)
        let isTaken = exchange.stream(dag, room: 1 << 20, in: session, now: start)
        #expect(isTaken)
        let asked = orders(&exchange)
        guard case .ask(stream, .dag(let id, _, dag))? = asked.last else {
            Issue.record("it is asked for all of it: \(asked)")
            return
        }
        let bytes = block.bytes[...]
        guard let received = try? ReceivedBlock(verifying: bytes, as: block.cid) else {
            Issue.record("the block is right")
            return
        }
        exchange.receive(
            .answers([.blocks(request: id, [received])]), on: stream, now: start)
        exchange.receive(.reset(stream), now: start)
        exchange.disconnected(peer(1), isBroken: true, now: start)
        #expect(exchange.misses(peer(1)))
        exchange.advance(to: start)
        guard case .open(peer(1), _, _)? = orders(&exchange).last else {
            Issue.record("it is called anew")
            return
        }
    }
}
