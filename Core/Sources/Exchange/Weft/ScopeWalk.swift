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

    private enum Phase {
        case path(PathResolver)
        case scope(DAGWalk)
        case done
    }

    private let scope: DAGWalk.Scope
    private var phase: Phase
    /// How many blocks have been passed.
    private(set) var count = 0

    /// A walk over the blocks of `dag`.
    public init(_ dag: WeftDAG) {
        scope = dag.scope
        phase = .path(PathResolver(root: dag.root, path: dag.path))
    }

    /// What is next. Blocks that are in their CIDs are dealt with here.
    public mutating func next() throws(DAGError) -> Step {
        while true {
            let cid: CID
            let step: Step
            switch phase {
            case .done: return .done
            case .path(let resolver):
                switch resolver.next() {
                case .block(let next): (cid, step) = (next, .block(next))
                case .resolved(let end):
                    // The end may lie within the last block, which has been passed.
                    phase =
                        end.remaining.isEmpty
                        ? .scope(
                            DAGWalk(
                                root: end.cid, scope: scope, repeats: .omitted, after: end.blocks))
                        : .done
                    continue
                }
            case .scope(var walk):
                let next = walk.next()
                phase = .scope(walk)
                switch next {
                case .block(let next): (cid, step) = (next, .block(next))
                case .revisit(let next): (cid, step) = (next, .revisit(next))
                case .done:
                    phase = .done
                    continue
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
        switch phase {
        case .done: break
        case .path(var resolver):
            phase = .done
            defer { phase = .path(resolver) }
            try resolver.supply(bytes)
        case .scope(var walk):
            phase = .done
            defer { phase = .scope(walk) }
            try walk.supply(bytes)
        }
    }

    /// The next blocks, as far as they are known, `count` at the most.
    public func upcoming(_ count: Int) -> [CID] {
        switch phase {
        case .path, .done: []
        case .scope(let walk): walk.upcoming(count)
        }
    }
}
