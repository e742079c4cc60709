// The blocks of a DAG in depth-first order: what a CAR of some scope holds
// (specs.ipfs.tech/http-gateways/trustless-gateway), what a pin covers, what a check visits.

public import Multiformats
import Wire

/// Goes over the blocks of a DAG, parents before children, children in the order of their links.
///
/// What the walk keeps are links, bounded by ``DAGLimits``, and, if repeats are left out, 32 bytes
/// or so for each block that was passed: some 40 MB for a million blocks. If repeats are kept, a
/// hostile DAG can make the walk as long as it likes; the caller bounds what it gives out.
public struct DAGWalk: Sendable {
    /// How much of a DAG is meant.
    public enum Scope: Hashable, Sendable {
        /// The root alone.
        case block
        /// What it takes to read a file, or these bytes of it; to list a directory; or the root
        /// alone if it is neither. Bytes that do not exist are as ``block``.
        case entity(EntityBytes?)
        /// Everything below the root.
        case all
    }

    /// What happens to a block that is linked to more than once.
    public enum Repeats: Hashable, Sendable {
        /// It comes once.
        case omitted
        /// It comes every time, with what is below it.
        case kept
    }

    /// What is to be done next.
    public enum Step: Hashable, Sendable {
        /// Supply this block: it is part of the result.
        case block(CID)
        /// Supply this block to find what is below it, but it is no part of the result: it was
        /// given out before.
        case revisit(CID)
        /// There are no more blocks.
        case done
    }

    private enum Pending: Sendable {
        case root(CID)
        case node(CID, depth: Int)
        case part(FilePart.Pending)
        case shard(CID, HAMTShard.Place)

        var cid: CID {
            switch self {
            case .root(let cid), .node(let cid, _), .shard(let cid, _): cid
            case .part(let part): part.cid
            }
        }
    }

    private let scope: Scope
    private let repeats: Repeats
    /// The bytes of a file that are wanted, once its size is known.
    private var range: Range<UInt64> = 0..<UInt64.max
    /// The blocks still to be visited, the next one last.
    private var pending: [Pending]
    private var passed = PassedBlocks()

    /// Starts at a root. `path` are the blocks that were read on the way to it and given out
    /// already (see ``PathResolver``); they do not come again if repeats are omitted, and the root
    /// does not if it is the last of them.
    public init(root: CID, scope: Scope, repeats: Repeats, after path: [CID] = []) {
        self.scope = scope
        self.repeats = repeats
        pending = [.root(root)]
        if repeats == .omitted {
            for cid in path { passed.note(cid, .given) }
        } else if let last = path.last, last == root {
            passed.note(root, .given)
        }
    }

    /// What is to be done next. Asks for the same block until it is supplied.
    public mutating func next() -> Step {
        while let item = pending.last {
            switch passed.state(of: item.cid) {
            case .done where repeats == .omitted: pending.removeLast()
            case .given: return .revisit(item.cid)
            default: return .block(item.cid)
            }
        }
        return .done
    }

    /// Whether a block has been supplied, or was on the way to the root; nothing is known of that
    /// if repeats are kept.
    public func hasPassed(_ cid: CID) -> Bool { passed.state(of: cid) != nil }

    /// The next blocks that will be asked for, as far as they are known, at most `count`. Some may
    /// be left out when their turn comes.
    public func upcoming(_ count: Int) -> [CID] {
        pending.suffix(max(0, count)).reversed().map { $0.cid }
    }

    /// Takes the block that ``next()`` asked for. The bytes must have been checked against the CID.
    public mutating func supply(_ block: RawSpan) throws(DAGError) {
        guard let item = pending.last else { preconditionFailure("no block was asked for") }
        if case .node(let cid, _) = item, cid.codec == .raw, repeats == .omitted {
            // Most blocks are leaves.
            pending.removeLast()
            passed.note(cid, .done)
            return
        }
        let below = try below(item, block)
        pending.removeLast()
        switch (repeats, item) {
        case (.kept, _): passed.forget(item.cid)
        case (.omitted, .part(let part)) where !part.isWithin(range): passed.note(part.cid, .given)
        case (.omitted, .root) where range != 0..<UInt64.max: passed.note(item.cid, .given)
        case (.omitted, _): passed.note(item.cid, .done)
        }
        pending.append(contentsOf: below)
    }

    /// What is to be visited below a block, the first one last.
    private mutating func below(_ item: Pending, _ block: RawSpan) throws(DAGError) -> [Pending] {
        switch (item, scope) {
        case (.root, .block): return []
        case (.root(let cid), .all): return try children(of: cid, block, depth: 0)
        case (.node(let cid, let depth), _): return try children(of: cid, block, depth: depth)
        case (.root(let cid), .entity(let bytes)):
            return try entity(cid, block, bytes: bytes)
        case (.part(let part), _): return try parts(below: part, block)
        case (.shard(let cid, let place), _):
            let decoded = try HAMTShard.decode(block, of: cid)
            return try shards(in: decoded, block, of: cid, at: place)
        }
    }

    private func children(
        of cid: CID, _ block: RawSpan, depth: Int
    ) throws(DAGError) -> [Pending] {
        guard block.byteCount <= BlockLimits.maxBytes || cid.codec == .raw else {
            throw DAGError(cid, .overLimit, "the block is larger than 2 MiB")
        }
        let links = try DAGError.at(cid) { () throws(DecodeError) in
            try IPLDCodec.links(in: block, codec: cid.codec)
        }
        guard links.isEmpty || depth < DAGLimits.maxDepth else {
            throw DAGError(cid, .overLimit, "the DAG is too deep")
        }
        try checkPending(links.count, at: cid)
        return links.reversed().map { .node($0, depth: depth + 1) }
    }

    private mutating func entity(
        _ cid: CID, _ block: RawSpan, bytes: EntityBytes?
    ) throws(DAGError) -> [Pending] {
        // What is not UnixFS is an entity in one block.
        guard cid.codec == .dagPB, let decoded = try? UnixFSBlock(decoding: block) else {
            return []
        }
        switch decoded.node.kind {
        case .hamtShard: return try shards(in: decoded, block, of: cid, at: .root)
        case .file, .raw:
            let root = FilePart.Pending(cid: cid, depth: 0, start: 0, size: nil)
            let part = try FilePart(block, as: root)
            if let bytes {
                guard let wanted = bytes.range(in: part.size) else { return [] }
                range = wanted
            }
            return try part.below(root, in: range, waiting: pending.count).map { .part($0) }
        case .directory, .symlink, .metadata: return []
        }
    }

    private func parts(
        below item: FilePart.Pending, _ block: RawSpan
    ) throws(DAGError) -> [Pending] {
        let part = try FilePart(block, as: item)
        return try part.below(item, in: range, waiting: pending.count).map { .part($0) }
    }

    private func shards(
        in block: UnixFSBlock, _ bytes: RawSpan, of cid: CID, at place: HAMTShard.Place
    ) throws(DAGError) -> [Pending] {
        let shard = try HAMTShard.read(block, of: bytes, cid: cid, at: place)
        var found: [Pending] = []
        for (bucket, item) in shard.buckets.reversed() {
            if case .shard(let cid) = item {
                found.append(.shard(cid, shard.place(below: bucket)))
            }
        }
        try checkPending(found.count, at: cid)
        return found
    }

    private func checkPending(_ count: Int, at cid: CID) throws(DAGError) {
        guard pending.count + count <= DAGLimits.maxPendingLinks else {
            throw DAGError(cid, .overLimit, "the DAG has too many links")
        }
    }
}

extension FilePart.Pending {
    /// Whether all the content here is in `range`, so that everything below will be visited.
    fileprivate func isWithin(_ range: Range<UInt64>) -> Bool {
        guard let size else { return false }
        return start >= range.lowerBound && start + size <= range.upperBound
    }
}

/// Which blocks a walk has been at, by the first 128 bits of their hashes.
///
/// Two blocks that agree in 128 bits of a good hash cannot be found; if they could, one of them
/// would be left out, and nothing wrong given out.
private struct PassedBlocks: Sendable {
    enum State: Sendable {
        /// It was given out, but not everything below it.
        case given
        /// It was given out, and so is or will be all that is below it.
        case done
    }

    private struct Key: Hashable, Sendable {
        let first: UInt64
        let second: UInt64

        init(_ cid: CID) {
            let digest = cid.hash.digest
            var words: (UInt64, UInt64) = (0, 0)
            for index in 0..<min(8, digest.count) {
                words.0 = words.0 << 8 | UInt64(digest[index])
            }
            for index in min(8, digest.count)..<min(16, digest.count) {
                words.1 = words.1 << 8 | UInt64(digest[index])
            }
            first = words.0
            // The same bytes in another codec link to other blocks.
            second = words.1 ^ cid.codec.rawValue &* 0x9e37_79b9_7f4a_7c15
        }
    }

    private var done: Set<Key> = []
    /// Only the edges of a byte range and the blocks of a path, so there are few.
    private var given: Set<Key> = []

    func state(of cid: CID) -> State? {
        // An identity CID holds its block, and its first bytes say nothing about the others.
        if cid.hash.code == .identity { return nil }
        let key = Key(cid)
        if done.contains(key) { return .done }
        return !given.isEmpty && given.contains(key) ? .given : nil
    }

    mutating func note(_ cid: CID, _ state: State) {
        if cid.hash.code == .identity { return }
        switch state {
        case .done: done.insert(Key(cid))
        case .given: given.insert(Key(cid))
        }
    }

    mutating func forget(_ cid: CID) {
        given.remove(Key(cid))
    }
}
