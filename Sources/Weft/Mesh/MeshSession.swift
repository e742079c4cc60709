// What one retrieval wants of its node's peers: blocks, each claimed by those who count on it, and
// what became of them. NodeCore decides who is asked; here is who waits.

import BlockStore
import Exchange
import IPLD
import Multiformats
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
        var lines: PeerLines
        var isClosed = false
    }

    private let mesh: Mesh
    /// How long nothing may come before what is wanted is given up.
    let patience: Duration
    /// Called on the mesh's event loop for each block that comes, before those who wait get it.
    private let arrival: @Sendable (Block) -> Void
    private let state: Mutex<State>

    init(
        _ mesh: Mesh, trace: Trace, patience: Duration,
        arrival: @escaping @Sendable (Block) -> Void
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

    // MARK: On the mesh's event loop

    /// What the machine calls this session.
    var id: WantTable.SessionID? { state.withLock { $0.id } }

    func opened(_ id: WantTable.SessionID) {
        state.withLock { $0.id = id }
    }

    /// A block came from a peer, checked.
    func received(_ received: ReceivedBlock, from peer: PeerID) {
        let hash = received.cid.hash
        let cid = state.withLock { state in
            state.lines.brought(peer, received.bytes.count)
            return state.interests[hash]?.cid
        }
        // Whoever wanted it has changed their mind just now.
        guard let cid else { return }
        let block = Block(received, askedAs: cid)
        arrival(block)
        settle(hash, .success(block))
    }

    /// A block is not to be had.
    func missing(_ cid: CID, _ failure: WantTable.Failure) {
        settle(cid.hash, .failure(.missing(cid, failure)))
    }

    private func settle(_ hash: Multihash, _ outcome: Result<Block, Fault>) {
        let waiters = state.withLock { state -> [Waiter] in
            guard var interest = state.interests[hash] else { return [] }
            interest.outcome = outcome
            let waiters = Array(interest.waiters.values)
            interest.waiters = [:]
            interest.claims -= waiters.count
            state.interests[hash] = interest.claims > 0 ? interest : nil
            return waiters
        }
        for waiter in waiters { waiter.resume(with: outcome) }
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
        let waiters = state.withLock { state in
            state.isClosed = true
            defer { state.interests = [:] }
            return state.interests.values.flatMap { Array($0.waiters.values) }
        }
        for waiter in waiters { waiter.resume(throwing: fault) }
    }
}
