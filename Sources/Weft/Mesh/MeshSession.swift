// What one retrieval wants of its node's peers: blocks, each claimed by those who count on it, and
// what became of them. NodeCore decides who is asked; here is who waits.

import BlockStore
import DequeModule
import Exchange
import IPLD
import Multiformats
import NIOCore
import NodeCore
import Synchronization

/// A session of the mesh. ``close()`` ends it.
///
/// A claim says that a block will be needed; it is asked for from then on. Every claim is redeemed
/// or released once.
final class MeshSession: Sendable {
    private typealias Waiter = CheckedContinuation<Block, any Error>

    private struct Interest {
        let cid: CID
        /// How many count on it.
        var claims = 0
        var waiters: [UInt64: Waiter] = [:]
        var outcome: Result<Block, Fault>?
    }

    private struct State {
        /// What the machine calls it; nil before it knows of it.
        var id: WantTable.SessionID?
        var interests: [Multihash: Interest] = [:]
        var nextWaiter: UInt64 = 0
        var whole: Whole?
        var lines: PeerLines
        var isClosed = false
    }

    /// A DAG that comes in one request.
    private struct Whole {
        let root: CID
        /// How many bytes may come ahead of the reader now, and at the most. It grows while the
        /// reader has to wait, so that a slow reader holds little and a long way is filled.
        var room: Int
        let maxRoom: Int
        /// What has come and not been taken, as it came.
        var parts: Deque<[Block]> = []
        /// What has come and is being stored.
        var arriving: [Block] = []
        /// How many bytes the reader has, and how many it had that have not been granted anew.
        var inHand = 0
        var taken = 0
        /// How many it had since the room last grew.
        var takenSinceGrowth = 0
        var waiter: CheckedContinuation<[Block]?, Never>?
        /// The reader left; what still comes is for nobody.
        var isLeft = false
        var isOver = false
    }

    private let mesh: Mesh
    /// How long nothing may come before what is wanted is given up.
    let patience: Duration
    /// Called on the mesh's event loop for blocks that come, before those who wait get them.
    private let arrival: @Sendable ([Block]) -> Void
    private let state: Mutex<State>

    init(
        _ mesh: Mesh, trace: Trace, patience: Duration,
        arrival: @escaping @Sendable ([Block]) -> Void
    ) {
        self.mesh = mesh
        self.patience = patience
        self.arrival = arrival
        state = Mutex(State(lines: PeerLines(trace)))
        mesh.run {
            $0.open(self)
        } stopped: {
            self.end(.unreachable("the node stops"))
        }
    }

    /// How many peers were asked.
    var askedCount: Int { state.withLock { $0.lines.count } }

    // MARK: Wanting

    /// Asks for blocks that will be needed.
    func claim(_ wants: [NodeCore.Want]) {
        let new = state.withLock { state in
            guard !state.isClosed else { return [NodeCore.Want]() }
            return wants.filter { want in
                let hash = want.cid.hash
                var interest = state.interests[hash] ?? Interest(cid: want.cid)
                var isNew = interest.claims == 0
                if case .failure = interest.outcome {
                    interest.outcome = nil
                    isNew = true
                }
                interest.claims += 1
                state.interests[hash] = interest
                return isNew
            }
        }
        guard !new.isEmpty else { return }
        mesh.run {
            $0.want(new, for: self)
        } stopped: {
            self.end(.unreachable("the node stops"))
        }
    }

    /// Redeems a claim if the block has come; nil if not.
    func redeemAtOnce(_ cid: CID) -> Block? {
        state.withLock { state in
            guard !state.isClosed, case .success(let block)? = state.interests[cid.hash]?.outcome
            else { return nil }
            Self.dropClaim(on: cid.hash, in: &state)
            return block
        }
    }

    /// A claimed block, if it has come; the claim stays.
    func peek(_ cid: CID) -> Block? {
        state.withLock { state in
            guard case .success(let block)? = state.interests[cid.hash]?.outcome else {
                return nil
            }
            return block
        }
    }

    /// Waits for a block that was claimed.
    ///
    /// - Throws: ``Fault``.
    func redeem(_ cid: CID) async throws -> Block {
        let number = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (waiter: Waiter) in
                let ready = state.withLock { state -> Result<Block, Fault>? in
                    guard !state.isClosed, !Task.isCancelled else { return .failure(.cancelled) }
                    if let outcome = state.interests[cid.hash]?.outcome {
                        Self.dropClaim(on: cid.hash, in: &state)
                        return outcome
                    }
                    state.interests[cid.hash]?.waiters[number] = waiter
                    return nil
                }
                if let ready { waiter.resume(with: ready) }
            }
        } onCancel: {
            let waiter = state.withLock {
                $0.interests[cid.hash]?.waiters.removeValue(forKey: number)
            }
            guard let waiter else { return }
            release([cid.hash])
            waiter.resume(throwing: Fault.cancelled)
        }
    }

    /// Gives up claims that will not be redeemed.
    func release(_ hashes: [Multihash]) {
        let unwanted = state.withLock { state in
            hashes.compactMap { Self.dropClaim(on: $0, in: &state) }
        }
        if !unwanted.isEmpty { mesh.run { $0.unwant(unwanted, for: self) } }
    }

    /// Takes a claim back. Returns the block if it need not be asked for any longer.
    @discardableResult
    private static func dropClaim(on hash: Multihash, in state: inout State) -> CID? {
        guard var interest = state.interests[hash] else { return nil }
        interest.claims -= 1
        guard interest.claims <= 0 else {
            state.interests[hash] = interest
            return nil
        }
        state.interests[hash] = nil
        return interest.outcome == nil ? interest.cid : nil
    }

    // MARK: Wholes

    /// How many bytes may come ahead of the reader at first: as many as stay in the processor's
    /// cache until they are read.
    private static let firstRoom = 2 << 20

    /// Asks for all of a DAG at once, which comes in parts, at most `maxRoom` bytes ahead of the
    /// reader. False if another one has not ended yet.
    func begin(_ dag: WeftDAG, maxRoom: Int) -> Bool {
        let room = min(Self.firstRoom, maxRoom)
        let isNew = state.withLock { state in
            guard state.whole == nil, !state.isClosed else { return false }
            state.whole = Whole(root: dag.root, room: room, maxRoom: maxRoom)
            return true
        }
        guard isNew else { return false }
        mesh.run {
            $0.stream(dag, room: room, for: self)
        } stopped: {
            self.end(.unreachable("the node stops"))
        }
        return true
    }

    /// The next blocks of it, in the order of a walk, if some have come.
    func partAtOnce() -> [Block]? {
        let (part, grant) = state.withLock { Self.takePart(of: &$0) }
        if grant > 0 { mesh.run { $0.grant(grant, for: self) } }
        return part
    }

    /// Waits for the next blocks of it; nil if nothing more comes.
    func part() async throws -> [Block]? {
        let part = await withTaskCancellationHandler {
            await withCheckedContinuation { (waiter: CheckedContinuation<[Block]?, Never>) in
                let (part, grant, mayWait) = state.withLock { state -> ([Block]?, Int, Bool) in
                    let (part, grant) = Self.takePart(of: &state)
                    guard part == nil, state.whole?.isOver == false, !Task.isCancelled else {
                        return (part, grant, false)
                    }
                    state.whole?.waiter = waiter
                    return (nil, grant, true)
                }
                if grant > 0 { mesh.run { $0.grant(grant, for: self) } }
                if !mayWait { waiter.resume(returning: part) }
            }
        } onCancel: {
            state.withLock { $0.whole?.waiter.take() }?.resume(returning: nil)
        }
        try Task.checkCancellation()
        return part
    }

    /// Takes the first part, and says how many bytes are to be granted because of it.
    private static func takePart(of state: inout State) -> (part: [Block]?, grant: Int) {
        guard var whole = state.whole else { return (nil, 0) }
        state.whole = nil
        defer { state.whole = whole }
        whole.taken += whole.inHand
        whole.takenSinceGrowth += whole.inHand
        let part = whole.parts.popFirst()
        whole.inHand = part.map(Self.size) ?? 0
        if part == nil, whole.takenSinceGrowth >= whole.room / 2, whole.room < whole.maxRoom {
            let growth = min(whole.room, whole.maxRoom - whole.room)
            whole.room += growth
            whole.taken += growth
            whole.takenSinceGrowth = 0
        }
        // Small change is not worth a frame, unless nothing more can come without.
        guard whole.taken >= whole.room / 8 || part == nil && whole.taken > 0 else {
            return (part, 0)
        }
        defer { whole.taken = 0 }
        return (part, whole.taken)
    }

    /// Takes out what has come and waits for its reader.
    func removeComing(from hashes: inout Set<Multihash>) {
        state.withLock { state in
            guard let whole = state.whole else { return }
            for part in whole.parts {
                for block in part where !hashes.isEmpty { hashes.remove(block.cid.hash) }
            }
            for block in whole.arriving where !hashes.isEmpty { hashes.remove(block.cid.hash) }
        }
    }

    /// Asks for no more of it. What is on its way still comes.
    func stop() {
        mesh.run { $0.endStream(for: self) }
    }

    /// Nobody reads it any longer.
    func leave() {
        let isRunning = state.withLock { state in
            guard state.whole?.isOver == false else {
                state.whole = nil
                return false
            }
            state.whole?.isLeft = true
            state.whole?.parts = []
            return true
        }
        if isRunning { stop() }
    }

    private static func size(_ blocks: [Block]) -> Int {
        blocks.reduce(0) { $0 + $1.bytes.readableBytes }
    }

    // MARK: On the mesh's event loop

    /// What the machine calls this session.
    var id: WantTable.SessionID? { state.withLock { $0.id } }

    func opened(_ id: WantTable.SessionID) {
        state.withLock { $0.id = id }
    }

    /// Blocks came from a peer, checked.
    func received(_ received: [ReceivedBlock], from peer: PeerID) {
        let cids = state.withLock { state in
            state.lines.brought(received, peer)
            return received.map { state.interests[$0.cid.hash]?.cid }
        }
        // Whoever wanted one has perhaps changed their mind just now.
        let blocks = Block.list(
            zip(received, cids).compactMap { block, cid in cid.map { (block, askedAs: $0) } })
        guard !blocks.isEmpty else { return }
        arrival(blocks)
        settle(blocks.map { ($0.cid.hash, .success($0)) })
    }

    /// A block is not to be had.
    func missing(_ cid: CID, _ failure: WantTable.Failure) {
        settle([(cid.hash, .failure(.missing(cid, failure)))])
    }

    private func settle(_ outcomes: [(hash: Multihash, outcome: Result<Block, Fault>)]) {
        let ready = state.withLock { state in
            var ready: [(Waiter, Result<Block, Fault>)] = []
            for (hash, outcome) in outcomes {
                guard var interest = state.interests[hash] else { continue }
                interest.outcome = outcome
                for (_, waiter) in interest.waiters { ready.append((waiter, outcome)) }
                interest.claims -= interest.waiters.count
                interest.waiters = [:]
                state.interests[hash] = interest.claims > 0 ? interest : nil
            }
            return ready
        }
        for (waiter, outcome) in ready { waiter.resume(with: outcome) }
    }

    /// The next blocks of a whole came from a peer, checked.
    func streamed(_ received: [ReceivedBlock], from peer: PeerID) {
        let isRead = state.withLock { state in
            state.lines.brought(received, peer)
            return state.whole?.isLeft == false
        }
        guard isRead else { return }
        let blocks = Block.list(received.map { ($0, askedAs: $0.cid) })
        state.withLock { $0.whole?.arriving = blocks }
        arrival(blocks)
        let waiter = state.withLock { state -> CheckedContinuation<[Block]?, Never>? in
            state.whole?.arriving = []
            guard state.whole?.isLeft == false else { return nil }
            guard let waiter = state.whole?.waiter.take() else {
                state.whole?.parts.append(blocks)
                return nil
            }
            state.whole?.inHand = Self.size(blocks)
            return waiter
        }
        waiter?.resume(returning: blocks)
    }

    /// Nothing more comes of a whole.
    func wholeIsOver() {
        let (waiter, root) = state.withLock { state in
            let waiter = state.whole?.waiter.take()
            state.whole?.isOver = true
            // The machine does not want its beginning any longer, but somebody here may.
            let root = state.whole.map(\.root).flatMap { root in
                state.interests[root.hash].flatMap { $0.outcome == nil ? root : nil }
            }
            if state.whole?.isLeft == true { state.whole = nil }
            return (waiter, root)
        }
        waiter?.resume(returning: nil)
        if let root { mesh.run { $0.want([NodeCore.Want(root, at: 0, size: nil)], for: self) } }
    }

    /// What is done about the session.
    func note(_ news: NodeCore.SessionNews) {
        state.withLock { $0.lines.note(news) }
    }

    // MARK: The end

    /// Says in the trace who has not answered.
    func conclude(_ reason: String) {
        state.withLock { $0.lines.conclude(reason) }
    }

    /// Nothing is wanted any more.
    func close() {
        conclude("no answer")
        end(.cancelled)
        mesh.run { $0.close(self) }
    }

    /// Ends all waiting.
    func end(_ fault: Fault) {
        let (waiters, reader) = state.withLock { state in
            state.isClosed = true
            defer { state.interests = [:] }
            let reader = state.whole?.waiter.take()
            state.whole?.isOver = true
            return (state.interests.values.flatMap { Array($0.waiters.values) }, reader)
        }
        for waiter in waiters { waiter.resume(throwing: fault) }
        reader?.resume(returning: nil)
    }
}
