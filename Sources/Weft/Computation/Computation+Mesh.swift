// Calls that cross the mesh: those that peers ask this node to run, and those of this node that
// peers may run. This node is a candidate like any other (docs/call-protocol.md).

import BlockStore
public import Compute
import IPLD
import Logging
public import Multiformats
import NIOCore
import NIOPosix
import NodeCore
import Synchronization
import WasmEngine

extension Computation {
    /// A call that waits this long here is better asked of somebody, even if he has to be found.
    private static let patience = Duration.seconds(2)
    /// A call that is over so soon here is not worth asking anybody.
    private static let trifle = Duration.milliseconds(1)

    /// Whether contracts can run on this machine.
    var canRun: Bool { limits.contracts == .on && EngineCheck.isInstalled }

    /// Has peers or this node run a call, whoever costs less. Without peers that run calls nobody
    /// is asked, unless this node cannot run it, has no time, or the answers of several are wanted.
    func resolve(
        _ call: Call, _ options: MeshOptions, memory: Memory, policy: Retrieval.Policy,
        trace: Trace
    ) async throws -> (end: CallEnd, answer: Compute.CallResult?) {
        if let known = known(call, memory, trace) { return (known, nil) }
        let asking = CallAsking(options)
        guard let mesh, policy == .network, asking.audit != .selfExecution,
            mesh.hasResponders || !canRun || asking.isOfSeveral || load.queue > Self.patience
        else {
            let end = try await run(
                call, memory: memory, policy: policy, deadline: options.deadline, trace: trace)
            return (end, nil)
        }
        return try await ask(
            call, asking, within: min(limits.time, options.deadline ?? limits.time),
            memory: memory, trace)
    }

    /// Whether it may pay to ask peers for a call that a contract makes here.
    func isWorthAsking(_ call: Call) -> Bool {
        guard let mesh, mesh.hasResponders || load.queue > Self.patience else { return false }
        guard let time = load.expectedTime(of: call) else { return true }
        return time + load.queue >= Self.trifle
    }

    /// Has peers or this node run a call.
    ///
    /// - Parameter asked: the same call as a contract waits for it.
    /// - Throws: ``FetchError``; `CancellationError`.
    func ask(
        _ call: Call, _ asking: CallAsking, within limit: Duration, memory: Memory,
        _ trace: Trace, for asked: AskedCall? = nil
    ) async throws -> (end: CallEnd, answer: Compute.CallResult?) {
        guard let mesh else { throw FetchError(.network, "this node takes no part in the mesh") }
        let cid = call.cid
        if let asked { waiting.withLock { $0[cid, default: []].append(asked) } }
        defer {
            if let asked {
                waiting.withLock { waiting in
                    waiting[cid]?.removeAll { $0 === asked }
                    if waiting[cid]?.isEmpty == true { waiting[cid] = nil }
                }
            }
        }
        let isLocal = canRun
        let loading = isLocal ? await loading(of: call.contract) : .zero
        var terms = asking.terms(expectedGas: load.expectedGas(of: call), patience: limit)
        terms.locality = asked?.locality
        do {
            // What a peer says is remembered as what it is, apart from what was computed here:
            // this node would vouch for that with its own name.
            let known = memory == .used ? await answers.history(of: call, store) : nil
            let answer = try await mesh.call(call, terms, asking.audit, known: known) { [load] in
                isLocal
                    ? load.capacity(
                        for: call, loading: loading, sharers: mesh.hasResponders ? 2 : 1) : nil
            }
            note(answer.trace, of: call, in: trace)
            if answer.responder == .here, let end = ends.end(of: cid, answer.record) {
                return (end, answer)
            }
            return (.result(result(answer), isFresh: true), answer)
        } catch let error as CallError {
            note(error.trace, of: call, in: trace)
            // What is no contract, or no method of one, is known here, if it was tried here; and so
            // is what this node lacks, which says more than that all others have failed, too.
            if error.trace.contains(where: { $0.responder == .here }),
                let end = try ends.refusal(of: cid)
            {
                return (end, nil)
            }
            // Where nobody is known at all, why this node does not run it is what can be mended.
            if error.kind == .nobody, limits.contracts == .on, !mesh.hasResponders {
                _ = try Engine.shared()
            }
            let time = error.kind == .timedOut ? ": it had \(name(of: limit))" : ""
            throw FetchError(error.code, "\(call.url): \(error)\(time)", trace: trace.entries)
        }
    }

    /// How long it takes until a contract can run here, about.
    private func loading(of contract: CID) async -> Duration {
        if programs.ready(contract) != nil { return .zero }
        let size = try? await store.size(of: contract.hash)
        return size.flatMap { $0 } == nil ? CallLoad.fetching : CallLoad.compiling
    }

    /// What a peer answered, as if it had been computed here.
    private func result(_ answer: Compute.CallResult) -> CallResult {
        CallResult(
            record: answer.record, cid: keep(answer.record), time: nil, share: PeerShare(answer))
    }

    private func note(_ steps: [CallTrace], of call: Call, in trace: Trace) {
        for step in steps {
            trace.note(
                call, peer: step.responder.peer.map { "\($0)" } ?? "this node",
                step.outcome.text, succeeded: step.outcome == .answered, took: step.took)
        }
    }
}

extension Computation: CallWorker {
    func start(
        _ call: Call, _ purpose: RunPurpose, done: @escaping @Sendable (CallRecord?) -> Void
    ) -> @Sendable () -> UInt64 {
        guard purpose.isOwn else { return startForPeer(call, done: done) }
        let stop: @Sendable () -> Void
        if let asked = waiting.withLock({ $0[call.cid]?.first }) {
            stop = start(call, for: asked, done: done)
        } else {
            stop = run(call, CallAsking(purpose)) { [self] end in
                done(record(of: end, call, isOwn: true))
            }
        }
        return {
            stop()
            return 0
        }
    }

    private func startForPeer(
        _ call: Call, done: @escaping @Sendable (CallRecord?) -> Void
    ) -> @Sendable () -> UInt64 {
        if !admits(call) {
            done(nil)
        } else if let known = memo.result(of: call.cid) {
            done(admitted(known.record))
        } else if let end = runBriefly(call, .used, .network, Trace(), peerRules) {
            done(record(of: .success(end), call, isOwn: false))
        } else {
            return line(call) { [self] end in done(record(of: end, call, isOwn: false)) }
        }
        return { 0 }
    }

    /// Runs a call for a peer when it is its turn.
    private func line(
        _ call: Call, _ finish: @escaping @Sendable (CallsUnderway.End) -> Void
    ) -> @Sendable () -> UInt64 {
        let work = load.begin(call, whole: true)
        let takeBack = peerLine.enter { [self] leave in
            load.end(work)
            return run(call, nil, rules: peerRules, ended: leave, done: finish)
        } gone: { [load] in
            load.end(work)
            finish(.failure(CancellationError()))
        }
        return { [load] in min(call.gas, load.gas(of: takeBack())) }
    }

    /// Runs a call that a contract waits for.
    private func start(
        _ call: Call, for asked: AskedCall, done: @escaping @Sendable (CallRecord?) -> Void
    ) -> @Sendable () -> Void {
        let work = load.begin(call, whole: false)
        return asked.runHere { [self] end in
            load.end(work)
            done(record(of: end, call, isOwn: true))
        }
    }

    private func record(
        of end: CallsUnderway.End, _ call: Call, isOwn: Bool
    ) -> CallRecord? {
        switch end {
        case .success(let end):
            if isOwn { ends.keep(end, of: call.cid) }
            guard case .result(let result, _) = end else { return nil }
            return isOwn ? result.record : admitted(result.record)
        case .failure(let error):
            if isOwn, !(error is CancellationError) { ends.keep(error, of: call.cid) }
            return nil
        }
    }

    var queue: Duration { load.queue }

    func replay(_ activation: ReplayOrder) async -> Replay? { try? await replayed(activation) }

    func records(_ cids: [CID], from peer: PeerID?) async -> [[UInt8]]? {
        var blocks: [[UInt8]] = []
        for cid in cids {
            guard let block = try? await source(of: cid).block(cid) else { return nil }
            blocks.append(Array(block.readableBytesView))
        }
        return blocks
    }

    func refuted(_ right: CallRecord?) {
        guard let right else { return }
        logger.warning("an answer was wrong", metadata: ["call": "\(right.call.cid)"])
    }

    func keep(_ receipt: Receipt) throws { try credit.keep(receipt) }

    func changed(_ change: BalanceChange) { credit.note(change) }
}

extension CallInfo {
    /// How a call went, from its result and, if it came over the mesh, what that said of it.
    init(_ result: CallResult, _ answer: Compute.CallResult?, isFresh: Bool) {
        gas = result.record.gas
        record = result.cid
        guard let answer else {
            responder = isFresh ? .here : .memory
            confidence = isFresh ? "computed here" : "computed here before"
            restsOnPeers = false
            return
        }
        let before = answer.isRemembered ? "answered before; " : ""
        switch answer.responder {
        case .here: responder = .here
        case .peer(let peer): responder = .peer(peer)
        }
        // What a peer ran rests on that peer alone; what ran here may rest on several.
        let isShared = answer.responder == .here && !result.share.isNone
        restsOnPeers = isShared || answer.responder != .here
        amount = isShared ? result.share.amount : answer.amount
        confidence = before + (isShared ? result.share.text : answer.confidence.text)
    }

    /// The responder as in the header `weft-responder`.
    var responderText: String {
        switch responder {
        case .here, .memory: "self"
        case .peer(let peer): "\(peer)"
        }
    }
}

extension CallError {
    /// The kind of failure, as a fetch says it.
    var code: FetchError.Code {
        switch kind {
        case .timedOut: .deadline
        case .overLimit: .resource
        case .disputed: .unverifiable
        case .nobody, .allFailed, .tooFew: .network
        }
    }
}

extension Computation {
    /// How many changes of balances are shown.
    private static let maxShownChanges = 1_024

    /// Writes down what peers owe this node and the other way round, if that has changed.
    ///
    /// - Parameter isLast: whether the node stops; then it is also written how peers have answered
    ///   since.
    func saveAccounts(isLast: Bool = false) async {
        answers.save()
        credit.willSave()
        guard let (book, responders) = await mesh?.creditBook() else { return }
        do {
            try credit.save(book, responders, isLast: isLast)
        } catch {
            logger.error("the accounts could not be written", metadata: ["error": "\(error)"])
        }
    }

    /// What peers owe this node and the other way round, and the last changes of that, the oldest
    /// first. Nothing for a node that takes no part in calls.
    public func balances() async throws -> (
        accounts: [(peer: PeerID, account: Account)], changes: [BalanceChange]
    ) {
        guard let (book, _) = await mesh?.creditBook() else { return ([], []) }
        let accounts = book.accounts.map { (peer: $0.key, account: $0.value) }
            .sorted { $0.peer.bytes.lexicographicallyPrecedes($1.peer.bytes) }
        return (accounts, credit.journal.read().suffix(Self.maxShownChanges))
    }
}

extension BalanceChange {
    /// Why the balance changed, in words.
    public var reason: String {
        let more = count > 1 ? " and \(count - 1) more" : ""
        return switch cause {
        case .served(let call, let gas): "ran call \(call)\(more) for it, \(gas) gas"
        case .received(let call, let gas): "it ran call \(call)\(more), \(gas) gas"
        case .withdrawn(let call, let gas):
            "it took back call \(call)\(more), which had used about \(gas) gas"
        case .writtenOff: "it signed for less, and is believed"
        case .faded: "some time has passed"
        case .lied: "it lied, and is not paid for that"
        case .signed(let amount): "it signed for \(amount) of what it owes"
        case .acknowledged(let amount): "this node signed for \(amount) of what it owes"
        }
    }
}
