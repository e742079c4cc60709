// What peers have answered, remembered as what it is: for each call the record, and the signed
// answers of those who vouch for it. It lies beside what this node has computed itself
// (`CallMemo`), which alone it signs with its own name.

import BlockStore
import Compute
import Glibc
import IPLD
import Multiformats
import NIOCore
import Synchronization
import Wire

/// Who vouches for the results of which calls. What was learnt since ``save()`` is gone with a
/// killed process, and asked for again.
final class KnownAnswers: Sendable {
    /// How many calls, and bytes of signed answers, are remembered; the oldest make room.
    private static let maxCalls = 8_192
    private static let maxBytes = 8 << 20
    /// The longest entry of the file.
    private static let maxEntryBytes = 8 << 10

    private struct Entry {
        let record: CID
        var vouchers: [Voucher]
        /// Whether they have been read from the file and their signatures not been looked at.
        var isUnverified: Bool

        var bytes: Int { vouchers.reduce(128) { $0 + $1.byteCount } }
    }

    private struct State {
        /// Nil until the file is read.
        var entries: [CID: Entry]?
        var order: [CID] = []
        var bytes = 0
        var hasChanged = false
    }

    private let path: String
    private let state = Mutex(State())

    /// A memory whose entries are in a file.
    init(_ path: String) { self.path = path }

    // MARK: Asking

    /// Whether somebody may have answered a call: known only when the file has been read.
    func mayKnow(_ call: Call) -> Bool {
        let cid = call.cid
        return state.withLock { $0.entries.map { $0[cid] != nil } ?? true }
    }

    /// Who vouches for the result of a call, if its record is in the store.
    func history(of call: Call, _ store: BlockStore) async -> ResultHistory? {
        let cid = call.cid
        guard let entry = entry(of: cid), let block = try? await store.block(entry.record.hash),
            let record = try? CallRecord(decoding: block.readableBytesSpan), record.call == call
        else { return nil }
        var vouchers = entry.vouchers
        if entry.isUnverified {
            // What is on disk is believed of nothing.
            vouchers.removeAll { !$0.header.isValid }
            confirm(vouchers, of: cid)
        }
        let history = ResultHistory(record, vouchers)
        return history.vouchers.isEmpty ? nil : history
    }

    /// Who vouches for this record of a call.
    func vouchers(of record: CallRecord) -> [Voucher] {
        guard let entry = entry(of: record.call.cid), entry.record == record.cid else { return [] }
        return entry.vouchers
    }

    private func entry(of call: CID) -> Entry? {
        state.withLock { state in
            read(&state)
            return state.entries?[call]
        }
    }

    private func confirm(_ vouchers: [Voucher], of call: CID) {
        state.withLock { state in
            guard var entry = state.entries?[call], entry.isUnverified else { return }
            state.bytes -= entry.bytes
            entry.isUnverified = false
            entry.vouchers.removeAll { !vouchers.contains($0) }
            state.bytes += entry.bytes
            state.entries?[call] = entry.vouchers.isEmpty ? nil : entry
        }
    }

    // MARK: Remembering

    /// Remembers an answer, which its signer has given or somebody has passed on.
    func keep(_ answer: CallAnswer, via: PeerID?) {
        let call = answer.header.header.call
        let voucher = Voucher(answer, via: via)
        let record = answer.record.cid
        state.withLock { state in
            read(&state)
            Self.add(voucher, of: call, record, isUnverified: false, &state)
            state.hasChanged = true
        }
    }

    /// Forgets a result that is not believed any more.
    func forget(_ record: CallRecord) {
        state.withLock { state in
            read(&state)
            let call = record.call.cid
            guard let entry = state.entries?[call], entry.record == record.cid else { return }
            state.bytes -= entry.bytes
            state.entries?[call] = nil
            state.hasChanged = true
        }
    }

    /// Forgets what liars have signed or passed on.
    func forget(_ liars: Set<PeerID>) {
        state.withLock { state in
            read(&state)
            for (call, entry) in state.entries ?? [:] {
                let rest = entry.vouchers.filter { voucher in
                    !liars.contains(voucher.signer)
                        && !(voucher.via.map { liars.contains($0) } ?? false)
                }
                guard rest.count < entry.vouchers.count else { continue }
                state.hasChanged = true
                state.bytes -= entry.bytes
                var left = entry
                left.vouchers = rest
                state.entries?[call] = rest.isEmpty ? nil : left
                if !rest.isEmpty { state.bytes += left.bytes }
            }
        }
    }

    private static func add(
        _ voucher: Voucher, of call: CID, _ record: CID, isUnverified: Bool,
        _ state: inout State
    ) {
        var entry =
            state.entries?[call] ?? Entry(record: record, vouchers: [], isUnverified: isUnverified)
        if entry.vouchers.isEmpty { state.order.append(call) } else { state.bytes -= entry.bytes }
        if entry.record != record {
            // Nothing speaks against the new one; whoever signed the other has something to explain
            // to whoever compares the two.
            entry = Entry(record: record, vouchers: [], isUnverified: isUnverified)
        }
        if let place = entry.vouchers.firstIndex(where: { $0.signer == voucher.signer }) {
            if voucher.via == nil { entry.vouchers[place] = voucher }
        } else if entry.vouchers.count < ResultHistory.maxVouchers {
            entry.vouchers.append(voucher)
        } else if voucher.via == nil,
            let place = entry.vouchers.firstIndex(where: { $0.via != nil })
        {
            entry.vouchers[place] = voucher
        }
        state.bytes += entry.bytes
        state.entries?[call] = entry
        makeRoom(&state)
    }

    private static func makeRoom(_ state: inout State) {
        guard let count = state.entries?.count, count > maxCalls || state.bytes > maxBytes else {
            return
        }
        // The older half goes at once: what is removed one by one is searched for each time.
        let gone = state.order.prefix((state.order.count + 1) / 2)
        for call in gone {
            state.bytes -= state.entries?.removeValue(forKey: call)?.bytes ?? 0
        }
        state.order.removeFirst(gone.count)
    }

    // MARK: The file

    private static func line(_ call: CID, _ record: CID, _ voucher: [UInt8]) -> [UInt8] {
        let names = [call.bytes, record.bytes].flatMap { [UInt8($0.count)] + $0 }
        let count = names.count + voucher.count
        return [UInt8(truncatingIfNeeded: count >> 8), UInt8(count & 0xff)] + names + voucher
    }

    private func read(_ state: inout State) {
        guard state.entries == nil else { return }
        state.entries = [:]
        // A file that cannot be read costs time, nothing else. A torn end is no entry.
        let bytes = (try? SmallFile.read(path, limit: 2 * Self.maxBytes)) ?? []
        var place = 0
        while bytes.count - place >= 2 {
            let end = place + 2 + (Int(bytes[place]) << 8 | Int(bytes[place + 1]))
            guard end <= bytes.count else { break }
            Self.read(Array(bytes[place + 2..<end]), &state)
            place = end
        }
    }

    private static func read(_ line: [UInt8], _ state: inout State) {
        var rest = line[...]
        guard line.count <= maxEntryBytes, let call = name(&rest), let record = name(&rest) else {
            return
        }
        guard let voucher = try? Voucher(storage: rest.rawSpan) else { return }
        add(voucher, of: call, record, isUnverified: true, &state)
    }

    private static func name(_ rest: inout ArraySlice<UInt8>) -> CID? {
        guard let count = rest.popFirst(), rest.count >= Int(count) else { return nil }
        defer { rest = rest.dropFirst(Int(count)) }
        return try? CID(decoding: Array(rest.prefix(Int(count))).rawSpan)
    }

    /// Writes what is known, if that has changed.
    func save() {
        let bytes = state.withLock { state -> [UInt8]? in
            guard state.hasChanged else { return nil }
            state.hasChanged = false
            var seen: Set<CID> = []
            state.order.removeAll { state.entries?[$0] == nil || !seen.insert($0).inserted }
            var bytes: [UInt8] = []
            for call in state.order {
                guard let entry = state.entries?[call] else { continue }
                for voucher in entry.vouchers {
                    bytes += Self.line(call, entry.record, voucher.stored)
                }
            }
            return bytes
        }
        // As above.
        if let bytes { try? SmallFile.replace(path, with: bytes) }
    }
}
