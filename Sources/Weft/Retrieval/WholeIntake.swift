// A DAG that one peer sends in one request, taken block by block.

import BlockStore
import Exchange
import Multiformats

/// What comes of a DAG in one request, for the walk over it that asked for it.
struct WholeIntake {
    private let session: MeshSession
    private var part: ArraySlice<Block> = []
    private var hasBegun = false
    /// Whether the next block of the walk is the next one that comes.
    private(set) var isComing = false

    /// Nothing yet.
    init(_ session: MeshSession) {
        self.session = session
    }

    /// Asks for it; `maxRoom` is how many bytes may come ahead.
    mutating func begin(_ dag: WeftDAG, maxRoom: Int) {
        hasBegun = session.begin(dag, maxRoom: maxRoom)
        isComing = hasBegun
    }

    /// The next block, if it is there.
    mutating func takeAtOnce(_ cid: CID) -> Block? {
        while isComing {
            if let block = part.popFirst() { return check(block, cid) }
            guard let next = session.partAtOnce() else { return nil }
            part = next[...]
        }
        return nil
    }

    /// Waits for the next block; nil if nothing more comes.
    mutating func take(_ cid: CID) async throws -> Block? {
        while isComing {
            if let block = part.popFirst() { return check(block, cid) }
            guard let next = try await session.part() else {
                isComing = false
                return nil
            }
            part = next[...]
        }
        return nil
    }

    /// The machine walks as we do, so that this is the block. If it ever were not, what comes is of
    /// no use.
    private mutating func check(_ block: Block, _ cid: CID) -> Block? {
        guard block.cid.hash == cid.hash else {
            isComing = false
            session.leave()
            return nil
        }
        return block
    }

    /// Which of these blocks, which are here, did not come with it.
    func others(among hashes: Set<Multihash>) -> Set<Multihash> {
        var others = hashes
        for block in part where !others.isEmpty { others.remove(block.cid.hash) }
        if !others.isEmpty { session.removeComing(from: &others) }
        return others
    }

    /// Asks for no more. What is on its way still comes.
    func stop() {
        session.stop()
    }

    /// Reads no further.
    mutating func leave() {
        guard hasBegun else { return }
        hasBegun = false
        isComing = false
        session.leave()
    }
}
