// What this node tells its neighbours without being asked: proofs against liars, as soon as there
// are any, and now and then some receipts of others, so that forks are found.

public import Multiformats
public import Wire

extension CallExchange {
    /// A peer is connected that runs calls.
    public mutating func meet(_ peer: PeerID, now: Instant) {
        guard peer != book.owner, neighbours.insert(peer).inserted else { return }
        proofs.meet(peer)
        receipts.begin(now: now)
    }

    /// A peer is connected no longer.
    public mutating func lose(_ peer: PeerID) { neighbours.remove(peer) }

    /// Looks into what this node's user says about a peer. If it is true, the peer is not asked any
    /// more, and others are told.
    public mutating func accuse(_ evidence: Evidence, now: Instant) {
        guard !responders.isBannedForGood(evidence.accused) else { return }
        proofs.accuse(evidence, now: now)
    }

    /// A proof that this node found to be true before it was started: its accused is not asked, and
    /// it can be had here.
    public mutating func know(_ evidence: Evidence) {
        caller.responders.ban(evidence.accused, until: nil)
        _ = proofs.hold(evidence)
    }

    /// The proofs that can be had here, the oldest first.
    public var heldProofs: [ProofNotice] { proofs.notices }

    /// Tells everybody of a proof that this node has found to be true.
    mutating func spread(_ evidence: Evidence, now: Instant) {
        proofs.settle(evidence.accused)
        guard let notice = proofs.hold(evidence) else { return }
        let others = neighbours.union(server.peers).subtracting([evidence.accused])
            .sorted { $0.bytes.lexicographicallyPrecedes($1.bytes) }
        for peer in others { tell(.proof(notice), to: peer, now: now) }
    }

    /// Tells a peer something, on its own stream if it has one.
    mutating func tell(_ news: CallNews, to peer: PeerID, now: Instant) {
        if server.tell(news, to: peer) { return }
        guard !caller.responders.isBanned(peer, now: now) else { return }
        caller.tell(news, to: peer, now: now)
    }

    mutating func take(_ news: CallNews, from peer: PeerID, now: Instant) {
        // Who lies may still be told what is known of others, but is not listened to.
        if case .want(let hash, let offset) = news {
            return proofs.take(want: hash, offset: offset, from: peer, now: now)
        }
        guard !caller.responders.isBanned(peer, now: now) else { return }
        switch news {
        case .want: break
        case .proof(let notice):
            guard !caller.responders.isBannedForGood(notice.accused) else { return }
            proofs.take(notice, from: peer, now: now)
        case .part(let hash, let offset, let bytes):
            proofs.take(part: bytes, at: offset, of: hash, from: peer, now: now)
        case .receipts(let shown):
            guard receipts.mayTake(from: peer, now: now) else { return }
            book.hear(shown)
            show(to: peer, now: now)
        }
    }

    /// Shows a peer some receipts; in return it shows some, unless it has just done so.
    private mutating func show(to peer: PeerID, now: Instant) {
        let sample = book.sample(CallNews.maxReceipts, for: peer, random: &random)
        guard !sample.isEmpty else { return }
        tell(.receipts(sample), to: peer, now: now)
    }

    mutating func advanceNews(to now: Instant) {
        proofs.advance(to: now)
        guard receipts.isDue(at: now, hasNeighbours: !neighbours.isEmpty) else { return }
        let peers = neighbours.sorted { $0.bytes.lexicographicallyPrecedes($1.bytes) }
        show(to: peers[random.below(peers.count)], now: now)
    }
}
