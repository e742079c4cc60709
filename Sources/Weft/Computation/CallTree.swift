// The records of a call as a tree: read, and checked by running each activation again with the
// recorded results of what it called.

public import Compute
import IPLD
public import Multiformats
import NIOCore
import Synchronization
import WasmEngine
import Wire

/// A record in the tree of a call.
public struct CallNode: Sendable {
    /// How many records are above it.
    public let depth: Int
    /// The record's name.
    public let cid: CID
    /// The record.
    public let record: CallRecord
    /// How long it ran, if that was here and not long ago.
    public let time: Duration?
}

/// What running an activation again came to.
public struct CallCheck: Sendable {
    /// What was run again.
    public let node: CallNode
    /// What is wrong with its record; nil if nothing is.
    public let fault: String?
}

extension Computation {
    /// How many records of one tree are read.
    public static let maxTreeRecords = 100_000
    /// How many bytes of records are read for one tree. Those that stand in it several times count
    /// once.
    static let maxTreeBytes = 256 << 20

    /// The record of a call and those of all that it called, each before what it called.
    ///
    /// - Throws: ``FetchError``; `CancellationError`.
    public func tree(_ root: CID) async throws -> [CallNode] {
        var records = TreeRecords(root, self)
        return try await tree(root, &records)
    }

    private func tree(_ root: CID, _ records: inout TreeRecords) async throws -> [CallNode] {
        var nodes: [CallNode] = []
        var rest = [(cid: root, depth: 0)]
        while let next = rest.popLast() {
            guard nodes.count < Self.maxTreeRecords else {
                throw FetchError(
                    .tooLarge, "the call has more than \(Self.maxTreeRecords) records")
            }
            let node = try await node(next.cid, depth: next.depth, &records)
            nodes.append(node)
            guard next.depth + 1 < CallLimits.maxDepth || node.record.children.isEmpty else {
                throw FetchError(
                    .malformed, "the call has records more than \(CallLimits.maxDepth) deep")
            }
            rest += node.record.children.reversed().map { ($0, next.depth + 1) }
        }
        return nodes
    }

    /// Runs activations again, each with the recorded results of what it called.
    ///
    /// - Parameter alone: whether to check the one activation, not what it called.
    /// - Throws: ``FetchError`` if this node cannot; `CancellationError`.
    public func verify(
        _ root: CID, alone: Bool, found: (CallCheck) async throws -> Void
    ) async throws {
        var records = TreeRecords(root, self)
        let nodes =
            alone
            ? [try await node(root, depth: 0, &records)] : try await tree(root, &records)
        for node in nodes {
            var children: [CallRecord] = []
            for child in node.record.children { children.append(try await records.record(child)) }
            try await found(
                CallCheck(node: node, fault: try await replay(node.record, children)))
        }
    }

    private func node(
        _ cid: CID, depth: Int, _ records: inout TreeRecords
    ) async throws -> CallNode {
        let record = try await records.record(cid)
        let known = memo.result(of: record.call.cid)
        return CallNode(
            depth: depth, cid: cid, record: record, time: known?.cid == cid ? known?.time : nil)
    }

    /// What is wrong with a record; nil if running it again gives the same.
    private func replay(_ record: CallRecord, _ children: [CallRecord]) async throws -> String? {
        let order: ReplayOrder
        do throws(RecordFault) {
            order = try ReplayOrder(record, children: children)
        } catch {
            return "\(error)"
        }
        return try await fault(of: order)
    }

    /// What is wrong with the record of an activation that is run again; nil if nothing is.
    func fault(of order: ReplayOrder) async throws -> String? {
        let replay = try await replayed(order)
        guard order.isRefuted(by: replay) else { return nil }
        switch replay {
        case .strayed: return "it makes other calls than were recorded"
        case .record(let other):
            return """
                it comes to \(other.outcome.word) with \(other.gas) gas and another record, \
                \(other.cid)
                """
        }
    }

    /// Runs an activation again.
    ///
    /// - Throws: ``FetchError`` if this node cannot; `CancellationError`.
    func replayed(
        _ order: ReplayOrder, within time: Duration? = nil
    ) async throws -> Replay {
        do {
            let control = RunControl(time: min(limits.time, time ?? limits.time))
            let run = CallRun(self, try Engine.shared(), .unused, .network, control, Trace())
            return try await run.engine.onWorker(control) { try run.replay(order, control) }
        } catch {
            throw failure(error, Trace())
        }
    }
}

/// The records of a tree, each of which is read once.
private struct TreeRecords {
    private let source: any BlockSource
    private var known: [CID: CallRecord] = [:]
    private var bytes = 0

    init(_ root: CID, _ computation: Computation) { source = computation.source(of: root) }

    /// A record by its name.
    mutating func record(_ cid: CID) async throws -> CallRecord {
        if let known = known[cid] { return known }
        let block = try await source.block(cid)
        bytes += block.readableBytes
        guard bytes <= Computation.maxTreeBytes else {
            throw FetchError(
                .tooLarge, "the call's records have more than \(Computation.maxTreeBytes) bytes")
        }
        do throws(DecodeError) {
            let record = try CallRecord(decoding: block.readableBytesSpan)
            known[cid] = record
            return record
        } catch {
            throw FetchError(.malformed, "\(cid) is no record of a call: \(error)")
        }
    }
}

extension CallRun {
    /// Runs an activation again with the recorded results of what it called.
    fileprivate func replay(_ order: ReplayOrder, _ control: RunControl) throws -> Replay {
        guard let recorded = order.recorded else { return .strayed }
        let call = order.record.call
        guard
            let program = try computation.programs.program(
                call.contract, engine, content, control), program.answers(call.export)
        else { return .strayed }
        return try lending(program, call.contract, depth: 1, control) { program, bytes in
            let host = ReplayHost(self, call.contract, control, recorded)
            do {
                let result = try activate(program, call, bytes, control, host)
                return host.isExhausted ? .record(result.record) : .strayed
            } catch is ReplayHost.Strayed {
                return .strayed
            }
        }
    }

    /// What a recorded call answered.
    fileprivate func answer(_ record: CallRecord, _ control: RunControl) throws -> ContractAnswer {
        try content.answer(record, control)
    }
}

/// The host of an activation that is run again: calls are answered from records.
private final class ReplayHost: ActivationHost {
    /// The activation made a call that was not recorded in its place.
    struct Strayed: Error {}

    private struct State {
        var seen = Seen()
        var recorded: RecordedChildren
    }

    private let run: CallRun
    private let contract: CID
    private let control: RunControl
    private let state: Mutex<State>

    init(_ run: CallRun, _ contract: CID, _ control: RunControl, _ recorded: RecordedChildren) {
        self.run = run
        self.contract = contract
        self.control = control
        state = Mutex(State(recorded: recorded))
    }

    /// It runs alone: what it calls is recorded.
    var depth: Int { 1 }

    var seen: Seen { state.withLock { $0.seen } }

    var isExhausted: Bool { state.withLock { $0.recorded.isExhausted } }

    func noteRead(_ cid: CID) { state.withLock { $0.seen.read(cid) } }

    /// What it holds, its answer and the recorded ones, has limits of its own.
    func hold(_ bytes: Int) {}

    func begin(_ fetch: ContractFetch) throws -> any PendingAnswer {
        guard let gas = fetch.gas else {
            guard let (root, path) = fetch.content else { throw ContractMisuse() }
            noteRead(root)
            return Answered { [run, control] in try run.content.answer(root, path, control) }
        }
        let call = try run.call(fetch, gas: gas, of: contract, control)
        // Asked for in the order of the fetches; what is never asked for was not recorded.
        return Answered { try self.answer(call) }
    }

    private func answer(_ call: Call) throws -> ContractAnswer {
        let record = state.withLock { state -> CallRecord? in
            guard let record = state.recorded.answer(to: call) else { return nil }
            state.seen.call(record.cid)
            return record
        }
        if let record { return try run.answer(record, control) }
        // What calls nothing leaves no record.
        let end: CallEnd?
        do {
            let program = try run.computation.programs.program(
                call.contract, run.engine, run.content, control)
            if let program {
                end = program.answers(call.export) ? nil : .noMethod("")
            } else {
                end = .noContract("")
            }
        } catch is ContractFault {
            end = .noContract("")
        }
        guard let end else { throw Strayed() }
        return try run.content.answer(end, control)
    }
}
