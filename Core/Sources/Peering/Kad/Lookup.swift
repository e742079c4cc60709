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
    }

    /// How many peers are remembered. The farthest ones that have not been asked are dropped.
    static let maxCandidates = 256
    /// How many peers one answer can add.
    static let maxReferrals = 20

    let target: KadID
    private let paths: Int
    /// The nearest first.
    private(set) var candidates: [Candidate] = []
    private(set) var askedCount = 0
    private(set) var waitingCount = 0

    init(target: KadID, paths: Int, seeds: [(id: KadID, peer: PeerID)]) {
        self.target = target
        self.paths = max(1, min(paths, seeds.count))
        for (index, seed) in seeds.enumerated() {
            add(seed.peer, seed.id, path: UInt8(index % self.paths), hops: 1)
        }
    }

    /// The next peer to ask now; it counts as asked. nil if enough are being asked, or the search
    /// is over.
    mutating func next() -> PeerID? {
        for path in 0..<UInt8(paths) {
            let limit = (Kad.alpha + paths - 1) / paths
            var waiting = 0
            var settled = 0
            var isSettled = true
            var first: Int?
            for index in candidates.indices where candidates[index].path == path {
                switch candidates[index].state {
                case .failed, .late: continue
                case .heard: if first == nil { first = index }
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
            let nearest = candidates.lazy.filter { $0.path == path && !$0.state.isGivenUp }
            return nearest.prefix(Kad.beta).allSatisfy { $0.state == .answered }
        }
    }

    /// Those of the nearest `count` peers that nobody has asked yet; they count as asked.
    mutating func askRest(of count: Int) -> [PeerID] {
        var peers: [PeerID] = []
        var seen = 0
        for index in candidates.indices where !candidates[index].state.isGivenUp {
            guard seen < count else { break }
            seen += 1
            guard candidates[index].state == .heard else { continue }
            markAsked(index)
            peers.append(candidates[index].peer)
        }
        return peers
    }

    /// A peer that was asked answered, and knows these.
    mutating func answered(_ peer: PeerID, _ id: KadID, closer: [(id: KadID, peer: PeerID)]) {
        guard let index = take(id) else { return }
        candidates[index].state = .answered
        let (path, hops) = (candidates[index].path, candidates[index].hops)
        for next in closer.prefix(Self.maxReferrals) {
            add(next.peer, next.id, path: path, hops: hops &+ 1)
        }
    }

    /// A peer that was asked did not answer.
    mutating func failed(_ id: KadID) {
        if let index = take(id) { candidates[index].state = .failed }
    }

    /// A peer that was asked has not answered for long.
    mutating func late(_ id: KadID) {
        guard let index = index(of: id), candidates[index].state == .asked else { return }
        candidates[index].state = .late
        waitingCount -= 1
    }

    /// The place of a peer whose answer is open.
    private mutating func take(_ id: KadID) -> Int? {
        guard let index = index(of: id) else { return nil }
        switch candidates[index].state {
        case .asked: waitingCount -= 1
        case .late: break
        case .heard, .answered, .failed: return nil
        }
        return index
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
        askedCount += 1
        waitingCount += 1
    }

    private mutating func add(_ peer: PeerID, _ id: KadID, path: UInt8, hops: UInt8) {
        let distance = id.distance(to: target)
        let index = place(of: distance)
        if index < candidates.count, candidates[index].distance == distance { return }
        candidates.insert(
            Candidate(distance: distance, peer: peer, path: path, hops: hops), at: index)
        guard candidates.count > Self.maxCandidates else { return }
        if let last = candidates.lastIndex(where: { $0.state == .heard || $0.state == .failed }) {
            candidates.remove(at: last)
        }
    }
}
