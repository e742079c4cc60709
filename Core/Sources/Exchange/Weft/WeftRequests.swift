// The reader's side of one stream of `/weft/exchange/1` (docs/exchange.md): requests, the check of
// each block that comes, and credit.

import IPLD
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
        case block(request: UInt64, CID, ArraySlice<UInt8>)
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
    private var order: [UInt64] = []
    private var nextNumber: UInt64 = 0

    /// A stream on which nothing has been asked.
    public init() {}

    /// How many requests are open.
    public var count: Int { requests.count }

    // MARK: Asking

    /// Asks for listed blocks, at most ``WeftLimits/maxListed``; send the frame.
    public mutating func request(
        _ cids: [CID], credit: UInt64
    ) -> (id: UInt64, frame: [UInt8]) {
        precondition(!cids.isEmpty && cids.count <= WeftLimits.maxListed, "not a list")
        let id = admit(.list(cids, next: 0), credit)
        return (id, WeftCommand.list(id: id, credit: credit, cids).encoded)
    }

    /// Asks for a DAG or a part of one; send the frame.
    public mutating func request(_ dag: WeftDAG, credit: UInt64) -> (id: UInt64, frame: [UInt8]) {
        let id = admit(.dag(ScopeWalk(dag)), credit)
        return (id, WeftCommand.dag(id: id, credit: credit, dag).encoded)
    }

    private mutating func admit(_ goal: Goal, _ credit: UInt64) -> UInt64 {
        nextNumber += 1
        requests[nextNumber] = Request(goal: goal, credit: credit)
        order.append(nextNumber)
        return nextNumber
    }

    /// How many bytes the other side may still send for a request.
    public func credit(of id: UInt64) -> UInt64 { requests[id]?.credit ?? 0 }

    /// Allows more bytes; send the frame, if there is one.
    public mutating func grant(_ bytes: UInt64, to id: UInt64) -> [UInt8]? {
        guard requests[id] != nil, bytes > 0 else { return nil }
        requests[id]?.credit += bytes
        return WeftCommand.credit(id: id, bytes: bytes).encoded
    }

    /// Takes a request back; send the frame, if there is one. What is on its way still comes.
    public mutating func cancel(_ id: UInt64) -> [UInt8]? {
        requests[id] == nil ? nil : WeftCommand.cancel(id: id).encoded
    }

    /// Takes listed blocks back that have not come; send the frame, if there is one.
    public mutating func cancel(_ cids: Set<CID>, of id: UInt64) -> [UInt8]? {
        guard case .list(let listed, let next) = requests[id]?.goal else { return nil }
        let items = (next..<listed.count).filter { cids.contains(listed[$0]) }
        guard !items.isEmpty else { return nil }
        return WeftCommand.cancelItems(id: id, items.map { UInt32($0) }).encoded
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
        let bytes = frame.rawSpan.extracting(range)
        switch request.goal {
        case .abandoned: break
        case .list(let cids, let next):
            guard next < cids.count else {
                throw DecodeError(.malformed, "exchange: more blocks than were asked for")
            }
            try cids[next].hash.verify(bytes)
            request.goal = .list(cids, next: next + 1)
            outcomes.append(.block(request: id, cids[next], frame[range]))
        case .dag(var walk):
            request.goal = .abandoned
            guard let expected = Self.expected(&walk, request.kept) else { return }
            guard case .block(let cid) = expected else {
                throw DecodeError(.malformed, "exchange: more blocks than were asked for")
            }
            try cid.hash.verify(bytes)
            outcomes.append(.block(request: id, cid, frame[range]))
            do throws(DAGError) {
                try walk.supply(bytes)
            } catch {
                // What it leads to is not known; whatever comes yet is not used.
                return
            }
            request.goal = .dag(walk)
            if cid.codec != .raw, request.keptBytes + range.count <= Self.keptMax {
                request.kept[cid.hash] = [UInt8](bytes)
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
        order.removeAll { $0 == id }
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
