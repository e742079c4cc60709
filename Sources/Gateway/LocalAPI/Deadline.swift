// Bounds work that has no deadline of its own.

import Weft

/// Bounds work in time.
enum Deadline {
    /// Runs work that must be done in time; it is cancelled when it is not.
    static func within<Result: Sendable>(
        _ deadline: Duration?, _ work: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        guard let deadline else { return try await work() }
        return try await withThrowingTaskGroup(of: Result.self) { group in
            group.addTask { try await work() }
            group.addTask {
                try await Task.sleep(for: deadline)
                throw FetchError(
                    .deadline, "it was not done in \(DurationText.text(deadline))")
            }
            defer { group.cancelAll() }
            guard let result = try await group.next() else { throw CancellationError() }
            return result
        }
    }
}
