// `add`: files, folders and streams become content of this node.

import BlockStore
import Glibc
import Multiformats
import NIOCore
import NIOPosix

extension Node {
    /// Adds files and folders, with all they hold. They are durable when it returns.
    ///
    /// Cancelling leaves nothing behind but space that the next collection frees.
    /// - Parameters:
    ///   - paths: relative ones start at the working directory. Links among them are added as
    ///     links.
    ///   - observer: is told how far it has come.
    /// - Throws: ``ImportError``, ``SystemError``, or an error of the store.
    public func add(
        _ paths: [String], _ options: AddOptions = AddOptions(),
        observer: AddObserver = AddObserver()
    ) async throws -> AddResult {
        guard !paths.isEmpty else { throw ImportError.nothing }
        let absolute = try paths.map(Files.absolute)
        let session = ImportSink(store, options.placement)
        let work = try TreeImport(
            absolute, options: options, session: session, observer: observer)
        try await onThreads(System.coreCount, cancel: work.stop) { work.run() }
        let result = try work.result(order: absolute)
        try await keep(result.roots.map(\.cid), from: session, options.pinning)
        return result
    }

    /// Makes what a session wrote durable, with pins on its roots.
    func keep(
        _ roots: [CID], from session: WriteSession, _ pinning: AddOptions.Pinning
    ) async throws {
        try Task.checkCancellation()
        if case .pinned(let name) = pinning {
            for root in roots { session.pin(root, .recursive, name: name) }
        }
        try await session.commit()
        mesh.announcer?.added(roots)
    }

    /// As above, for what an import wrote, if it wrote at all.
    func keep(
        _ roots: [CID], from sink: ImportSink, _ pinning: AddOptions.Pinning
    ) async throws {
        guard case .session(let session) = sink else { return }
        try await keep(roots, from: session, pinning)
    }

    /// Runs `body` on threads of its own, for work that waits for disks and would hold up
    /// everything else on the shared ones.
    private func onThreads(
        _ count: Int, cancel: @escaping @Sendable (any Error) -> Void,
        _ body: @escaping @Sendable () -> Void
    ) async throws {
        let pool = NIOThreadPool(numberOfThreads: count)
        pool.start()
        await withTaskCancellationHandler {
            await withTaskGroup { group in
                for _ in 0..<count {
                    group.addTask {
                        do {
                            try await pool.runIfActive(body)
                        } catch {
                            // A cancelled task's work is not begun by the pool.
                            cancel(error)
                        }
                    }
                }
            }
        } onCancel: {
            cancel(CancellationError())
        }
        try await pool.shutdownGracefully()
    }
}
