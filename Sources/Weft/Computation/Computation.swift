// Calls of contracts on this node: what is remembered, what runs, and what running may take. A call
// is known by its CID and leaves a record for each activation (docs/contracts.md).

import BlockStore
import Compute
import IPLD
import Logging
import Multiformats
import NIOCore
import Synchronization
import WasmEngine
import Wire

/// Runs calls of contracts. The engine starts with the first.
public final class Computation: Sendable {
    let limits: Configuration.Compute
    let programs: Programs
    let memo: CallMemo
    let answers: KnownAnswers
    let memory: InstanceMemory
    let store: BlockStore
    private let retrieval: Retrieval
    let logger: Logger
    /// Whom others may be asked through; nil for a node by itself.
    let mesh: Mesh?
    let evidence: EvidenceFiles
    let credit: CreditFiles
    /// What binds the calls of peers.
    let peerRules: PeerCallRules?
    /// What this machine has measured of its runs.
    let load: CallLoad
    /// How the calls that ran here have ended.
    let tally: CallTally
    /// The calls of peers that wait until they may run.
    let peerLine: PeerLine
    /// The calls of contracts that are asked of the mesh.
    let askingLine = AskingLine()
    let underway: CallsUnderway
    /// How calls ended here that the mesh's machine gave back to this node.
    let ends = RecentEnds()
    /// The calls that contracts wait for, by their CIDs, as long as the mesh is asked.
    let waiting = Mutex<[CID: [AskedCall]]>([:])
    /// How fast peers were told that this machine is, in gas a second.
    let told = Mutex(CallLoad.usualSpeed)
    /// The contracts of which the DHTs have been told, and where they are kept.
    let announced = Mutex<Set<CID>>([])
    let contractsFile: String

    init(
        _ configuration: Configuration, _ repository: Repository, _ store: BlockStore,
        _ retrieval: Retrieval, _ mesh: Mesh?, _ credit: CreditFiles, _ logger: Logger
    ) {
        limits = configuration.compute
        self.store = store
        self.retrieval = retrieval
        self.logger = logger
        self.mesh = mesh
        evidence = EvidenceFiles(repository.evidenceDirectory)
        self.credit = credit
        peerRules = mesh.map { PeerCallRules($0, maxBytes: configuration.compute.input) }
        programs = Programs(
            CompiledCache(
                repository.compiledDirectory, maxBytes: configuration.storage.maxBytes / 64))
        memo = CallMemo(repository.callsFile)
        answers = KnownAnswers(repository.answersFile)
        contractsFile = repository.contractsFile
        memory = InstanceMemory(Int64(clamping: configuration.compute.memory))
        load = CallLoad(slots: limits.runningCalls)
        tally = CallTally(maxTime: limits.time, logger)
        underway = CallsUnderway(load, tally)
        peerLine = PeerLine(slots: limits.runningCalls)
    }

    /// Whether a call may be answered by an earlier result.
    enum Memory: Hashable, Sendable {
        case used, unused
    }

    /// Calls a contract.
    ///
    /// - Throws: `EngineUnavailable`, `ResourceFailure`, the error of a retrieval, or
    ///   `CancellationError`.
    func run(
        _ call: Call, memory: Memory = .used, policy: Retrieval.Policy, deadline: Duration?,
        trace: Trace
    ) async throws -> CallEnd {
        guard limits.contracts == .on else { throw ContractsOff() }
        if let end = runBriefly(call, memory, policy, trace, nil) { return end }
        let leave = Mutex<(@Sendable () -> Void)?>(nil)
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let left = run(
                    call, nil, memory, policy, min(limits.time, deadline ?? limits.time), trace
                ) { continuation.resume(with: $0) }
                leave.withLock { $0 = left }
                if Task.isCancelled { left() }
            }
        } onCancel: {
            leave.withLock { $0 }?()
        }
    }

    /// Runs a call on the engine's threads, or waits for the same one if it is under way.
    ///
    /// - Parameters:
    ///   - asking: on what terms peers may be asked for what it calls; nil if all runs here.
    ///   - rules: what binds it if a peer asks for it. Whether it is brief has then been seen.
    ///   - ended: called once when no thread is busy with it any more.
    ///   - done: called once, on any thread.
    /// - Returns: leaves it.
    func run(
        _ call: Call, _ asking: CallAsking?, _ memory: Memory = .used,
        _ policy: Retrieval.Policy = .network, _ time: Duration? = nil, _ trace: Trace = Trace(),
        rules: PeerCallRules? = nil, ended: @escaping @Sendable () -> Void = {},
        done: @escaping @Sendable (CallsUnderway.End) -> Void
    ) -> @Sendable () -> Void {
        if rules == nil, let end = runBriefly(call, memory, policy, trace, nil) {
            done(.success(end))
            ended()
            return {}
        }
        do throws(EngineUnavailable) {
            let engine = try Engine.shared()
            let key = CallsUnderway.Key(
                call: call.cid, asking: asking, memory: memory, policy: policy,
                time: time ?? limits.time, isBound: rules != nil)
            return underway.run(call, key, on: engine) { [self] control in
                let run = CallRun(
                    self, engine, memory, policy, control, trace, asking: asking, rules: rules)
                defer { run.content.end() }
                return try run.perform(call, control, depth: 1)
            } ended: {
                ended()
            } done: {
                done($0)
            }
        } catch {
            ended()
            done(.failure(error))
            return {}
        }
    }

    /// Runs a call on this thread, if its method has been brief so far; nil if this one is not.
    func runBriefly(
        _ call: Call, _ memory: Memory, _ policy: Retrieval.Policy, _ trace: Trace,
        _ rules: PeerCallRules?
    ) -> CallEnd? {
        guard programs.ready(call.contract) != nil, load.isBrief(call), Engine.canRunHere,
            let engine = try? Engine.shared()
        else { return nil }
        if memory == .used {
            switch memo.find(call.cid) {
            case .result(let known): return .result(known, isFresh: false)
            case .record: return nil
            case nil: break
            }
        }
        let run = CallRun(self, engine, memory, policy, .brief(), trace, rules: rules)
        defer { run.content.end() }
        do {
            let end = try run.performBriefly(call)
            tally.note(.success(end), of: call)
            if case .result(let result, _) = end, result.time ?? .zero > Self.briefTime {
                load.noteDetour(call)
            }
            return end
        } catch {
            // Whatever stood in its way, one of the engine's threads does it.
            load.noteDetour(call)
            return nil
        }
    }

    /// What takes longer is not brief, whatever its gas.
    private static let briefTime = Duration.microseconds(500)

    /// A contract has run here, so that this node can offer it to others.
    func ran(_ contract: CID) {
        guard let mesh, limits.isServing else { return }
        let isNew = announced.withLock { announced in
            if announced.count >= Self.maxAnnounced { announced = [] }
            return announced.insert(contract).inserted
        }
        guard isNew, mesh.mayTell(of: contract) else { return }
        mesh.offer(contract)
    }

    /// After so many other contracts one is named again, so that it is not forgotten.
    static let maxAnnounced = 128

    /// A result in memory, if it may be used.
    func known(_ call: Call, _ memory: Memory, _ trace: Trace) -> CallEnd? {
        guard memory == .used, let known = memo.result(of: call.cid) else { return nil }
        trace.note(call, "known, \(known.ending)", succeeded: true)
        return .result(known, isFresh: false)
    }

    /// What other calls read: content that this node can get.
    func content(
        _ policy: Retrieval.Policy, _ trace: Trace, _ rules: PeerCallRules? = nil,
        _ places: WaitingPlaces? = nil
    ) -> CallContent {
        CallContent(
            retrieval, policy, maxBytes: limits.input, peerRules: rules, places: places,
            trace: trace)
    }

    /// Where the records of a call come from.
    func source(of root: CID) -> any BlockSource {
        retrieval.session(for: RetrievalScope(root: root, extent: .all))
    }

    /// The result of a call that this or an earlier process made, if all of it is here still.
    func remembered(_ call: Call, _ control: RunControl) throws -> CallResult? {
        let cid: CID
        switch memo.find(call.cid) {
        case .result(let known): return known
        case .record(let record): cid = record
        case nil: return nil
        }
        let store = store
        let record = try control.wait { () async throws -> CallRecord? in
            guard let block = try await store.block(cid.hash),
                let record = try? CallRecord(decoding: block.readableBytesSpan),
                record.call == call
            else { return nil }
            if case .content(let body)? = record.output?.body {
                guard try await store.size(of: body.hash) != nil else { return nil }
            }
            return record
        }
        guard let record else { return nil }
        let result = CallResult(record: record, cid: cid, time: nil)
        memo.keep(result, of: call.cid)
        return result
    }

    /// Keeps a record as content, soon.
    func keep(_ record: CallRecord) -> CID {
        let block = Block(record.block)
        retrieval.keep(block)
        return block.cid
    }

    /// Adds bytes as a file, as cache: the body of a request or response that is too long for its
    /// record. It runs on a worker's thread.
    func add(_ bytes: ByteBuffer, _ control: RunControl) throws -> CID {
        var file = BodyFile()
        let blocks = try file.append(bytes)
        let (root, last) = try file.finish()
        try control.wait { [store] in try await store.put(blocks + last) }
        return root
    }

    /// A long body, which is content.
    func file(_ root: CID) async throws -> OpenFile {
        let reader = ContentReader(
            retrieval.session(for: RetrievalScope(root: root, extent: .entity(nil))))
        return try reader.file(try await reader.resolve([], from: root))
    }

    /// Writes what is kept in memory.
    func stop() {
        memo.flush()
        answers.save()
    }
}

/// Contracts do not run on this machine.
struct ContractsOff: Error, CustomStringConvertible {
    var description: String {
        "contracts do not run here (weft config set compute.contracts on), and nobody can be asked"
    }
}
