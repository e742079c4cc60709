// A call that contracts of one run make: perhaps the same one several times at once.

import Synchronization

/// A call under way within a run, with those who want its end.
final class CallChild: Sendable {
    private let count = Mutex(1)
    private let end: @Sendable () throws -> CallEnd
    private let cancel: @Sendable () -> Void
    private let ended: @Sendable (CallChild) -> Void

    /// - Parameters:
    ///   - end: gives its end; blocks until then.
    ///   - cancel: gives it up.
    ///   - ended: called when nobody wants it any more.
    init(
        _ end: @escaping @Sendable () throws -> CallEnd, cancel: @escaping @Sendable () -> Void,
        ended: @escaping @Sendable (CallChild) -> Void
    ) {
        self.end = end
        self.cancel = cancel
        self.ended = ended
    }

    /// One more wants it. False if it has been given up.
    func join() -> Bool {
        count.withLock { count in
            guard count > 0 else { return false }
            count += 1
            return true
        }
    }

    /// Its end. It blocks.
    func value() throws -> CallEnd { try end() }

    /// One wants it no longer; the last one ends it.
    func leave() {
        let isLast = count.withLock { count in
            count -= 1
            return count == 0
        }
        guard isLast else { return }
        ended(self)
        cancel()
    }
}
