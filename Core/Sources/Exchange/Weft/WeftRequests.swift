// The reader's side of one stream of `/weft/exchange/1` (docs/exchange.md): requests, the check of
// each block that comes, and credit.

public import IPLD
public import Multiformats
public import Wire

/// What has been asked for on one stream, and what has come of it.
///
/// Every block is hashed here and compared with the CID that is next, so that this belongs on the
/// connection's event loop. It holds no block, except the few nodes of a range's edges.
public struct WeftRequests: Sendable {
    /// What came.
    public enum Outcome: Sendable {
        /// The next blocks of a request, checked.
        case blocks(request: UInt64, [ReceivedBlock])
        /// A block that was listed does not come.
        case missing(request: UInt64, CID)
        /// A block that was asked about is there.
        case present(request: UInt64, CID)
        /// Nothing more comes. The blocks of a list that did not come have been named as missing;
        /// a DAG is whole only with ``Completeness/whole``.
        case ended(request: UInt64, WeftStatus, Completeness)
    }

    /// Whether everything came that belongs to a request.
    public enum Completeness: Sendable { case whole, partial }

    private enum Goal {
        case list([CID], next: Int)
        case presence([CID], next: Int)
        case dag(ScopeWalk)
        /// Nothing is expected any more but its end.
        case abandoned
    }

    private struct Request {
        var goal: Goal
        /// How many bytes the other side may still send. Below zero, its last block was longer
        /// than what was left: it knew of no more when it sent it, whatever was granted meanwhile.
        var credit: Int64
        /// Nodes that may be needed once more, by hash.
        var kept = [Multihash: [UInt8]]()
        var keptBytes = 0
    }

    /// How many bytes of nodes are kept for walks that come by them again.
    private static let keptMax = 4 << 20

    private var requests = [UInt64: Request]()

    /// A stream on which nothing has been asked.
    public init() {}

    /// How many requests are open.
    public var count: Int { requests.count }

    /// How many bytes the other side may still send for a request.
    public func credit(of id: UInt64) -> Int64 { requests[id]?.credit ?? 0 }

    /// Notes a command that is being sent on the stream.
    public mutating func note(_ command: WeftCommand) {
        switch command {
        case .list(let id, let credit, let cids):
            precondition(requests[id] == nil, "a request's number is used once")
            requests[id] = Request(goal: .list(cids, next: 0), credit: Int64(clamping: credit))
        case .presence(let id, let cids):
            precondition(requests[id] == nil, "a request's number is used once")
            requests[id] = Request(goal: .presence(cids, next: 0), credit: 0)
        case .dag(let id, let credit, let dag):
            precondition(requests[id] == nil, "a request's number is used once")
            requests[id] = Request(goal: .dag(ScopeWalk(dag)), credit: Int64(clamping: credit))
        case .credit(let id, let bytes): requests[id]?.credit += Int64(clamping: bytes)
        // What was taken back still comes, or is named as missing.
        case .cancel, .cancelItems: break
        }
    }

    // MARK: Answers

    /// Takes in a frame. What it throws costs the other side the stream: `mismatch` if a block is
    /// not what was asked for. Blocks whose digests the caller knows are not hashed.
    public mutating func receive(
        _ frame: [UInt8], digests: [BlockDigest] = []
    ) throws(DecodeError) -> [Outcome] {
        var outcomes: [Outcome] = []
        for part in try WeftPart.decode(frame.rawSpan) {
            switch part {
            case .blocks(let id, let ranges):
                guard var request = requests.removeValue(forKey: id) else {
                    throw DecodeError(.malformed, "exchange: a block that nobody asked for")
                }
                let blocks = try Self.take(frame, ranges, digests, of: &request)
                requests[id] = request
                if !blocks.isEmpty { outcomes.append(.blocks(request: id, blocks)) }
            case .missing(let id, let count): try skip(count, of: id, into: &outcomes)
            case .present(let id, let count): try note(count, presentOf: id, into: &outcomes)
            case .end(let id, let status): try end(id, status, into: &outcomes)
            }
        }
        return outcomes
    }

    /// The next blocks of a request. What it is for is taken out of it meanwhile, so that nothing
    /// is copied for each of them.
    private static func take(
        _ frame: [UInt8], _ ranges: [Range<Int>], _ digests: [BlockDigest],
        of request: inout Request
    ) throws(DecodeError) -> [ReceivedBlock] {
        var blocks: [ReceivedBlock] = []
        blocks.reserveCapacity(ranges.count)
        let goal = request.goal
        request.goal = .abandoned
        switch goal {
        case .abandoned: for range in ranges { try charge(range, to: &request) }
        case .presence:
            throw DecodeError(.malformed, "exchange: a block that was only asked about")
        case .list(let cids, var next):
            for range in ranges {
                try charge(range, to: &request)
                guard next < cids.count else {
                    throw DecodeError(.malformed, "exchange: more blocks than were asked for")
                }
                blocks.append(
                    try ReceivedBlock(
                        verifying: frame[range], as: cids[next], sha2_256: digests.of(range)))
                next += 1
            }
            request.goal = .list(cids, next: next)
        case .dag(var walk):
            if try take(frame, ranges, digests, &walk, of: &request, into: &blocks) {
                request.goal = .dag(walk)
            }
        }
        return blocks
    }

    private static func charge(
        _ range: Range<Int>, to request: inout Request
    ) throws(DecodeError) {
        guard request.credit > 0 || range.isEmpty else {
            throw DecodeError(.overLimit, "exchange: more was sent than allowed")
        }
        request.credit -= Int64(range.count)
    }

    /// The next blocks of a DAG. False if it cannot be told what follows. Pages ask for lists of
    /// blocks alone, and this is not in what they load at first.
    @inline(never)
    private static func take(
        _ frame: [UInt8], _ ranges: [Range<Int>], _ digests: [BlockDigest],
        _ walk: inout ScopeWalk, of request: inout Request, into blocks: inout [ReceivedBlock]
    ) throws(DecodeError) -> Bool {
        for (index, range) in ranges.enumerated() {
            try charge(range, to: &request)
            guard try take(frame, range, digests, &walk, &request, into: &blocks) else {
                // What it leads to is not known; whatever comes yet is not used.
                for rest in ranges[(index + 1)...] { try charge(rest, to: &request) }
                return false
            }
        }
        return true
    }

    /// The next block of a DAG. False if it cannot be told what follows.
    private static func take(
        _ frame: [UInt8], _ range: Range<Int>, _ digests: [BlockDigest],
        _ walk: inout ScopeWalk, _ request: inout Request, into blocks: inout [ReceivedBlock]
    ) throws(DecodeError) -> Bool {
        guard let expected = expected(&walk, request.kept) else { return false }
        guard case .block(let cid) = expected else {
            throw DecodeError(.malformed, "exchange: more blocks than were asked for")
        }
        let block = try ReceivedBlock(
            verifying: frame[range], as: cid, sha2_256: digests.of(range))
        blocks.append(block)
        do throws(DAGError) {
            try walk.supply(block.bytes.rawSpan)
        } catch {
            return false
        }
        if cid.codec != .raw, request.keptBytes + range.count <= keptMax {
            request.kept[cid.hash] = [UInt8](block.bytes)
            request.keptBytes += range.count
        }
        return true
    }

    private enum Expected {
        case block(CID)
        case nothing
    }

    /// What comes next, after blocks that have come before are walked through again; nil if that
    /// cannot be known.
    private static func expected(
        _ walk: inout ScopeWalk, _ kept: [Multihash: [UInt8]]
    ) -> Expected? {
        do throws(DAGError) {
            while true {
                switch try walk.next() {
                case .block(let cid): return .block(cid)
                case .done: return .nothing
                case .revisit(let cid):
                    guard let bytes = kept[cid.hash] else { return nil }
                    try walk.supply(bytes.rawSpan)
                }
            }
        } catch {
            return nil
        }
    }

    /// Whether nothing more comes of a DAG.
    @inline(never)
    private static func isOver(_ walk: ScopeWalk, _ kept: [Multihash: [UInt8]]) -> Bool {
        var walk = walk
        guard case .nothing = expected(&walk, kept) else { return false }
        return true
    }

    private mutating func skip(
        _ count: Int, of id: UInt64, into outcomes: inout [Outcome]
    ) throws(DecodeError) {
        let skipped: ArraySlice<CID>
        switch requests[id]?.goal {
        case .list(let cids, let next) where count <= cids.count - next:
            skipped = cids[next..<(next + count)]
            requests[id]?.goal = .list(cids, next: next + count)
        case .presence(let cids, let next) where count <= cids.count - next:
            skipped = cids[next..<(next + count)]
            requests[id]?.goal = .presence(cids, next: next + count)
        default: throw DecodeError(.malformed, "exchange: more is missing than was asked for")
        }
        for cid in skipped { outcomes.append(.missing(request: id, cid)) }
    }

    private mutating func note(
        _ count: Int, presentOf id: UInt64, into outcomes: inout [Outcome]
    ) throws(DecodeError) {
        guard case .presence(let cids, let next) = requests[id]?.goal, count <= cids.count - next
        else {
            throw DecodeError(.malformed, "exchange: more is there than was asked about")
        }
        for cid in cids[next..<(next + count)] {
            outcomes.append(.present(request: id, cid))
        }
        requests[id]?.goal = .presence(cids, next: next + count)
    }

    private mutating func end(
        _ id: UInt64, _ status: WeftStatus, into outcomes: inout [Outcome]
    ) throws(DecodeError) {
        guard let request = requests.removeValue(forKey: id) else {
            throw DecodeError(.malformed, "exchange: the end of nothing")
        }
        var completeness = Completeness.partial
        switch request.goal {
        case .list(let cids, let next), .presence(let cids, let next):
            for cid in cids[next...] { outcomes.append(.missing(request: id, cid)) }
            if next == cids.count { completeness = .whole }
        case .dag(let walk):
            if status == .complete, Self.isOver(walk, request.kept) { completeness = .whole }
        case .abandoned: break
        }
        outcomes.append(.ended(request: id, status, completeness))
    }
}
