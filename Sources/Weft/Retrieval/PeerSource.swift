// The peers of the mesh as one provider of a retrieval. A stream of a DAG is walked here, and what
// will be next is asked for ahead of its turn, in that order; which of the peers brings what is
// decided by the mesh (Core's WantTable).

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

    /// How many bytes of nodes a stream keeps for walks that come by them again.
    private static let keptBytes = 4 << 20

    /// Asks for one block, before all others.
    func block(_ cid: CID) async throws -> Block {
        session.claim([NodeCore.Want(cid, at: 0, size: nil)])
        return try await session.redeem(cid)
    }

    /// Asks for a part of a DAG.
    ///
    /// - Throws: ``Fault``, `missing` for the first block that nobody brings.
    func stream(_ scope: RetrievalScope, events: BlockProvider.Events) async throws {
        var walk = ScopeWalk(WeftDAG(scope))
        var ahead = LookAhead(session, from: scope, capacity: lookAhead)
        defer { ahead.release() }
        var kept: [Multihash: ByteBuffer] = [:]
        var keptBytes = 0
        // Whether the walk has found what it did not know of.
        var isNews = true
        do {
            while true {
                switch try walk.next() {
                case .done: return
                case .revisit(let cid):
                    var bytes = kept[cid.hash]
                    if bytes == nil { bytes = try await stored(cid.hash) }
                    if bytes == nil { bytes = try await block(cid).bytes }
                    if let bytes { try walk.supply(bytes.readableBytesSpan) }
                case .block(let cid):
                    if !ahead.isClaimed(cid), let bytes = try await stored(cid.hash) {
                        try walk.supply(bytes.readableBytesSpan)
                        isNews = true
                        continue
                    }
                    if isNews || ahead.isLow {
                        try await extend(&ahead, by: [cid] + walk.upcoming(LookAhead.reach))
                    }
                    let block = try await ahead.redeem(cid)
                    let anatomy = BlockAnatomy(block)
                    isNews = !anatomy.links.isEmpty
                    ahead.learn(anatomy)
                    try walk.supply(block.bytes.readableBytesSpan)
                    if isNews, keptBytes + block.bytes.readableBytes <= Self.keptBytes {
                        keptBytes += block.bytes.readableBytes
                        kept[cid.hash] = block.bytes
                    }
                    guard await events.block(block, anatomy) else { throw Fault.cancelled }
                }
            }
        } catch let error as DAGError {
            // Its bytes are right, so that everybody has the same.
            throw Fault.unsupported("the content cannot be followed: \(error)")
        }
    }

    /// Asks for the first of these blocks and, as far as there is room, for those of the others
    /// that are not here.
    private func extend(_ ahead: inout LookAhead, by cids: [CID]) async throws {
        ahead.extend(Array(cids.prefix(1)))
        var wanted: [CID] = []
        var newCount = 0
        for cid in cids where cid.hash.code != .identity && !ahead.isPresent(cid) {
            if !ahead.isClaimed(cid) {
                guard ahead.hasRoom(for: newCount) else { break }
                guard try await stored(cid.hash) == nil else {
                    ahead.note(present: cid)
                    continue
                }
                newCount += 1
            }
            wanted.append(cid)
        }
        ahead.extend(wanted)
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
