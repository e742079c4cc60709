// How long others are waited for: work is given up when one of its waits takes too long, however
// long the whole takes.

import Synchronization

/// The waits of some work, one after the other.
final class Patience: Sendable {
    /// Somebody was waited for too long.
    struct Exhausted: Error {}

    private let waiting = Mutex<ContinuousClock.Instant?>(nil)

    private init() {}

    /// Runs `body` and cancels it when one of its waits takes longer than `limit`.
    ///
    /// - Throws: ``Exhausted`` then; else what `body` throws.
    static func run<Result: Sendable>(
        _ limit: Duration, _ body: @escaping @Sendable (Patience) async throws -> Result
    ) async throws -> Result {
        let patience = Patience()
        return try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addTask { try await body(patience) }
            group.addTask {
                while true {
                    let since = patience.waiting.withLock { $0 } ?? .now
                    let left = limit - since.duration(to: .now)
                    guard left > .zero else { return nil }
                    try await Task.sleep(for: left)
                }
            }
            defer { group.cancelAll() }
            guard let result = try await group.next() ?? nil else { throw Exhausted() }
            return result
        }
    }

    /// A wait. Another one begins only when it is over.
    func wait<Result: Sendable>(
        _ body: () async throws -> Result
    ) async rethrows -> Result {
        waiting.withLock { $0 = .now }
        defer { waiting.withLock { $0 = nil } }
        return try await body()
    }
}
