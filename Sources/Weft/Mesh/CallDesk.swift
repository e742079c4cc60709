// What the node's machine of calls wants done, away from its event loop: runs, signatures, records.

import Compute
import IPLD
import Logging
import Multiformats
import NodeCore

/// Who runs calls and keeps what comes of them, for a mesh.
protocol CallWorker: Sendable {
    /// Runs a call, for a peer or, without one, for this node. Nil if this machine cannot.
    func run(_ call: Call, for peer: PeerID?) async -> CallRecord?
    /// Runs one activation with what was recorded of those below it. Nil if this machine cannot.
    func replay(_ activation: ReplayOrder) async -> Replay?
    /// Records by their names, in this order; nil if not all can be had.
    func records(_ cids: [CID], from peer: PeerID?) async -> [[UInt8]]?
    /// A peer has lied; it is asked nothing more.
    func convicted(_ peer: PeerID, by evidence: Evidence)
    /// Something that was given out has turned out to be wrong.
    func refuted(_ right: CallRecord?)
    /// Looks into what a peer says is a proof.
    func examine(file: [UInt8]) async -> ProofFinding
    /// What others have answered to a call; nil if this node is to answer it.
    func recall(_ call: Call) async -> ResultHistory?
    /// An answer is worth remembering.
    func vouched(_ answer: CallAnswer, via peer: PeerID?)
    /// A result is not to be remembered any more.
    func disbelieve(_ record: CallRecord)
    /// This node's chain has grown; when this returns, that will not be forgotten.
    func keep(_ receipt: Receipt) throws
    /// A balance has changed.
    func changed(_ change: BalanceChange)
}

/// Carries out the orders of calls. All use is on the mesh's event loop; the work is not.
final class CallDesk {
    private let mesh: Mesh
    private let identity: PrivateKey
    /// Nil for a node that runs nothing.
    var worker: (any CallWorker)?
    /// Answers that are about to be remembered, and how many can be.
    private var vouched: [(CallAnswer, PeerID?)] = []
    private static let maxVouched = 1_024
    /// What is under way, by number; NodeCore's ceilings bound it.
    private var tasks: [UInt64: Task<Void, Never>] = [:]

    init(_ mesh: Mesh, _ identity: PrivateKey) {
        self.mesh = mesh
        self.identity = identity
    }

    func carryOut(_ order: NodeCore.CallOrder) {
        let worker = worker
        switch order {
        case .verify(let number, let peer, let message, let signature):
            work {
                let key = peer.publicKey
                return .verified(
                    number, key?.verify(signature: signature, of: message) ?? false)
            }
        case .sign(let number, let message):
            let identity = identity
            work { .signed(number, try? identity.sign(message)) }
        case .run(let number, let call, let peer, let mayRecall):
            tasks[number] = work {
                if mayRecall, let history = await worker?.recall(call) {
                    return .recalled(number, history)
                }
                return .ran(number, await worker?.run(call, for: peer))
            }
        case .stop(let number): tasks.removeValue(forKey: number)?.cancel()
        case .load(let number, let cids, let peer):
            work { .loaded(number, await worker?.records(cids, from: peer)) }
        case .replay(let number, let activation):
            work { .replayed(number, await worker?.replay(activation)) }
        case .refuted(let right): worker?.refuted(right)
        case .convicted(let peer, let evidence):
            // Writing files is nothing for the event loop.
            Task { @concurrent in worker?.convicted(peer, by: evidence) }
        case .examine(let number, let file):
            tasks[number] = work {
                .examined(number, await worker?.examine(file: file) ?? .undecided)
            }
        case .vouched(let answer, let peer): remember(answer, via: peer)
        case .disbelieve(let record): worker?.disbelieve(record)
        case .keep(let number, let receipt): keep(receipt, number)
        case .changed(let change): worker?.changed(change)
        }
    }

    /// Has answers remembered, many at a time: hashing them is nothing for the event loop. What
    /// comes faster than they can be is not remembered.
    private func remember(_ answer: CallAnswer, via peer: PeerID?) {
        guard let worker, vouched.count < Self.maxVouched else { return }
        vouched.append((answer, peer))
        guard vouched.count == 1 else { return }
        Task { @concurrent [mesh] in
            mesh.run { driver in
                let answers = driver.calls.vouched
                driver.calls.vouched = []
                Task { @concurrent in
                    for (answer, peer) in answers { worker.vouched(answer, via: peer) }
                }
            }
        }
    }

    private func keep(_ receipt: Receipt, _ number: UInt64) {
        let worker = worker
        work { [logger = mesh.logger] in
            do {
                guard let worker else { return .kept(number, false) }
                try worker.keep(receipt)
                return .kept(number, true)
            } catch {
                logger.error(
                    "a receipt could not be kept; nothing more is signed until a new start",
                    metadata: ["error": "\(error)"])
                return .kept(number, false)
            }
        }
    }

    @discardableResult
    private func work(
        _ body: @escaping @Sendable () async -> NodeCore.CallCompletion
    ) -> Task<Void, Never> {
        Task { @concurrent [mesh] in
            let completion = await body()
            mesh.run { driver in
                switch completion {
                case .ran(let number, _), .recalled(let number, _), .examined(let number, _):
                    driver.calls.tasks[number] = nil
                default: break
                }
                driver.receive([.call(completion)])
            }
        }
    }

    /// Ends all that is under way.
    func stop() {
        for (_, task) in tasks { task.cancel() }
        tasks = [:]
    }
}

extension Mesh {
    /// How much longer than its patience a call may take to be answered.
    private static let callSlack = Duration.seconds(5)

    /// Lets this worker run calls, for this node and for peers.
    func serveCalls(by worker: any CallWorker) {
        run { $0.calls.worker = worker }
    }

    /// Has a call run, here or by peers.
    ///
    /// - Parameters:
    ///   - candidates: peers that may be asked, besides those connected that run calls.
    ///   - here: what this node can do itself; nil if it is not to run the call.
    /// - Throws: ``Compute/CallError``, `NodeCore.Failure`, ``MeshError``.
    func call(
        _ call: Call, _ terms: CallTerms, _ audit: CallAudit, candidates: [PeerID] = [],
        known: ResultHistory? = nil, here: LocalCapacity?
    ) async throws -> Compute.CallResult {
        let answer = try await ask(
            .call(.fetch(call, terms, audit, candidates: candidates, known: known, here: here)),
            within: terms.patience + Self.callSlack)
        switch answer {
        case .call(.result(let result)): return result
        case .call(.failed(let error)): throw error
        case .failed(let failure): throw failure
        default: throw MeshError.stopped
        }
    }

    /// What peers owe each other, and what is known of them; nil for a node that takes no part in
    /// calls.
    func creditBook() async throws -> (CreditBook, Responders)? {
        guard
            case .call(.book(let book, let responders)) = try? await ask(
                .call(.book), within: Self.shortLimit)
        else { return nil }
        return (book, responders)
    }

    /// A proof that was found to be true before this node was started.
    func know(_ evidence: Evidence) async {
        // A mesh that has ended needs none.
        _ = try? await ask(.call(.know(evidence)), within: Self.shortLimit)
    }

    /// Has somebody accused. Who was right shows in time.
    func accuse(_ evidence: Evidence) async throws {
        _ = try await ask(.call(.accuse(evidence)), within: Self.shortLimit)
    }
}
