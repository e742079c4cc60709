// One call with all the calls that it makes: each activation runs on a worker's thread, has its own
// host, and leaves a record.

import BlockStore
import Compute
import Cryptography
import IPLD
import Multiformats
import NIOCore
import Synchronization
import WasmEngine
import WasmRules
import Wire

/// A call under way, with all that it calls.
final class CallRun: Sendable {
    let computation: Computation
    let engine: Engine
    let content: CallContent
    let memory: Computation.Memory
    /// On what terms peers may be asked for what it calls; nil if all runs here.
    private let asking: CallAsking?
    /// What ends all of it.
    private let control: RunControl
    /// What its activations have others do.
    let line: RunLine
    private let tree: InstanceMemory.Tree
    private let activations = Atomic<Int>(0)
    private let written = Atomic<Int64>(0)
    /// The calls that it makes now: those that are made twice at a time are one.
    private let children = Mutex<[CID: CallChild]>([:])

    init(
        _ computation: Computation, _ engine: Engine, _ memory: Computation.Memory,
        _ policy: Retrieval.Policy, _ control: RunControl, _ trace: Trace,
        asking: CallAsking? = nil, rules: PeerCallRules? = nil
    ) {
        self.computation = computation
        self.engine = engine
        self.memory = memory
        self.asking = asking
        self.control = control
        line = RunLine(engine.workers)
        tree = computation.memory.plant()
        content = computation.content(policy, trace, rules, engine.workers.places)
    }

    /// A result in memory that may be used.
    func known(_ call: Call) -> CallResult? {
        memory == .used ? computation.memo.result(of: call.cid) : nil
    }

    /// Counts an activation that is to begin.
    private func admit(depth: Int) throws(ResourceFailure) {
        guard depth <= Engine.maxDepth else { throw .depth(limit: Engine.maxDepth) }
        try count()
    }

    private func count() throws(ResourceFailure) {
        let count = activations.add(1, ordering: .relaxed).newValue
        guard count <= computation.limits.calls else {
            throw .calls(limit: computation.limits.calls)
        }
    }

    /// Adds what is too long for a record as content.
    func add(_ bytes: ByteBuffer, _ control: RunControl) throws -> CID {
        let total = written.add(Int64(bytes.readableBytes), ordering: .relaxed).newValue
        let limit = Int64(clamping: computation.limits.written)
        guard total <= limit else { throw ResourceFailure.written(limit: limit) }
        return try computation.add(bytes, control)
    }

    /// Begins a call that a contract makes, or joins one that is under way. It blocks nobody.
    ///
    /// - Parameter place: how many calls the activation has begun before.
    func start(_ call: Call, depth: Int, place: Int) throws -> CallChild {
        let cid = call.cid
        return try children.withLock { children in
            if let known = children[cid], known.join() {
                try count()
                return known
            }
            let new = try begin(call, depth: depth, place: place) { [weak self] child in
                self?.children.withLock { if $0[cid] === child { $0[cid] = nil } }
            }
            children[cid] = new
            return new
        }
    }

    private func begin(
        _ call: Call, depth: Int, place: Int,
        ended: @escaping @Sendable (CallChild) -> Void
    ) throws -> CallChild {
        // Not within that of the activation that makes it first: others may want it longer.
        let control = RunControl(within: control)
        if let asking, computation.isWorthAsking(call) {
            try count()
            let asked = AskedCall(
                self, asking, call, control, depth: depth, place: place)
            computation.askingLine.enter(asked.begin)
            return CallChild(asked.value, cancel: asked.abandon, ended: ended)
        }
        let job = line.submit { Result { try self.perform(call, control, depth: depth) } }
        return CallChild({ try job.value().get() }, cancel: control.cancel, ended: ended)
    }

    /// Does a call on this thread, one of the engine's: takes the result that is remembered, or
    /// runs the contract and keeps the record.
    func perform(_ call: Call, _ control: RunControl, depth: Int) throws -> CallEnd {
        try control.check()
        try content.admit(call.contract)
        let indent = String(repeating: "· ", count: depth - 1)
        let mark = content.trace.begin(.call, indent + call.url)
        do {
            let end = try find(call, control, depth: depth)
            content.trace.end(mark, Self.words(end), succeeded: true)
            return end
        } catch {
            content.trace.end(mark, "no result: \(error)", succeeded: false)
            throw error
        }
    }

    /// Does a call of which nothing is remembered on this thread, whosever it is, as long as that
    /// is brief.
    ///
    /// - Throws: `NotBrief`, or what went wrong; then it has to be done by one of the engine's.
    func performBriefly(_ call: Call) throws -> CallEnd {
        try content.admit(call.contract)
        let start = ContinuousClock.now
        let end = try make(call, control, depth: 1)
        let took = start.duration(to: .now)
        content.trace.note(call, Self.words(end), succeeded: true, took: took)
        return end
    }

    private static func words(_ end: CallEnd) -> String {
        switch end {
        case .result(let result, _): "\(result.ending), \(result.record.gas) gas"
        case .noMethod: "no such method"
        case .noContract: "no contract"
        }
    }

    private func find(_ call: Call, _ control: RunControl, depth: Int) throws -> CallEnd {
        if memory == .used, let known = try computation.remembered(call, control) {
            return .result(known, isFresh: false)
        }
        return try make(call, control, depth: depth)
    }

    /// Runs the contract, whatever is remembered.
    private func make(_ call: Call, _ control: RunControl, depth: Int) throws -> CallEnd {
        try admit(depth: depth)
        let program: Program
        do {
            guard
                let found = try computation.programs.program(
                    call.contract, engine, content, control)
            else { return .noContract("\(call.contract) is no file of up to 4 MiB") }
            program = found
        } catch let fault as ContractFault {
            return .noContract("\(fault)")
        }
        guard program.answers(call.export) else {
            return .noMethod("\(ContractFault.noMethod(call.export, known: program.methods))")
        }
        let result = try lending(program, call.contract, depth: depth, control) { program, bytes in
            let host = CallHost(self, call.contract, control, depth: depth)
            defer { host.letGo() }
            return try activate(program, call, bytes, control, host)
        }
        // What rests on the word of peers is not remembered as this node's own.
        if result.share.isNone { computation.memo.keep(result, of: call.cid) }
        computation.programs.improve(call.contract, program, engine)
        computation.ran(call.contract)
        return .result(result, isFresh: true)
    }

    /// Runs a program with the memory that it needs; if its code was made in haste and needs more
    /// stack than there is, once more with code made in full.
    func lending<Result>(
        _ program: Program, _ contract: CID, depth: Int, _ control: RunControl,
        _ body: (Program, Int64) throws -> Result
    ) throws -> Result {
        func run(_ program: Program) throws -> Result {
            try computation.memory.lend(
                atLeast: program.memoryBytes, usually: program.usedMemory, depth: depth, of: tree,
                control
            ) { try body(program, $0) }
        }
        do {
            return try run(program)
        } catch ResourceFailure.stack where program.isDraft {
            try control.checkMayBlock()
            return try run(computation.programs.improved(contract, program))
        }
    }

    /// Runs an activation, which may have so many bytes of memory, and makes what came of it into a
    /// result.
    func activate<Host: ActivationHost>(
        _ program: Program, _ call: Call, _ memory: Int64, _ control: RunControl, _ host: Host
    ) throws -> CallResult {
        let start = ContinuousClock.now
        let waited = control.waited
        let request = try request(call, control, host)
        let outcome = try engine.execute(
            program, request,
            limits: RunLimits(
                outputBytes: Int(clamping: computation.limits.output), memoryBytes: memory),
            control: control, host: host)
        let time = start.duration(to: .now)
        let seen = host.seen
        let record = try record(call, outcome, seen.reads, seen.children, control)
        computation.load.note(record, took: time - (control.waited - waited))
        return CallResult(
            record: record, cid: computation.keep(record), time: time, share: seen.share,
            reason: outcome.reason)
    }

    private func request(
        _ call: Call, _ control: RunControl, _ host: some ActivationHost
    ) throws -> ContractRequest {
        let body: Content =
            switch call.body {
            case .inline(let bytes): .bytes(ByteBuffer(bytes: bytes))
            case .content(let cid): .file(try content.file(cid, control))
            }
        var directory: (any ContentDirectory)?
        if let root = call.directory {
            host.noteRead(root)
            directory = CallDirectory(root, content, control)
        }
        return ContractRequest(
            verb: call.method, method: call.export, path: call.path, query: call.query,
            headers: call.headerNames.map { ContractHeader($0, call.header($0) ?? "") },
            body: body, seed: Self.seed(call.cid), gas: Int64(call.gas),
            directory: directory)
    }

    /// What `seed` is derived from (docs/contracts-rules.md).
    private static func seed(_ call: CID) -> [UInt8] {
        var hash = SHA256()
        hash.update(Array("weft seed".utf8).rawSpan)
        hash.update(call.bytes.rawSpan)
        return hash.finalize()
    }

    /// The record of an activation.
    func record(
        _ call: Call, _ outcome: ContractOutcome, _ reads: [CID], _ children: [CID],
        _ control: RunControl
    ) throws -> CallRecord {
        var output: CallOutput?
        if outcome.status == .ok {
            var headers = CallHeaders()
            for header in outcome.response.headers { try headers.set(header.name, header.value) }
            let bytes = outcome.response.body
            let body: CallBody =
                bytes.readableBytes <= CallLimits.maxInlineBytes
                ? .inline([UInt8](buffer: bytes))
                : .content(try add(bytes, control))
            output = CallOutput(
                status: UInt16(outcome.response.status), headers: headers, body: body)
        }
        return try CallRecord(
            call, outcome: Outcome(outcome.status), output: output, gas: UInt64(outcome.gas),
            ownGas: UInt64(outcome.ownGas), reads: reads, children: children)
    }
}

extension Call {
    /// The name of the method: `index` where the path names none.
    var export: String { function.isEmpty ? "index" : function }
}

extension Outcome {
    /// The outcome that a run's status comes to.
    fileprivate init(_ status: CallStatus) {
        switch status {
        case .ok: self = .ok
        case .outOfGas: self = .outOfGas
        case .stackExhausted: self = .stackExhausted
        case .trap, .resource: self = .trap
        }
    }
}
