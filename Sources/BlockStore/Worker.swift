// The store's own threads, and how other code waits for them.

import Dispatch
import NIOPosix
import Synchronization

/// Runs jobs on threads that may block.
final class Worker: Sendable {
    private let pool: NIOThreadPool

    init(threads: Int) {
        pool = NIOThreadPool(numberOfThreads: threads)
        pool.start()
    }

    /// Runs a job without holding up the caller's thread.
    func run<Result: Sendable>(
        _ job: @escaping @Sendable () throws(StoreError) -> Result
    ) async throws(StoreError) -> Result {
        let outcome = await withCheckedContinuation { continuation in
            submit(job) { continuation.resume(returning: $0) }
        }
        return try outcome.get()
    }

    /// Runs a job while the caller's thread waits, which must not be one of this worker's.
    func runAndWait<Result: Sendable>(
        _ job: @escaping @Sendable () throws(StoreError) -> Result
    ) throws(StoreError) -> Result {
        let done = DispatchSemaphore(value: 0)
        let box = Mutex<Swift.Result<Result, StoreError>>(.failure(.closed))
        submit(job) { outcome in
            box.withLock { $0 = outcome }
            done.signal()
        }
        done.wait()
        return try box.withLock { $0 }.get()
    }

    /// Runs a job some time; `done` is called on the worker's thread, or at once if it has stopped.
    func submit<Result: Sendable>(
        _ job: @escaping @Sendable () throws(StoreError) -> Result,
        done: @escaping @Sendable (Swift.Result<Result, StoreError>) -> Void
    ) {
        pool.submit { state in
            guard state == .active else { return done(.failure(.closed)) }
            do throws(StoreError) {
                done(.success(try job()))
            } catch {
                done(.failure(error))
            }
        }
    }

    /// Ends the threads some time after the jobs that run.
    func abandon() { pool.shutdownGracefully { _ in } }

    /// Lets running jobs finish; those that wait fail as closed.
    func stop() async {
        await withCheckedContinuation { continuation in
            pool.shutdownGracefully { _ in continuation.resume() }
        }
    }
}
