// Every change of a balance, with its cause, in the order in which they happened. What a killed
// process had not written down of its accounts follows from it, and `weft balance` reads it.

import Compute
import Glibc
import Multiformats
import Synchronization
import Wire

/// A file of changes of balances, and the one before it.
///
/// What others have signed, and all that follows from it, is handed to the system at once. Of what
/// was served and received as much may be lost with a killed process as happened within
/// ``writeInterval``: who notes that does not wait for a disk.
final class BalanceJournal: Sendable {
    /// How long a file gets before it takes the place of the one before it, in bytes.
    private static let maxFileBytes = 4 << 20
    /// How often changes are written while there are many.
    static let writeInterval = Duration.milliseconds(50)
    /// How many are written at a time; of more, those of one peer and kind are written as one.
    private static let maxPending = 32

    private struct State {
        var pending: [BalanceChange] = []
        var isScheduled = false
        var mergeAt = BalanceJournal.maxPending
    }

    private let path: String
    private let state = Mutex(State())
    /// Held while the file is written.
    private let file = Mutex(())

    /// A journal at a path.
    init(_ path: String) { self.path = path }

    /// Notes a change.
    func note(_ change: BalanceChange) {
        let isFirst = state.withLock { state in
            state.pending.append(change)
            if state.pending.count > state.mergeAt {
                Self.merge(&state.pending)
                state.mergeAt = max(Self.maxPending, 2 * state.pending.count)
            }
            defer { state.isScheduled = true }
            return !state.isScheduled
        }
        guard !change.isSettled else { return flush() }
        guard isFirst else { return }
        Task { @concurrent in
            // Cancelled is the only way in which sleeping fails, and nobody cancels this.
            try? await Task.sleep(for: Self.writeInterval)
            self.flush()
        }
    }

    /// Hands what is noted to the system.
    func flush() {
        file.withLock { _ in
            let changes = state.withLock { state in
                state.isScheduled = false
                state.mergeAt = Self.maxPending
                defer { state.pending = [] }
                return state.pending
            }
            write(changes)
        }
    }

    /// All changes that are still there, the oldest first.
    func read() -> [BalanceChange] {
        flush()
        return file.withLock { _ in Self.changes(path + ".old") + Self.changes(path) }
    }

    private static func changes(_ path: String) -> [BalanceChange] {
        // Without it there is less to be shown and to go by, as after a lost disk; no lie.
        let bytes = (try? SmallFile.read(path, limit: 2 * maxFileBytes)) ?? []
        var changes: [BalanceChange] = []
        var place = 0
        while bytes.count - place >= 2 {
            let length = Int(bytes[place]) << 8 | Int(bytes[place + 1])
            let end = place + 2 + length
            // A torn end is no change.
            guard end <= bytes.count,
                let change = try? BalanceChange(storage: Array(bytes[place + 2..<end]).rawSpan)
            else { break }
            changes.append(change)
            place = end
        }
        return changes
    }

    /// Puts changes of one peer and kind together, each where the last of them was.
    private static func merge(_ pending: inout [BalanceChange]) {
        var merged: [BalanceChange] = []
        for change in pending {
            let place = merged.firstIndex { $0.merged(with: change) != nil }
            guard let place, let both = merged.remove(at: place).merged(with: change) else {
                merged.append(change)
                continue
            }
            merged.append(both)
        }
        pending = merged
    }

    private func write(_ changes: [BalanceChange]) {
        guard !changes.isEmpty else { return }
        var bytes: [UInt8] = []
        for change in changes {
            let stored = change.stored
            bytes += [UInt8(truncatingIfNeeded: stored.count >> 8), UInt8(stored.count & 0xff)]
            bytes += stored
        }
        let file = Glibc.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard file >= 0 else { return }
        defer { close(file) }
        let written = Glibc.write(file, bytes, bytes.count)
        let size = lseek(file, 0, SEEK_END)
        // What was written of a change that did not fit is no change, and hides those after it.
        if written > 0, written < bytes.count { ftruncate(file, size - off_t(written)) }
        if size > off_t(Self.maxFileBytes) { rename(path, path + ".old") }
    }
}

extension BalanceChange {
    /// Whether it is more than a count: others have signed it, or it cannot be counted again.
    fileprivate var isSettled: Bool {
        switch cause {
        case .served, .received: false
        case .writtenOff, .lied, .signed, .acknowledged: true
        }
    }

    /// The accounts after these changes, which came after `accounts` or are in them already.
    static func apply(
        _ changes: [BalanceChange], to accounts: inout [PeerID: Account]
    ) {
        for change in changes { accounts[change.peer] = change.account }
    }
}
