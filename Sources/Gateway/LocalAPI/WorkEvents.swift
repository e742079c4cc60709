// Carries what threads at long work say to the call that asked for it.

import IPLD
import NIOConcurrencyHelpers

/// A bounded queue between threads and a task: threads wait while it is full.
final class WorkEvents: Sendable {
    private struct State {
        var entries: [Value] = []
        var progress: Value?
        var lastProgress: ContinuousClock.Instant?
    }

    private enum Room {
        case some
        case none
    }

    /// How many entries wait at most.
    private static let capacity = 1024
    /// How often it is said how far the work has come, at most.
    private static let progressInterval: Duration = .milliseconds(20)

    private let room = ConditionLock(value: Room.some)
    private let state = NIOLockedValueBox(State())
    private let isClosed = NIOLockedValueBox(false)
    /// Says that there is something to take; ends when nothing will come any more.
    let signal: AsyncStream<Void>
    private let ring: AsyncStream<Void>.Continuation

    init() {
        (signal, ring) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Says how far the work has come; an older word that nobody took is forgotten.
    func tell(progress: Value) {
        let now = ContinuousClock.now
        let isDue = state.withLockedValue { state in
            state.progress = progress
            guard state.lastProgress.map({ now - $0 >= Self.progressInterval }) ?? true else {
                return false
            }
            state.lastProgress = now
            return true
        }
        if isDue { ring.yield() }
    }

    /// Adds an entry, when there is room.
    func push(_ entry: Value) {
        room.lock(whenValue: .some)
        let count = state.withLockedValue { state in
            state.entries.append(entry)
            return state.entries.count
        }
        let isFull = count >= Self.capacity && !isClosed.withLockedValue { $0 }
        room.unlock(withValue: isFull ? .none : .some)
        ring.yield()
    }

    /// Adds entries that need not arrive, waiting for room no longer than `patience` in all; false
    /// if some were left out because nobody takes them.
    func offer(_ entries: [Value], within patience: Duration) -> Bool {
        let deadline = ContinuousClock.now + patience
        for entry in entries {
            let left = max(.zero, deadline - .now) / .seconds(1)
            guard room.lock(whenValue: .some, timeoutSeconds: left) else { return false }
            let count = state.withLockedValue { state in
                state.entries.append(entry)
                return state.entries.count
            }
            let isFull = count >= Self.capacity && !isClosed.withLockedValue { $0 }
            room.unlock(withValue: isFull ? .none : .some)
            ring.yield()
        }
        return true
    }

    /// What has come since the last time.
    func take() -> [Value] {
        room.lock()
        defer { room.unlock(withValue: .some) }
        return state.withLockedValue { state in
            var taken = state.entries
            if let progress = state.progress { taken.append(progress) }
            state.entries = []
            state.progress = nil
            return taken
        }
    }

    /// Says that nothing more will come.
    func finish() { ring.finish() }

    /// Lets no thread wait any more; what they say is lost.
    func close() {
        isClosed.withLockedValue { $0 = true }
        room.lock()
        room.unlock(withValue: .some)
    }

    /// Runs work and passes on what it says while it runs.
    static func follow<Result: Sendable>(
        _ emit: APIAnswer.Emit,
        _ work: @escaping @Sendable (WorkEvents) async throws -> Result
    ) async throws -> Result {
        let events = WorkEvents()
        return try await withThrowingTaskGroup(of: Result.self) { group in
            group.addTask {
                defer { events.finish() }
                return try await work(events)
            }
            do {
                for await _ in events.signal {
                    for event in events.take() { try await emit(event) }
                }
                for event in events.take() { try await emit(event) }
            } catch {
                // Nobody listens any more: let the work end.
                events.close()
                throw error
            }
            guard let result = try await group.next() else { throw CancellationError() }
            return result
        }
    }
}
