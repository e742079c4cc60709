// What the node's machine of calls wants done: runs, signatures, records. What takes longer than
// handing it to another thread is done away from the event loop.

import Compute
import IPLD
import Logging
import Multiformats
import NIOCore
import NodeCore
import Synchronization

/// Who runs calls and keeps what comes of them, for a mesh.
protocol CallWorker: Sendable {
    /// Begins to run a call, on the mesh's event loop, which it must not block.
    ///
    /// - Parameter done: called once, on any thread, with the result; nil if this machine cannot.
    /// - Returns: stops the run, and tells about how much gas it has used for a peer.
    func start(
        _ call: Call, _ purpose: RunPurpose, done: @escaping @Sendable (CallRecord?) -> Void
    ) -> @Sendable () -> UInt64
    /// How long the calls of peers have to wait now.
    var queue: Duration { get }
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
    /// Whether others may have answered a call: whether it is worth to ``recall(_:)``. It does not
    /// block.
    func mayRecall(_ call: Call) -> Bool
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

/// Carries out the orders of calls. All use is on the mesh's event loop; most of the work is not.
final class CallDesk {
    private let mesh: Mesh
    private let identity: PrivateKey
    /// Nil for a node that runs nothing.
    var worker: (any CallWorker)?
    /// Answers that are about to be remembered, and how many can be.
    private var vouched: [(CallAnswer, PeerID?)] = []
    private static let maxVouched = 1_024
    private static let gathering = TimeAmount.milliseconds(5)
    private var remembering: Scheduled<Void>?
    /// What stops what is under way, by number; NodeCore's ceilings bound it.
    private var stops: [UInt64: @Sendable () -> UInt64] = [:]
    /// What is done and not told yet.
    private let finished: Finished
    /// How long peers were told that calls wait.
    private var queue = Duration.zero
    /// What is to be put down when this turn of the machine is over.
    private var entries: [(CallDesk) -> Void] = []

    /// Completions that wait for the loop, which takes all that there are at once.
    private final class Finished: Sendable {
        private let mesh: Mesh
        private let completions = Mutex<[NodeCore.CallCompletion]>([])

        init(_ mesh: Mesh) { self.mesh = mesh }

        /// Tells the machine what is done. On any thread.
        func add(_ completion: NodeCore.CallCompletion) {
            let isFirst = completions.withLock { completions in
                completions.append(completion)
                return completions.count == 1
            }
            if isFirst { mesh.run { $0.calls.report(to: $0) } }
        }

        func take() -> [NodeCore.CallCompletion] {
            completions.withLock { completions in
                defer { completions = [] }
                return completions
            }
        }
    }

    init(_ mesh: Mesh, _ identity: PrivateKey) {
        self.mesh = mesh
        self.identity = identity
        finished = Finished(mesh)
    }

    /// Carries out an order. What is done at once the driver is told at once.
    func carryOut(_ order: NodeCore.CallOrder, for driver: MeshDriver) {
        let worker = worker
        switch order {
        case .verify(let number, let peer, let message, let signature):
            // As with signing: it takes no longer than to hand it to another thread and back.
            let isValid = peer.publicKey?.verify(signature: signature, of: message) ?? false
            driver.receiveNext(.call(.verified(number, isValid)))
        case .sign(let number, let message):
            tellQueue(driver)
            driver.receiveNext(.call(.signed(number, try? identity.sign(message))))
        case .run(let number, let call, let purpose): run(number, call, purpose, for: driver)
        case .stop(let number, let takenBack):
            let gas = stops.removeValue(forKey: number)?() ?? 0
            if let takenBack { driver.receiveNext(.call(.used(gas, by: takenBack))) }
        case .load(let number, let cids, let peer):
            work { .loaded(number, await worker?.records(cids, from: peer)) }
        case .replay(let number, let activation):
            work { .replayed(number, await worker?.replay(activation)) }
        case .refuted(let right): worker?.refuted(right)
        case .convicted(let peer, let evidence):
            // Writing files is nothing for the event loop.
            Task { @concurrent in worker?.convicted(peer, by: evidence) }
        case .examine(let number, let file):
            let task = work {
                .examined(number, await worker?.examine(file: file) ?? .undecided)
            }
            stops[number] = Self.stop(task)
        case .vouched(let answer, let peer): entries.append { $0.remember(answer, via: peer) }
        case .disbelieve(let record): entries.append { $0.worker?.disbelieve(record) }
        case .keep(let number, let receipt): entries.append { $0.keep(receipt, number) }
        case .changed(let change): entries.append { $0.worker?.changed(change) }
        }
    }

    /// The machine's turn is over. What is to be put down is, when the answers have gone out.
    func turnIsOver() {
        guard !entries.isEmpty else { return }
        mesh.run { $0.calls.putDown() }
    }

    private func putDown() {
        let all = entries
        entries = []
        for put in all { put(self) }
    }

    private func run(
        _ number: UInt64, _ call: Call, _ purpose: RunPurpose, for driver: MeshDriver
    ) {
        guard let worker else { return driver.receiveNext(.call(.ran(number, nil))) }
        guard case .peer(_, mayRecall: true) = purpose, worker.mayRecall(call) else {
            return begin(number, call, purpose, worker, for: driver)
        }
        let task = Task { @concurrent [mesh, finished] in
            if let history = await worker.recall(call) {
                return finished.add(.recalled(number, history))
            }
            mesh.run { driver in
                let desk = driver.calls
                guard desk.stops[number] != nil else { return }
                desk.begin(number, call, purpose, worker, for: driver)
            }
        }
        stops[number] = Self.stop(task)
    }

    private static func stop(_ task: Task<Void, Never>) -> @Sendable () -> UInt64 {
        {
            task.cancel()
            return 0
        }
    }

    private func begin(
        _ number: UInt64, _ call: Call, _ purpose: RunPurpose, _ worker: any CallWorker,
        for driver: MeshDriver
    ) {
        let start = Start()
        let stop = worker.start(call, purpose) { [finished] record in
            if !start.finish(with: record) { finished.add(.ran(number, record)) }
        }
        if let record = start.end() {
            stops[number] = nil
            driver.receiveNext(.call(.ran(number, record)))
        } else {
            stops[number] = stop
        }
    }

    /// What becomes of a run while it is begun: some are over at once.
    private final class Start: Sendable {
        private enum State {
            case begins
            case over(CallRecord?)
            case begun
        }

        private let state = Mutex(State.begins)

        /// A result is there. Returns whether who begins the run sees to it.
        func finish(with record: CallRecord?) -> Bool {
            state.withLock { state in
                guard case .begins = state else { return false }
                state = .over(record)
                return true
            }
        }

        /// The run has begun. Its result, if it is over.
        func end() -> CallRecord?? {
            state.withLock { state in
                defer { state = .begun }
                if case .over(let record) = state { return .some(record) }
                return nil
            }
        }
    }

    /// Has answers remembered, many at a time: hashing them is nothing for the event loop. What
    /// comes faster than they can be is not remembered.
    private func remember(_ answer: CallAnswer, via peer: PeerID?) {
        guard let worker, vouched.count < Self.maxVouched else { return }
        vouched.append((answer, peer))
        guard vouched.count == 1 else { return }
        let loop = mesh.eventLoop.assumeIsolated()
        remembering = loop.scheduleTask(in: Self.gathering) { [weak self] in
            guard let answers = self?.takeVouched() else { return }
            Task { @concurrent in
                for (answer, peer) in answers { worker.vouched(answer, via: peer) }
            }
        }
    }

    private func takeVouched() -> [(CallAnswer, PeerID?)] {
        defer { vouched = [] }
        return vouched
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
        Task { @concurrent [finished] in finished.add(await body()) }
    }

    private func report(to driver: MeshDriver) {
        let all = finished.take()
        for completion in all {
            switch completion {
            case .ran(let number, _), .recalled(let number, _), .examined(let number, _):
                stops[number] = nil
            default: break
            }
        }
        driver.receive(all.map { .call($0) })
    }

    /// Tells the machine how long calls wait, which goes out with what is signed.
    private func tellQueue(_ driver: MeshDriver) {
        guard let now = worker?.queue, Self.differ(now, queue) else { return }
        queue = now
        _ = driver.perform(.call(.setQueue(now)))
    }

    /// Whether that is worth saying.
    private static func differ(_ one: Duration, _ other: Duration) -> Bool {
        max(one, other) - min(one, other) >= .milliseconds(1)
    }

    /// Ends all that is under way.
    func stop() {
        for (_, stop) in stops { _ = stop() }
        stops = [:]
        putDown()
        remembering?.cancel()
        for (answer, peer) in takeVouched() { worker?.vouched(answer, via: peer) }
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
    ///   - here: what this node can do itself, asked when it is decided; nil if it is not to run
    ///     the call.
    /// - Throws: ``Compute/CallError``, `NodeCore.Failure`, ``MeshError``.
    func call(
        _ call: Call, _ terms: CallTerms, _ audit: CallAudit, candidates: [PeerID] = [],
        known: ResultHistory? = nil, here: @escaping @Sendable () -> LocalCapacity?
    ) async throws -> Compute.CallResult {
        let answer = try await ask(within: terms.patience + Self.callSlack) {
            .call(
                .fetch(call, terms, audit, candidates: candidates, known: known, here: here()))
        }
        switch answer {
        case .call(.result(let result)): return result
        case .call(.failed(let error)): throw error
        case .failed(let failure): throw failure
        default: throw MeshError.stopped
        }
    }

    /// What peers owe each other, and what is known of them; nil for a node that takes no part in
    /// calls.
    func creditBook() async -> (CreditBook, Responders)? {
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

    /// Tells peers what this node offers from now on.
    func setOffer(_ offer: CallOffer) async {
        // A mesh that has stopped tells nobody.
        _ = try? await ask(.call(.setOffer(offer)), within: Self.shortLimit)
    }

    /// Tells the DHTs that this node runs a contract for others. It waits for nobody.
    func offer(_ contract: CID) { run { _ = $0.perform(.call(.announce(contract))) } }
}
