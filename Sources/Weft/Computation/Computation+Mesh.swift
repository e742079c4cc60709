// Calls that cross the mesh: those that peers ask this node to run, and those of this node that
// peers may run. This node is a candidate like any other (docs/call-protocol.md).

import BlockStore
public import Compute
import IPLD
import Logging
public import Multiformats
import NIOCore
import NodeCore
import Synchronization
import WasmEngine

extension Computation {
    /// How much gas this machine runs in a second, about, before it is known better.
    static let usualSpeed: UInt64 = 1_000_000_000
    /// How many ends without a result are remembered.
    private static let maxEnds = 256

    /// Has peers or this node run a call, whoever costs less. Without peers that run calls, or if
    /// this node is to run it itself, nothing is asked.
    func resolve(
        _ call: Call, _ options: MeshOptions, memory: Memory, policy: Retrieval.Policy,
        trace: Trace
    ) async throws -> (end: CallEnd, answer: Compute.CallResult?) {
        guard let mesh, mesh.hasResponders, options.audit != Audit.selfExecution, policy == .network
        else {
            let end = try await run(
                call, memory: memory, policy: policy, deadline: options.deadline, trace: trace)
            return (end, nil)
        }
        if let known = known(call, memory, trace) { return (known, nil) }
        var terms = CallTerms(patience: min(limits.time, options.deadline ?? limits.time))
        if let price = options.maxPrice { terms.maxPrice = Price(rate: price) }
        terms.value = options.value
        let here = LocalCapacity(speed: Self.usualSpeed)
        do {
            // What a peer says is remembered as what it is, apart from what was computed here:
            // this node would vouch for that with its own name.
            let answer = try await mesh.call(
                call, terms, (options.audit ?? .sample).machine,
                known: memory == .used ? await answers.history(of: call, store) : nil, here: here)
            note(answer.trace, of: call, in: trace)
            return (.result(try await result(answer, trace), isFresh: true), answer)
        } catch let error as CallError {
            note(error.trace, of: call, in: trace)
            // What is no contract, or no method of one, is known here, if it was tried here.
            if let end = ends.withLock({ $0.removeValue(forKey: call.cid) }) { return (end, nil) }
            throw FetchError(error.code, "\(call.url): \(error)", trace: trace.entries)
        }
    }

    /// What a peer answered, as if it had been computed here.
    private func result(
        _ answer: Compute.CallResult, _ trace: Trace
    ) async throws -> CallResult {
        let record = answer.record
        let content = content(.network, trace)
        let control = RunControl(time: limits.time)
        // Bytes that are there already need no thread that may wait, nor an engine.
        let body =
            if case .content = record.output?.body {
                try await Engine.shared().onWorker(control) {
                    try content.body(of: record, control)
                }
            } else {
                try content.body(of: record, control)
            }
        return CallResult(record: record, cid: keep(record), time: nil, body: body)
    }

    private func note(_ steps: [CallTrace], of call: Call, in trace: Trace) {
        for step in steps {
            let peer =
                switch step.responder {
                case .here: "this node"
                case .peer(let peer): "\(peer)"
                }
            trace.note(
                .call, call.url, peer: peer, step.outcome.text,
                succeeded: step.outcome == .answered, took: step.took)
        }
    }
}

extension Computation: CallWorker {
    private func note(_ end: CallEnd, of call: Call) {
        ends.withLock { ends in
            // Of calls that others answered after all, nobody takes it out.
            if ends.count >= Self.maxEnds { ends = [:] }
            ends[call.cid] = end
        }
    }

    func run(_ call: Call, for peer: PeerID?) async -> CallRecord? {
        do {
            let end = try await run(
                call, memory: .used, policy: .network, deadline: nil, trace: Trace())
            if case .result(let result, _) = end { return result.record }
            if peer == nil { note(end, of: call) }
        } catch {
            logger.debug(
                "a call has no result", metadata: ["call": "\(call.url)", "why": "\(error)"])
        }
        return nil
    }

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
            return
        }
        let before = answer.isRemembered ? "answered before; " : ""
        switch answer.responder {
        case .here: responder = .here
        case .peer(let peer): responder = .peer(peer)
        }
        confidence = before + answer.confidence.text
        amount = answer.amount
    }

    /// The responder as in the header `weft-responder`.
    var responderText: String {
        switch responder {
        case .here, .memory: "self"
        case .peer(let peer): "\(peer)"
        }
    }
}

extension Confidence {
    /// What may be believed, and what that rests on, in a line.
    var text: String {
        let what =
            switch basis {
            case .executedHere: "computed here"
            case .agreement(let count): "\(count) peers agree"
            case .sampling(let millionths):
                "\(Double(millionths) / 10_000) % of answers are checked"
            case .history: "not checked"
            }
        let error = Double(errorRate) / 10_000
        return "\(what); wrong in \(error) % of cases, if "
            + assumptions.joined(separator: ", and ")
    }
}

extension CallTrace.Outcome {
    /// What came of asking, in words.
    var text: String {
        switch self {
        case .answered: "answered"
        case .failed(let failure): "no answer: \(failure)"
        case .notRunHere: "could not be run here"
        case .passedOn(let count): "passed on the signed answers of \(count) others"
        case .cancelled: "not needed any more"
        case .refuted: "its answer was wrong"
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
        case .nobody, .allFailed: .network
        }
    }
}

extension Computation {
    /// How many changes of balances are shown.
    private static let maxShownChanges = 1_024

    /// Writes down what peers owe this node and the other way round, if that has changed.
    func saveAccounts() async {
        answers.save()
        guard let (book, responders) = try? await mesh?.creditBook() else { return }
        do {
            try credit.save(book, responders)
        } catch {
            logger.error("the accounts could not be written", metadata: ["error": "\(error)"])
        }
    }

    /// What peers owe this node and the other way round, and the last changes of that, the oldest
    /// first. Nothing for a node that takes no part in calls.
    public func balances() async throws -> (
        accounts: [(peer: PeerID, account: Account)], changes: [BalanceChange]
    ) {
        guard let (book, _) = try await mesh?.creditBook() else { return ([], []) }
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
        case .writtenOff: "it signed for less, and is believed"
        case .lied: "it lied, and is not paid for that"
        case .signed(let amount): "it signed for \(amount) of what it owes"
        case .acknowledged(let amount): "this node signed for \(amount) of what it owes"
        }
    }
}
