import Multiformats

/// The search for the peers nearest to a place: ask the nearest ones known for nearer ones, until
/// the β nearest have answered.
///
/// With several paths, every peer belongs to the path that heard of it first and is asked by no
/// other, so that liars on one path cannot lead all of them astray (S/Kademlia).
struct Lookup: Sendable {
    enum State: UInt8, Sendable {
        case heard
        case asked
        /// Asked, and waited for no longer.
        case late
        case answered
        case failed

        /// Whether nobody counts on its answer.
        var isGivenUp: Bool { self == .failed || self == .late }
    }

    struct Candidate: Sendable {
        let distance: KadID
        let peer: PeerID
        let path: UInt8
        /// How many peers lie on the way to this one, itself included.
        let hops: UInt8
        var state: State = .heard
        /// Who named it.
        var tellers: Tellers.Names
        /// Whose allowance it takes while it is asked.
        var charged: Tellers.Names = 0
    }

    /// How many peers are remembered. The farthest ones that have not been asked are dropped.
    static let maxCandidates = 256
    /// How many peers one answer can add.
    static let maxReferrals = 20

    let target: KadID
    private let paths: Int
    /// The nearest first.
    private(set) var candidates: [Candidate] = []
    private var tellers = Tellers()
    private(set) var answeredCount = 0
    private(set) var askedCount = 0
    private(set) var waitingCount = 0

    init(target: KadID, paths: Int, seeds: [(id: KadID, peer: PeerID)]) {
        self.target = target
        self.paths = max(1, min(paths, seeds.count))
        for (index, seed) in seeds.enumerated() {
            add(
                seed.peer, seed.id, path: UInt8(index % self.paths), hops: 1,
                teller: Tellers.trusted)
        }
    }

    /// The next peer to ask now; it counts as asked. nil if enough are being asked, or the search
    /// is over.
    mutating func next() -> PeerID? {
        if let next = nextCredible() { return next }
        // Nobody else is left, such as after most of a network has gone.
        guard waitingCount == 0, answeredCount < Kad.beta, candidates.contains(where: isDoubted)
        else { return nil }
        tellers.forgive()
        return nextCredible()
    }

    private mutating func nextCredible() -> PeerID? {
        for path in 0..<UInt8(paths) {
            let limit = (Kad.alpha + paths - 1) / paths
            var waiting = 0
            var settled = 0
            var isSettled = true
            var first: Int?
            for index in candidates.indices where candidates[index].path == path {
                switch candidates[index].state {
                case .failed, .late: continue
                case .heard:
                    guard !isDoubted(candidates[index]) else { continue }
                    if first == nil, tellers.allows(candidates[index].tellers) { first = index }
                case .asked: waiting += 1
                case .answered: break
                }
                guard settled < Kad.beta else { continue }
                settled += 1
                if candidates[index].state != .answered { isSettled = false }
            }
            guard !isSettled, waiting < limit, let first else { continue }
            markAsked(first)
            return candidates[first].peer
        }
        return nil
    }

    /// Whether nobody needs to be asked any more to know the nearest peers.
    var isConverged: Bool {
        (0..<UInt8(paths)).allSatisfy { path in
            let nearest = candidates.lazy.filter { candidate in
                candidate.path == path && !candidate.state.isGivenUp && !isDoubted(candidate)
            }
            return nearest.prefix(Kad.beta).allSatisfy { $0.state == .answered }
        }
    }

    /// Whether nobody who is believed named a peer that has not been asked.
    private func isDoubted(_ candidate: Candidate) -> Bool {
        candidate.state == .heard && !tellers.believes(candidate.tellers)
    }

    /// Those of the nearest `count` peers that nobody has asked yet and that may be asked now; they
    /// count as asked.
    mutating func askRest(of count: Int) -> [PeerID] {
        var peers: [PeerID] = []
        var seen = 0
        for index in candidates.indices
        where !candidates[index].state.isGivenUp && !isDoubted(candidates[index]) {
            guard seen < count else { break }
            seen += 1
            guard candidates[index].state == .heard, tellers.allows(candidates[index].tellers)
            else { continue }
            markAsked(index)
            peers.append(candidates[index].peer)
        }
        return peers
    }

    /// A peer that was asked answered, and knows these.
    mutating func answered(_ peer: PeerID, _ id: KadID, closer: [(id: KadID, peer: PeerID)]) {
        guard let index = index(of: id) else { return }
        switch candidates[index].state {
        case .asked:
            release(index)
            tellers.judge(candidates[index].tellers, right: 1, wrong: 0)
        case .late: tellers.judge(candidates[index].tellers, right: 1, wrong: -1)
        case .heard, .answered, .failed: return
        }
        candidates[index].state = .answered
        answeredCount += 1
        let (path, hops) = (candidates[index].path, candidates[index].hops)
        let teller = tellers.add()
        for next in closer.prefix(Self.maxReferrals) {
            add(next.peer, next.id, path: path, hops: hops &+ 1, teller: teller)
        }
    }

    /// A peer that was asked did not answer.
    mutating func failed(_ id: KadID) {
        guard let index = index(of: id) else { return }
        switch candidates[index].state {
        case .asked:
            release(index)
            tellers.judge(candidates[index].tellers, right: 0, wrong: 1)
        case .late: break
        case .heard, .answered, .failed: return
        }
        candidates[index].state = .failed
    }

    /// A peer that was asked has not answered for long.
    mutating func late(_ id: KadID) {
        guard let index = index(of: id), candidates[index].state == .asked else { return }
        release(index)
        tellers.judge(candidates[index].tellers, right: 0, wrong: 1)
        candidates[index].state = .late
    }

    /// Nobody waits any longer for the answer of a peer that was asked.
    private mutating func release(_ index: Int) {
        waitingCount -= 1
        tellers.settles(candidates[index].charged)
    }

    /// The nearest peers that answered, the nearest first.
    func closest(_ count: Int) -> [Candidate] {
        Array(candidates.lazy.filter { $0.state == .answered }.prefix(count))
    }

    /// Where a peer is, or would be, in the order of distances.
    private func place(of distance: KadID) -> Int {
        var (low, high) = (0, candidates.count)
        while low < high {
            let middle = (low + high) / 2
            if candidates[middle].distance < distance { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private func index(of id: KadID) -> Int? {
        let distance = id.distance(to: target)
        let index = place(of: distance)
        guard index < candidates.count, candidates[index].distance == distance else { return nil }
        return index
    }

    private mutating func markAsked(_ index: Int) {
        candidates[index].state = .asked
        candidates[index].charged = tellers.asks(candidates[index].tellers)
        askedCount += 1
        waitingCount += 1
    }

    private mutating func add(
        _ peer: PeerID, _ id: KadID, path: UInt8, hops: UInt8, teller: Tellers.Names
    ) {
        let distance = id.distance(to: target)
        let index = place(of: distance)
        if index < candidates.count, candidates[index].distance == distance {
            // Only within one path: on another, what liars say has no weight.
            if candidates[index].path == path { candidates[index].tellers |= teller }
            return
        }
        candidates.insert(
            Candidate(distance: distance, peer: peer, path: path, hops: hops, tellers: teller),
            at: index)
        guard candidates.count > Self.maxCandidates else { return }
        if let last = candidates.lastIndex(where: { $0.state == .heard || $0.state == .failed }) {
            candidates.remove(at: last)
        }
    }
}
