// The peers of the mesh as one provider of a retrieval. A stream of a DAG is walked here. One peer
// may send all of it in one request; otherwise, what will be next is asked for ahead of its turn,
// in that order. Which of the peers brings what is decided by the mesh (Core's WantTable).

import BlockStore
import Exchange
import IPLD
import Multiformats
import NIOCore
import NodeCore

/// The peers of the mesh as one provider of a retrieval.
struct PeerSource: Sendable {
    let session: MeshSession
    /// How many bytes may be asked for, or have come, ahead of their turn.
    let lookAhead: Int
    /// The bytes of a block that need not be asked for, because it is here.
    let stored: @Sendable (Multihash) async throws -> ByteBuffer?
    /// Which blocks need not be asked for, because they are here.
    let present: @Sendable ([Multihash]) async throws -> Set<Multihash>

    /// How many bytes of nodes a stream keeps for walks that come by them again.
    private static let keptBytes = 4 << 20
    /// How many of the blocks below a node are looked up to find out whether they are here.
    private static let sample = 16

    /// Asks for one block, before all others.
    func block(_ cid: CID) async throws -> Block {
        session.claim([NodeCore.Want(cid, at: 0, size: nil)])
        return try await session.redeem(cid)
    }

    /// Asks for a part of a DAG.
    ///
    /// - Throws: ``Fault``, `missing` for the first block that nobody brings.
    func stream(_ scope: RetrievalScope, events: BlockProvider.Events) async throws {
        let dag = WeftDAG(scope)
        var walk = ScopeWalk(dag)
        // Of what has begun to come before, the rest is asked for block by block.
        var whole = WholeIntake(session)
        defer { whole.leave() }
        if try await stored(scope.root.hash) == nil { whole.begin(dag, maxRoom: lookAhead) }
        var ahead = LookAhead(session, from: scope, capacity: lookAhead)
        defer { ahead.release() }
        var kept: [Multihash: ByteBuffer] = [:]
        var keptBytes = 0
        var arrivals = Arrivals()
        // Whether the walk has found what it did not know of, and whether it knows of more than
        // has been asked for.
        var isNews = true
        var knowsMore = true
        do {
            while true {
                switch try walk.next() {
                case .done: return try await handOn(&arrivals, events)
                case .revisit(let cid):
                    try await handOn(&arrivals, events)
                    var bytes = kept[cid.hash]
                    if bytes == nil { bytes = try await stored(cid.hash) }
                    if bytes == nil { bytes = try await block(cid).bytes }
                    if let bytes { try walk.supply(bytes.readableBytesSpan) }
                case .block(let cid):
                    let block: Block
                    if let next = try await take(cid, &whole, &arrivals, events) {
                        block = next
                    } else {
                        if !ahead.isClaimed(cid) {
                            try await handOn(&arrivals, events)
                            if let bytes = try await stored(cid.hash) {
                                try walk.supply(bytes.readableBytesSpan)
                                isNews = true
                                continue
                            }
                        }
                        if isNews || !ahead.isClaimed(cid) || knowsMore && ahead.isLow {
                            try await handOn(&arrivals, events)
                            knowsMore = try await extend(
                                &ahead, by: [cid] + walk.upcoming(LookAhead.reach))
                        }
                        block = try await redeem(cid, &ahead, &arrivals, events)
                    }
                    let anatomy = BlockAnatomy(block)
                    if whole.isComing, !anatomy.links.isEmpty,
                        try await isHere(anatomy.links, besides: walk, whole)
                    {
                        whole.stop()
                    }
                    isNews = !anatomy.links.isEmpty
                    ahead.learn(anatomy)
                    let bytes = block.bytes
                    try walk.supply(bytes.readableBytesSpan)
                    if isNews, keptBytes + bytes.readableBytes <= Self.keptBytes {
                        keptBytes += bytes.readableBytes
                        kept[cid.hash] = ByteBuffer(bytes: bytes.readableBytesView)
                    }
                    arrivals.append(block, anatomy)
                    if arrivals.isFull { try await handOn(&arrivals, events) }
                }
            }
        } catch let error as DAGError {
            try await handOn(&arrivals, events)
            // Its bytes are right, so that everybody has the same.
            throw Fault.unsupported("the content cannot be followed: \(error)")
        }
    }

    /// Takes the next block of what comes in one request; nil if that does not bring it.
    private func take(
        _ cid: CID, _ whole: inout WholeIntake, _ arrivals: inout Arrivals,
        _ events: BlockProvider.Events
    ) async throws -> Block? {
        guard whole.isComing else { return nil }
        if let block = whole.takeAtOnce(cid) { return block }
        try await handOn(&arrivals, events)
        return try await whole.take(cid)
    }

    /// Whether some of these blocks have been here before, so that it is better to ask for the
    /// others alone. A few are looked up, because what a node links to is mostly here or not here
    /// together.
    private func isHere(
        _ links: [CID], besides walk: ScopeWalk, _ whole: WholeIntake
    ) async throws -> Bool {
        let step = max(1, links.count / Self.sample)
        let some = stride(from: 0, to: links.count, by: step).map { links[$0] }
            .filter { !walk.hasPassed($0) }
        let here = try await present(some.map { $0.hash })
        return !whole.others(among: here).isEmpty
    }

    /// Takes the next block. Nothing that came before waits for it.
    private func redeem(
        _ cid: CID, _ ahead: inout LookAhead, _ arrivals: inout Arrivals,
        _ events: BlockProvider.Events
    ) async throws -> Block {
        if let block = ahead.redeemAtOnce(cid) { return block }
        try await handOn(&arrivals, events)
        return try await ahead.redeem(cid)
    }

    private func handOn(
        _ arrivals: inout Arrivals, _ events: BlockProvider.Events
    ) async throws {
        guard !arrivals.isEmpty else { return }
        guard await events.blocks(arrivals.take()) else { throw Fault.cancelled }
    }

    /// Asks for the first of these blocks and, as far as there is room, for those of the others
    /// that are not here. Answers whether there may be more of them.
    private func extend(_ ahead: inout LookAhead, by cids: [CID]) async throws -> Bool {
        ahead.extend(Array(cids.prefix(1)))
        let cids = ahead.unfold(cids)
        var wanted: [CID] = []
        var new: [Multihash] = []
        var knowsMore = cids.count > LookAhead.reach
        for cid in cids where cid.hash.code != .identity && !ahead.isPresent(cid) {
            if !ahead.isClaimed(cid) {
                guard ahead.hasRoom(for: new.count) else {
                    knowsMore = true
                    break
                }
                new.append(cid.hash)
            }
            wanted.append(cid)
        }
        let found = new.isEmpty ? [] : try await present(new)
        if !found.isEmpty {
            for cid in wanted where found.contains(cid.hash) { ahead.note(present: cid) }
            wanted.removeAll { found.contains($0.hash) }
        }
        ahead.extend(wanted)
        return knowsMore || !wanted.allSatisfy(ahead.isClaimed)
    }
}

extension WeftDAG {
    /// The same in the terms of the exchange.
    init(_ scope: RetrievalScope) {
        let extent: DAGWalk.Scope =
            switch scope.extent {
            case .block: .block
            case .entity(let bytes):
                .entity(bytes.map { EntityBytes(from: $0.from, to: $0.through) })
            case .all: .all
            }
        self.init(root: scope.root, path: scope.path, scope: extent)
    }
}
