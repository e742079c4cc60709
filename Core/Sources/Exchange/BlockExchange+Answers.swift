// What comes of what peers were asked: blocks, word that they have or lack some, and lies.

import IPLD
import Multiformats
import Wire

extension BlockExchange {
    mutating func take(_ outcomes: [BitswapAsks.Outcome], from id: PeerID, now: Instant) {
        guard let source = peers[id]?.source else { return }
        var arrivals = Arrivals()
        defer { deliver(&arrivals, from: id) }
        for outcome in outcomes {
            switch outcome {
            case .has(let hash): table.has(hash, source, now: now)
            case .lacks(let hash, let evidence): lacks(hash, id, source, evidence, now: now)
            case .block(let block):
                arrived(block, from: id, source, into: &arrivals, now: now)
            case .unasked(let cid):
                distrust(id, .unaskedBlock(cid), now: now)
                return
            }
        }
    }

    /// Blocks of one message that are wanted by the same sessions.
    private struct Arrivals {
        var blocks: [ReceivedBlock] = []
        var sessions: [WantTable.SessionID] = []
    }

    private mutating func arrived(
        _ block: ReceivedBlock, from id: PeerID, _ source: WantTable.SourceID,
        into arrivals: inout Arrivals, now: Instant
    ) {
        let arrival = table.arrived(
            block.cid.hash, byteCount: block.bytes.count, from: source, now: now)
        guard case .wanted(let sessions) = arrival else { return }
        if sessions != arrivals.sessions {
            deliver(&arrivals, from: id)
            arrivals.sessions = sessions
        }
        arrivals.blocks.append(block)
    }

    /// Tells of blocks that came together.
    private mutating func deliver(_ arrivals: inout Arrivals, from id: PeerID) {
        guard !arrivals.blocks.isEmpty else { return }
        peers[id]?.attempts = 0
        peers[id]?.hasBrought = true
        tell(.blocks(arrivals.blocks, from: id, sessions: arrivals.sessions))
        arrivals.blocks = []
    }

    /// The next blocks of a whole came. Others may want some of them as well.
    @inline(never)
    private mutating func streamed(
        _ blocks: [ReceivedBlock], from id: PeerID, _ source: WantTable.SourceID,
        in session: WantTable.SessionID, now: Instant
    ) {
        peers[id]?.attempts = 0
        peers[id]?.hasBrought = true
        var bytes = 0
        var known = 0
        for block in blocks {
            bytes += block.bytes.count
            guard table.isWanted(block.cid.hash) else { continue }
            let arrival = table.arrived(
                block.cid.hash, byteCount: block.bytes.count, from: source, now: now)
            guard case .wanted(let sessions) = arrival else { continue }
            if sessions.contains(session) { known += block.bytes.count }
            let others = sessions.filter { $0 != session }
            if !others.isEmpty { tell(.blocks([block], from: id, sessions: others)) }
        }
        table.streamed(bytes, known: known, from: source, in: session, now: now)
        tell(.streamed(session, blocks, from: id))
    }

    /// A peer does not have a block; who reads is told of the first one of each peer.
    private mutating func lacks(
        _ hash: Multihash, _ id: PeerID, _ source: WantTable.SourceID,
        _ evidence: WantTable.Evidence, now: Instant
    ) {
        if let want = table.wants[hash] {
            for session in want.sessions {
                guard let index = peers[id]?.offers.firstIndex(where: { $0.session == session }),
                    peers[id]?.offers[index].hasLacked == false
                else { continue }
                peers[id]?.offers[index].hasLacked = true
                tell(.news(session, id, .lacks(want.cid, evidence)))
            }
        }
        table.lacks(hash, source, evidence, now: now)
    }

    /// What a peer of the Weft exchange sent.
    mutating func take(
        _ outcomes: [WeftRequests.Outcome], from id: PeerID, now: Instant
    ) {
        guard let source = peers[id]?.source,
            let (meanings, commands) = peers[id]?.weftAsks.receive(outcomes)
        else { return }
        for command in commands { ask(id, command) }
        var arrivals = Arrivals()
        defer { deliver(&arrivals, from: id) }
        for meaning in meanings {
            switch meaning {
            case .blocks(let blocks):
                for block in blocks {
                    arrived(block, from: id, source, into: &arrivals, now: now)
                }
            case .streamed(let blocks, let session):
                streamed(blocks, from: id, source, in: session, now: now)
            case .has(let hash): table.has(hash, source, now: now)
            case .lacks(let hash): lacks(hash, id, source, .answer, now: now)
            case .streamEnded(let session, let status, let yield):
                // Nobody is asked twice for a whole that they do not have.
                if yield == .nothing, status == .missing, let root = dags[session]?.root {
                    lacks(root.hash, id, source, .answer, now: now)
                }
                table.streamEnded(source, in: session, now: now)
            case .busy(let pause):
                table.failed(source, .busy(pause), now: now)
                tell(.busy(pause), of: id)
            }
        }
    }

    /// Sends a command to a peer of the Weft exchange.
    mutating func ask(_ id: PeerID, _ command: WeftCommand) {
        guard case .open(let stream, .weft) = peers[id]?.link else { return }
        emit(.ask(stream, command))
    }

    /// Asks a peer for nothing more.
    mutating func distrust(_ id: PeerID, _ violation: Violation, now: Instant) {
        peers[id]?.hasLied = true
        if let source = peers[id]?.source { table.failed(source, .lied, now: now) }
        tell(.violation(id, violation))
        tell(.brokeRules(violation), of: id)
    }
}
