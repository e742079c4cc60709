// What is fuzzed of the block exchange: the messages of both protocols, and what the machines do
// with them.

import Exchange
import IPLD
import Multiformats
import Wire

/// The parsers by name.
let exchangeTargets: [String: Target] = [
    "bitswap": bitswap,
    "weft-commands": weftCommands,
    "weft-answers": weftAnswers,
]

private func peerID() -> PeerID {
    guard let peer = try? PeerID(Multihash.sha2_256(of: [UInt8](1...4).span.bytes)) else {
        violated("a digest is a peer id")
    }
    return peer
}

/// Reads a message, writes its lists again, and lets a server answer it as if it had every other
/// block.
@Sendable private func bitswap(_ bytes: RawSpan) {
    guard let message = try? ReceivedBitswapMessage(verifying: [UInt8](bytes)) else { return }
    var lists = message.lists
    lists.pendingBytes = max(lists.pendingBytes, 0)
    let again = try? ReceivedBitswapMessage(verifying: lists.encoded(.v1_2_0))
    if again?.lists != lists { violated("the lists of a message round-trip") }
    for block in message.blocks
    where (try? block.cid.hash.verify(Array(block.bytes).span.bytes)) == nil {
        violated("a block matches the CID that it was given")
    }
    let now = Instant(nanoseconds: 1)
    let peer = peerID()
    var server = BitswapServer()
    server.opened(peer, .v1_2_0, now: now)
    for _ in 0..<2 {
        server.receive(message.lists, from: peer, now: now)
        if server.wantCount(of: peer) > BitswapLimits.maxWants {
            violated("a peer has no more wants than the limit")
        }
        while let order = server.nextLookUp() {
            let counts = order.cids.indices.map { $0 % 2 == 0 ? $0 * 997 % 5000 : nil }
            server.lookedUp(order.id, byteCounts: counts, now: now)
        }
        while let transmit = server.nextTransmit() {
            if transmit.message.byteCount > BitswapLimits.maxMessageBytes {
                violated("a message is no longer than the limit")
            }
            server.sent(transmit.id)
        }
    }
    var asks = BitswapAsks()
    for want in message.lists.wants.prefix(8) { asks.ask(want.cid, .block, priority: 1) }
    _ = asks.nextMessage(.v1_2_0)
    asks.sent(now: now)
    _ = asks.receive(message, now: now)
}

/// Reads commands, writes them again, and lets a server answer them in which every block is the
/// input itself.
@Sendable private func weftCommands(_ bytes: RawSpan) {
    guard let commands = try? WeftCommand.decode(bytes) else { return }
    for command in commands {
        let written = command.encoded
        guard written.count <= WeftLimits.maxRequestFrame else { continue }
        if (try? WeftCommand.decode(written.span.bytes)) != [command] {
            violated("a command round-trips")
        }
    }
    let stream = StreamID(connection: 1, stream: 1)
    var server = WeftServer()
    server.opened(stream, by: peerID())
    guard (try? server.receive(commands, on: stream)) != nil else { return }
    let block = [UInt8](bytes)
    for _ in 0..<200 {
        var isIdle = true
        while let order = server.nextLookUp() {
            isIdle = false
            server.lookedUp(order.id, byteCounts: order.cids.map { _ in block.count })
        }
        while let order = server.nextLoad() {
            isIdle = false
            server.loaded(order.id, block)
        }
        while let transmit = server.nextTransmit() {
            isIdle = false
            if transmit.message.byteCount > WeftLimits.maxAnswerFrame {
                violated("a frame is no longer than the limit")
            }
            server.sent(transmit.id)
        }
        if isIdle { break }
    }
}

/// Reads answers to a list and to a DAG.
@Sendable private func weftAnswers(_ bytes: RawSpan) {
    let frame = [UInt8](bytes)
    let hash = Multihash.sha2_256(of: [UInt8]("hello".utf8).span.bytes)
    var requests = WeftRequests()
    requests.note(.list(id: 1, credit: 100, [CID(.raw, hash), CID(.dagPB, hash)]))
    requests.note(
        .dag(id: 2, credit: 100, WeftDAG(root: CID(.raw, hash), path: [], scope: .all)))
    for _ in 0..<2 {
        guard let outcomes = try? requests.receive(frame) else { return }
        for case .blocks(_, let blocks) in outcomes {
            for block in blocks
            where (try? block.cid.hash.verify(block.bytes.rawSpan)) == nil {
                violated("a block matches its CID")
            }
        }
    }
}
