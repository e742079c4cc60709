// Every change of a balance, with its cause, in the order in which they happened. What a killed
// process had not written down of its accounts follows from it, and `weft balance` reads it.

import Compute
import Multiformats
import Synchronization
import Wire

/// A file of changes of balances, and the one before it.
///
/// What others have signed, and all that follows from it, is handed to the system at once. Of what
/// was served and received as much may be lost with a killed process as happened within
/// ``writeInterval``: who notes that does not wait for a disk.
final class BalanceJournal: Sendable {
    /// How long a file gets, in bytes.
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

    private let entryFile: EntryFile
    private let state = Mutex(State())
    /// Held while the file is written.
    private let file = Mutex(())

    /// Entries that stand before and after the accounts are written. No change is so short.
    private static let toWrite: [UInt8] = [1]
    private static let written: [UInt8] = [2]

    /// The changes that may be missing in the accounts as they were last written, and how many
    /// bytes a crash had left that were no change.
    typealias Recovery = (unsettled: [BalanceChange], cutBytes: Int)

    private init(_ entryFile: EntryFile) { self.entryFile = entryFile }

    /// Opens the journal at a path.
    static func open(_ path: String) -> (journal: BalanceJournal, Recovery) {
        let entryFile = EntryFile(path: path, maxBytes: maxFileBytes)
        let (entries, cutBytes) = entryFile.recover()
        return (BalanceJournal(entryFile), (unsettled(entries), cutBytes))
    }

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
            entryFile.append(changes.map { $0.stored })
        }
    }

    /// All changes that are still there, the oldest first.
    func read() -> [BalanceChange] {
        flush()
        return file.withLock { _ in entryFile.read() }.compactMap { Self.change($0) }
    }

    private static func unsettled(_ entries: [ArraySlice<UInt8>]) -> [BalanceChange] {
        let end = entries.lastIndex { $0.elementsEqual(written) }
        let first = end.flatMap { entries[..<$0].lastIndex { $0.elementsEqual(toWrite) } }
        return entries[(first ?? entries.startIndex)...].compactMap { change($0) }
    }

    /// Notes that the accounts are about to be looked at, to be written.
    func begin() {
        flush()
        file.withLock { _ in entryFile.append([Self.toWrite]) }
    }

    /// Has the accounts written, and notes that: what a power cut leaves of this file, which may be
    /// less than was in it, must not take them back to what they were before.
    ///
    /// - Parameter write: writes what they were after ``begin()``.
    func settle(_ write: () throws(SystemError) -> Void) throws(SystemError) {
        flush()
        try entryFile.sync()
        try write()
        file.withLock { _ in entryFile.append([Self.written]) }
    }

    /// What cannot be read is less to be shown and to go by, as after a lost disk; no lie.
    private static func change(_ entry: ArraySlice<UInt8>) -> BalanceChange? {
        try? BalanceChange(storage: Array(entry).rawSpan)
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
}

extension BalanceChange {
    /// Whether it is more than a count: others have signed it, or it cannot be counted again.
    fileprivate var isSettled: Bool {
        switch cause {
        case .served, .received, .withdrawn: false
        case .writtenOff, .faded, .lied, .signed, .acknowledged: true
        }
    }

    /// The accounts after these changes, which came after `accounts` or are in them already.
    static func apply(
        _ changes: [BalanceChange], to accounts: inout [PeerID: Account]
    ) {
        for change in changes { accounts[change.peer] = change.account }
    }
}
