// The contracts that this node has compiled and keeps ready, by their CIDs.

import Multiformats
import Synchronization
import WasmEngine
public import WasmRules

extension InstrumentedModule {
    /// Looks whether nodes offer contracts what it imports.
    ///
    /// - Throws: what is missing, in words.
    public func checkImports() throws { try Program.checkImports(of: self) }
}

/// Compiled contracts. Each is compiled once, whoever asks for it meanwhile.
final class Programs: Sendable {
    /// The most that are kept, and the bytes of their code together.
    fileprivate static let maxCount = 256
    fileprivate static let maxBytes = 256 << 20

    private typealias Loading = Job<Result<Program, any Error>>

    private struct State {
        var loading: [CID: Loading] = [:]
        var ready: [CID: Program] = [:]
        /// In the order in which they were compiled; the first go first.
        var order: [CID] = []
        var bytes = 0
        /// Those that are being compiled once more, or cannot be.
        var improving: Set<CID> = []

        mutating func makeRoom() {
            while order.count > Programs.maxCount
                || bytes > Programs.maxBytes && order.count > 1
            {
                let oldest = order.removeFirst()
                improving.remove(oldest)
                if let gone = ready.removeValue(forKey: oldest) { bytes -= gone.codeBytes }
            }
        }
    }

    private let cache: CompiledCache
    private let state = Mutex(State())

    init(_ cache: CompiledCache) {
        self.cache = cache
    }

    /// A contract that is ready.
    func ready(_ cid: CID) -> Program? { state.withLock { $0.ready[cid] } }

    /// A contract, fetched and compiled if it is not ready; nil if there is no file of its name
    /// that could be one.
    ///
    /// - Throws: `ContractFault`, `ResourceFailure`, or why its module cannot be had.
    func program(
        _ cid: CID, _ engine: Engine, _ content: CallContent, _ control: RunControl
    ) throws -> Program? {
        while true {
            if let program = ready(cid) { return program }
            try control.checkMayBlock()
            let (loading, isOwn) = state.withLock { state -> (Loading, Bool) in
                if let loading = state.loading[cid] { return (loading, false) }
                let loading = Loading { [self] in
                    Result {
                        // Those who wait for this as well learn that it takes longer.
                        let module = try content.module(cid, control) {
                            self.state.withLock { $0.loading[cid] }?.goFar()
                        }
                        guard let module else { throw NoModule() }
                        return try Program(
                            module, engine: engine, cache: cache, effort: .draft)
                    }
                }
                state.loading[cid] = loading
                return (loading, true)
            }
            let loaded = try loading.value { try content.waiting($0) }
            do {
                let program = try loaded.get()
                keep(program, cid)
                return program
            } catch {
                state.withLock { state in
                    if state.loading[cid] === loading { state.loading[cid] = nil }
                }
                if error is NoModule { return nil }
                // Whoever began had a time and limits of its own, and may have been cancelled.
                guard !isOwn, !(error is ContractFault) else { throw error }
                try control.check()
            }
        }
    }

    private struct NoModule: Error {}

    /// Has a program that was compiled in haste compiled once more, by a thread of the engine, now
    /// that nobody waits for it.
    func improve(_ cid: CID, _ program: Program, _ engine: Engine) {
        let isNext =
            program.isDraft
            && state.withLock { state in
                state.ready[cid] === program && state.improving.insert(cid).inserted
            }
        guard isNext else { return }
        do {
            try engine.workers.submit { [self] in
                // If this fails, the draft stays, and that is not tried again.
                guard let better = try? program.improved() else { return }
                replace(program, by: better, cid)
            }
        } catch {
            // Too much waits; a later call tries again.
            state.withLock { _ = $0.improving.remove(cid) }
        }
    }

    /// The same program, compiled once more now: the code that was made in haste needs more stack
    /// than there is.
    func improved(_ cid: CID, _ program: Program) throws -> Program {
        let better = try program.improved()
        replace(program, by: better, cid)
        return better
    }

    private func replace(_ program: Program, by better: Program, _ cid: CID) {
        state.withLock { state in
            state.improving.remove(cid)
            guard state.ready[cid] === program else { return }
            state.ready[cid] = better
            state.bytes += better.codeBytes - program.codeBytes
            state.makeRoom()
        }
    }

    private func keep(_ program: Program, _ cid: CID) {
        state.withLock { state in
            state.loading[cid] = nil
            guard state.ready.updateValue(program, forKey: cid) == nil else { return }
            state.order.append(cid)
            state.bytes += program.codeBytes
            state.makeRoom()
        }
    }
}
