// Blocks: sessions of this node, and what peers are given.

import Exchange
import Multiformats
import Peering
import Wire

extension NodeCore {
    /// Whether a peer may wait for a block to come into the store (``Input/stored(_:byteCount:)``).
    public var isAwaited: Bool { exchange.isAwaited }

    mutating func openSession(patience: Duration, now: Instant) -> WantTable.SessionID {
        let session = exchange.openSession(patience: patience, now: now)
        sessions.append(session)
        var offered: Set<PeerID> = []
        for entry in connections.all where offered.insert(entry.facts.peer).inserted {
            guard exchangesBlocks(entry.facts.peer) else { continue }
            exchange.offer(entry.facts.peer, to: session, as: .neighbour, now: now)
        }
        return session
    }

    /// Enters what a session wants; returns how much of it, which is a prefix.
    mutating func want(_ wants: [Want], in session: WantTable.SessionID, now: Instant) -> Int {
        for (index, want) in wants.enumerated() {
            let isEntered = exchange.want(
                want.cid, at: want.position, size: want.size, in: session, now: now)
            guard isEntered else { return index }
        }
        return wants.count
    }

    /// A peer said what it speaks; whoever reads something may ask it.
    mutating func offerNeighbour(_ peer: PeerID, now: Instant) {
        guard exchangesBlocks(peer) else { return }
        for session in sessions {
            exchange.offer(peer, to: session, as: .neighbour, now: now)
        }
    }

    /// Whether a peer may be asked for blocks: it says so, or has not said yet what it speaks and
    /// will when it is asked for a stream.
    private func exchangesBlocks(_ peer: PeerID) -> Bool {
        guard let known = peers[peer] else { return false }
        return !known.isIdentified || known.protocols.contains { Service($0) == .exchange }
    }

    mutating func carryOut(_ order: BlockExchange.Order, now: Instant) {
        switch order {
        case .open(let peer, let protocols, let local):
            open(peer, protocols, local, for: .exchange, now: now)
        case .send(let stream, let message, let number):
            guard let entry = streams[stream] else {
                exchange.unsent(number, now: now)
                return
            }
            connections.use(stream.connection, now: now)
            if message.blockBytes > 0 { peers[entry.peer]?.lastBlocks = now }
            transmits[number] = stream
            outputs.append(.transmit(stream, message, number: number))
        case .ask(let stream, let command):
            guard streams[stream] != nil else { return }
            connections.use(stream.connection, now: now)
            outputs.append(.ask(stream, command))
        case .finish(let stream): finish(stream, now: now)
        case .reset(let stream): reset(stream, now: now)
        case .lookUp(let lookUp): outputs.append(.lookUp(lookUp))
        case .load(let load): outputs.append(.load(load))
        }
    }

    mutating func take(_ event: BlockExchange.Event, now: Instant) {
        switch event {
        case .blocks(let blocks, let peer, let sessions):
            peers[peer]?.lastBlocks = now
            outputs.append(.blocks(blocks, from: peer, sessions: sessions))
        case .streamed(let session, let blocks, let peer):
            peers[peer]?.lastBlocks = now
            outputs.append(.streamed(session, blocks, from: peer))
        case .streamOver(let session): outputs.append(.streamOver(session))
        case .failed(let session, let cid, let failure):
            outputs.append(.missing(session, cid, failure))
        case .discover(let session, let cid): discover(cid, for: session, now: now)
        case .overdue(_, let stream): outputs.append(.check(connection: stream.connection))
        case .violation(let peer, let violation):
            violated(peer, .blocks(violation), now: now)
        case .news(let session, let peer, let news):
            outputs.append(.news(session, .peer(peer, news)))
        }
    }
}
