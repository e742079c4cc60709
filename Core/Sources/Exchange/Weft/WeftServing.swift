// One request that is being served: what of it is known, and what is ready to be sent.

import IPLD
import Multiformats
import Wire

/// The server's side of one request.
struct WeftServing: Sendable {
    /// What is ready to be sent, in order.
    enum Item: Sendable {
        case block(CID, byteCount: Int)
        /// A block whose bytes had to be read to find what is below it.
        case bytes([UInt8])
        case missing(Int)
        case present(Int)

        var byteCount: Int {
            switch self {
            case .block(_, let count): count
            case .bytes(let bytes): bytes.count
            case .missing, .present: 0
            }
        }
    }

    /// What has to be found out before it goes on.
    enum Need: Sendable {
        case sizes([CID])
        case bytes(CID)
    }

    private enum Goal {
        case list([CID], next: Int)
        case dag(ScopeWalk)
        case done
    }

    /// How many items may be ready before no more is found out.
    private static let readyMax = 512
    /// How many bytes of nodes may be held.
    private static let heldMax = 1 << 20
    /// How many sizes are asked for at a time.
    private static let sizesPerNeed = 256
    /// How many blocks one DAG request brings at the most.
    static let maxBlocks = 1 << 16

    /// What is wanted of the blocks of a list.
    enum Use: Sendable { case blocks, presence }

    let id: UInt64
    /// How many bytes may be sent. Below zero, the last block was longer than what was left, and
    /// that much of what is granted next is used already.
    private(set) var credit: Int64
    private let use: Use
    private var goal: Goal
    private(set) var ready: [Item] = []
    private var taken = 0
    /// How many blocks of a list have been sent or named as missing.
    private var passed: UInt32 = 0
    /// The places in a list of what the reader took back.
    private var cancelled: Set<UInt32> = []
    private var heldBytes = 0
    /// Sizes that have been found out and not used, in the order of the walk; nil for a block that
    /// is not here.
    private var sizes: ArraySlice<(cid: CID, size: Int?)> = []
    /// Which blocks of a list are being looked up.
    private var asked: [Int] = []
    private var isWaiting = false
    /// How it ends, once everything before has been sent.
    private(set) var status: WeftStatus?

    /// A leaf's bytes do not matter to a walk, only how many there are.
    private static let leaf = [UInt8](repeating: 0, count: BlockLimits.maxBytes)

    init(id: UInt64, credit: UInt64, list: [CID], for use: Use = .blocks) {
        self.id = id
        self.credit = Self.bounded(credit)
        self.use = use
        goal = .list(list, next: 0)
    }

    init(id: UInt64, credit: UInt64, dag: WeftDAG) {
        self.id = id
        self.credit = Self.bounded(credit)
        use = .blocks
        goal = .dag(ScopeWalk(dag))
    }

    var isDAG: Bool { if case .dag = goal { true } else { false } }
    /// How many blocks its lists name.
    var listedCount: Int { if case .list(let cids, _) = goal { cids.count } else { 0 } }
    var readyCount: Int { ready.count - taken }
    /// Whether something can be sent now.
    var hasAnswers: Bool {
        if let item = next { return item.byteCount == 0 || credit > 0 }
        return status != nil
    }
    /// What is sent next.
    var next: Item? {
        guard taken < ready.count else { return nil }
        if case .block = ready[taken], cancelled.contains(passed) { return .missing(1) }
        return ready[taken]
    }

    /// Takes out what ``next`` names.
    mutating func removeNext() {
        guard let item = next else { return }
        credit -= Int64(item.byteCount)
        switch item {
        case .bytes(let bytes): heldBytes -= bytes.count
        case .block: passed += 1
        case .missing(let count), .present(let count): passed += UInt32(count)
        }
        taken += 1
        if taken == ready.count || taken > 64 {
            ready.removeFirst(taken)
            taken = 0
        }
    }

    /// The reader allows more bytes.
    mutating func grant(_ bytes: UInt64) {
        credit = min(credit + Self.bounded(bytes), Int64(WeftLimits.maxCredit))
    }

    private static func bounded(_ credit: UInt64) -> Int64 {
        Int64(min(credit, WeftLimits.maxCredit))
    }

    mutating func cancel() {
        ready = []
        taken = 0
        goal = .done
        status = .cancelled
    }

    mutating func cancel(items: [UInt32]) {
        guard case .list(let cids, _) = goal else { return }
        for item in items where item >= passed && item < cids.count { cancelled.insert(item) }
    }

    // MARK: Finding out

    /// Goes on as far as it can, and says what has to be found out for more.
    mutating func advance() -> Need? {
        guard !isWaiting, readyCount < Self.readyMax, heldBytes < Self.heldMax else { return nil }
        switch goal {
        case .done: return nil
        case .list: return advanceList()
        case .dag: return advanceDAG()
        }
    }

    private mutating func advanceList() -> Need? {
        guard case .list(let cids, let next) = goal else { return nil }
        guard next < cids.count else {
            status = .complete
            return nil
        }
        let end = min(cids.count, next + Self.sizesPerNeed)
        asked = (next..<end).filter { !cancelled.contains(UInt32($0)) }
        isWaiting = true
        return .sizes(asked.map { cids[$0] })
    }

    /// The sizes that ``advance()`` needed, in order.
    mutating func take(sizes found: [Int?], of cids: [CID]) {
        isWaiting = false
        switch goal {
        case .list(let all, let next):
            goal = .done
            let end = min(all.count, next + Self.sizesPerNeed)
            var place = 0
            for index in next..<end {
                // What was cancelled before it was asked for comes in between.
                let isAsked = place < asked.count && asked[place] == index
                let size = isAsked && place < found.count ? found[place] : nil
                if isAsked { place += 1 }
                if let size, size <= BlockLimits.maxBytes {
                    append(use == .blocks ? .block(all[index], byteCount: size) : .present(1))
                } else {
                    append(.missing(1))
                }
            }
            goal = .list(all, next: end)
        case .dag:
            sizes =
                cids.enumerated().map { place, cid in
                    (cid, place < found.count ? found[place] : nil)
                }[...]
        case .done: break
        }
    }

    private mutating func append(_ item: Item) {
        switch (item, taken < ready.count ? ready.last : nil) {
        case (.missing(let count), .missing(let before)?):
            ready[ready.count - 1] = .missing(before + count)
        case (.present(let count), .present(let before)?):
            ready[ready.count - 1] = .present(before + count)
        default: ready.append(item)
        }
    }

    private mutating func advanceDAG() -> Need? {
        guard case .dag(var walk) = goal else { return nil }
        goal = .done
        var need: Need?
        do throws(DAGError) {
            need = try advance(&walk)
        } catch {
            status = .invalid
            return nil
        }
        guard status == nil else { return nil }
        goal = .dag(walk)
        isWaiting = need != nil
        return need
    }

    private mutating func advance(_ walk: inout ScopeWalk) throws(DAGError) -> Need? {
        while readyCount < Self.readyMax, status == nil {
            guard walk.count < Self.maxBlocks else {
                status = .tooLarge
                return nil
            }
            switch try walk.next() {
            case .done: status = .complete
            case .revisit(let cid): return .bytes(cid)
            case .block(let cid):
                guard cid.codec == .raw else { return .bytes(cid) }
                // What the walk passes over is passed over here.
                while let other = sizes.first, other.cid != cid { sizes.removeFirst() }
                guard let known = sizes.popFirst() else {
                    // Those that follow are asked for with it, of which it is the first.
                    let following = walk.upcoming(Self.sizesPerNeed).dropFirst().filter {
                        $0.codec == .raw && $0.hash.code != .identity
                    }
                    return .sizes([cid] + following)
                }
                guard let size = known.size, size <= BlockLimits.maxBytes else {
                    status = .missing
                    return nil
                }
                let leaf = Self.leaf
                try walk.supply(leaf.rawSpan.extracting(..<size))
                ready.append(.block(cid, byteCount: size))
            }
        }
        return nil
    }

    /// The bytes that ``advance()`` needed; nil if the block is not here.
    mutating func take(bytes: [UInt8]?) {
        isWaiting = false
        guard case .dag(var walk) = goal else { return }
        goal = .done
        guard let bytes, bytes.count <= BlockLimits.maxBytes else {
            status = .missing
            return
        }
        do throws(DAGError) {
            // It is sent even if it leads nowhere: so the reader knows that it does not.
            if case .block = try walk.next() {
                ready.append(.bytes(bytes))
                heldBytes += bytes.count
            }
            try walk.supply(bytes.rawSpan)
        } catch {
            status = .invalid
            return
        }
        goal = .dag(walk)
    }
}
