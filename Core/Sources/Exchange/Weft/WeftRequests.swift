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
        /// The next block of a request, checked.
        case block(request: UInt64, ReceivedBlock)
        /// A block that was listed does not come.
        case missing(request: UInt64, CID)
        /// Nothing more comes. The blocks of a list that did not come have been named as missing;
        /// a DAG is whole only with ``Completeness/whole``.
        case ended(request: UInt64, WeftStatus, Completeness)
    }

    /// Whether everything came that belongs to a request.
    public enum Completeness: Sendable { case whole, partial }

    private enum Goal {
        case list([CID], next: Int)
        case dag(ScopeWalk)
        /// Nothing is expected any more but its end.
        case abandoned
    }

    private struct Request {
        var goal: Goal
        /// How many bytes the other side may still send.
        var credit: UInt64
        /// Nodes that may be needed once more, by hash.
        var kept: [Multihash: [UInt8]] = [:]
        var keptBytes = 0
    }

    /// How many bytes of nodes are kept for walks that come by them again.
    private static let keptMax = 4 << 20

    private var requests: [UInt64: Request] = [:]

    /// A stream on which nothing has been asked.
    public init() {}

    /// How many requests are open.
    public var count: Int { requests.count }

    /// How many bytes the other side may still send for a request.
    public func credit(of id: UInt64) -> UInt64 { requests[id]?.credit ?? 0 }

    /// Notes a command that is being sent on the stream.
    public mutating func note(_ command: WeftCommand) {
        switch command {
        case .list(let id, let credit, let cids):
            precondition(requests[id] == nil, "a request's number is used once")
            requests[id] = Request(goal: .list(cids, next: 0), credit: credit)
        case .dag(let id, let credit, let dag):
            precondition(requests[id] == nil, "a request's number is used once")
            requests[id] = Request(goal: .dag(ScopeWalk(dag)), credit: credit)
        case .credit(let id, let bytes): requests[id]?.credit += bytes
        // What was taken back still comes, or is named as missing.
        case .cancel, .cancelItems: break
        }
    }

    // MARK: Answers

    /// Takes in a frame. What it throws costs the other side the stream: `mismatch` if a block is
    /// not what was asked for.
    public mutating func receive(_ frame: [UInt8]) throws(DecodeError) -> [Outcome] {
        var outcomes: [Outcome] = []
        for part in try WeftPart.decode(frame.rawSpan) {
            switch part {
            case .block(let id, let range):
                try take(frame, range, of: id, into: &outcomes)
            case .missing(let id, let count): try skip(count, of: id, into: &outcomes)
            case .end(let id, let status): try end(id, status, into: &outcomes)
            }
        }
        return outcomes
    }

    private mutating func take(
        _ frame: [UInt8], _ range: Range<Int>, of id: UInt64, into outcomes: inout [Outcome]
    ) throws(DecodeError) {
        guard var request = requests.removeValue(forKey: id) else {
            throw DecodeError(.malformed, "exchange: a block that nobody asked for")
        }
        defer { requests[id] = request }
        guard request.credit > 0 || range.isEmpty else {
            throw DecodeError(.overLimit, "exchange: more was sent than allowed")
        }
        request.credit -= min(request.credit, UInt64(range.count))
        switch request.goal {
        case .abandoned: break
        case .list(let cids, let next):
            guard next < cids.count else {
                throw DecodeError(.malformed, "exchange: more blocks than were asked for")
            }
            let block = try ReceivedBlock(verifying: frame[range], as: cids[next])
            request.goal = .list(cids, next: next + 1)
            outcomes.append(.block(request: id, block))
        case .dag(var walk):
            request.goal = .abandoned
            guard let expected = Self.expected(&walk, request.kept) else { return }
            guard case .block(let cid) = expected else {
                throw DecodeError(.malformed, "exchange: more blocks than were asked for")
            }
            let block = try ReceivedBlock(verifying: frame[range], as: cid)
            outcomes.append(.block(request: id, block))
            do throws(DAGError) {
                try walk.supply(block.bytes.rawSpan)
            } catch {
                // What it leads to is not known; whatever comes yet is not used.
                return
            }
            request.goal = .dag(walk)
            if cid.codec != .raw, request.keptBytes + range.count <= Self.keptMax {
                request.kept[cid.hash] = [UInt8](block.bytes)
                request.keptBytes += range.count
            }
        }
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

    private mutating func skip(
        _ count: Int, of id: UInt64, into outcomes: inout [Outcome]
    ) throws(DecodeError) {
        guard case .list(let cids, let next) = requests[id]?.goal, count <= cids.count - next
        else {
            throw DecodeError(.malformed, "exchange: more is missing than was asked for")
        }
        for cid in cids[next..<(next + count)] {
            outcomes.append(.missing(request: id, cid))
        }
        requests[id]?.goal = .list(cids, next: next + count)
    }

    private mutating func end(
        _ id: UInt64, _ status: WeftStatus, into outcomes: inout [Outcome]
    ) throws(DecodeError) {
        guard let request = requests.removeValue(forKey: id) else {
            throw DecodeError(.malformed, "exchange: the end of nothing")
        }
        var completeness = Completeness.partial
        switch request.goal {
        case .list(let cids, let next):
            for cid in cids[next...] { outcomes.append(.missing(request: id, cid)) }
            if next == cids.count { completeness = .whole }
        case .dag(var walk):
            if status == .complete, case .nothing = Self.expected(&walk, request.kept) {
                completeness = .whole
            }
        case .abandoned: break
        }
        outcomes.append(.ended(request: id, status, completeness))
    }
}
