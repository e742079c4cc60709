// The blocks of a DAG request in the order in which they are sent. Server and reader both walk, so
// that no CID has to be sent with a block.

public import IPLD
public import Multiformats
import Wire

/// Goes over the blocks on a path, then over those of a scope at its end.
public struct ScopeWalk: Sendable {
    /// What is to be done next.
    public enum Step: Sendable {
        /// This block is next.
        case block(CID)
        /// This block is needed once more, but is not sent again.
        case revisit(CID)
        case done
    }

    private let scope: DAGWalk.Scope
    /// While the path is being followed.
    private var path: PathResolver?
    /// Afterwards, until the end. (Both are changed where they are, because what is taken out of an
    /// enum is copied.)
    private var walk: DAGWalk?
    /// How many blocks have been passed.
    private(set) var count = 0

    /// A walk over the blocks of `dag`.
    public init(_ dag: WeftDAG) {
        scope = dag.scope
        path = PathResolver(root: dag.root, path: dag.path)
    }

    /// What is next. Blocks that are in their CIDs are dealt with here.
    public mutating func next() throws(DAGError) -> Step {
        while true {
            let cid: CID
            let step: Step
            switch path?.next() {
            case .block(let next)?: (cid, step) = (next, .block(next))
            case .resolved(let end)?:
                path = nil
                // The end may lie within the last block, which has been passed.
                if end.remaining.isEmpty {
                    walk = DAGWalk(
                        root: end.cid, scope: scope, repeats: .omitted, after: end.blocks)
                }
                continue
            case nil:
                switch walk?.next() {
                case .block(let next)?: (cid, step) = (next, .block(next))
                case .revisit(let next)?: (cid, step) = (next, .revisit(next))
                case .done?, nil:
                    walk = nil
                    return .done
                }
            }
            guard cid.hash.code == .identity else { return step }
            let inlined = cid.hash.digest
            try supply(inlined.rawSpan)
        }
    }

    /// Takes the block that ``next()`` named.
    public mutating func supply(_ bytes: RawSpan) throws(DAGError) {
        count += 1
        try path?.supply(bytes)
        if path == nil { try walk?.supply(bytes) }
    }

    /// Whether a block has come by, so that it does not come again.
    public func hasPassed(_ cid: CID) -> Bool { walk?.hasPassed(cid) ?? false }

    /// The next blocks, as far as they are known, `count` at the most.
    public func upcoming(_ count: Int) -> [CID] {
        walk?.upcoming(count) ?? []
    }
}
