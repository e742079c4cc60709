// The newest known record of each name, in the repository: those published here, and those learnt
// from others. One file a name, under the name itself.

import Glibc
public import IPLD
public import Multiformats
import Synchronization
import Wire

/// The newest known record of each name.
public final class NameRecords: Sendable {
    /// How many records are kept. Of those that were learnt, a tenth makes room when there are so
    /// many: those that were not renewed for the longest.
    public static let maxCount = 10_000

    private let directory: String
    private let maxCount: Int
    /// The names that never go: those of this node's own keys.
    private let own: @Sendable () throws -> Set<String>
    /// Held while a record is compared and replaced: how many there are, if that is known.
    private let changing = Mutex<Int?>(nil)

    init(
        _ directory: String, maxCount: Int = NameRecords.maxCount,
        own: @escaping @Sendable () throws -> Set<String> = { [] }
    ) {
        self.directory = directory
        self.maxCount = maxCount
        self.own = own
    }

    /// The newest known record of a name; nil if none is known. It was valid when it was kept,
    /// and may have run out since.
    public func record(of name: PeerID) throws -> IPNSRecord? {
        guard let bytes = try SmallFile.read(path(name), limit: IPNSRecord.maxBytes) else {
            return nil
        }
        // A damaged record is as good as none: a new one replaces it.
        return try? IPNSRecord(decoding: bytes.span.bytes)
    }

    /// Keeps a record, which must be valid, unless a newer one is known.
    ///
    /// - Returns: whether it is the newest one now.
    @discardableResult
    public func keep(_ record: IPNSRecord, of name: PeerID) throws -> Bool {
        try changing.withLock { count in
            let known = try self.record(of: name)
            if let known, known.encoded == record.encoded { return true }
            if let known, !record.isNewer(than: known) { return false }
            if known == nil {
                let current = try count ?? Files.names(in: directory).count
                count = try (current < maxCount ? current : makeRoom()) + 1
            }
            try SmallFile.replace(path(name), with: record.encoded)
            return true
        }
    }

    /// Forgets the records that were written first. Returns how many are left.
    private func makeRoom() throws -> Int {
        let own = try own()
        var dated: [(name: String, time: Int)] = []
        let all = try Files.names(in: directory)
        for name in all where !own.contains(name) {
            var status = stat()
            guard stat("\(directory)/\(name)", &status) == 0 else { continue }
            let time = status.st_mtim
            dated.append((name, time.tv_sec * 1_000_000_000 + time.tv_nsec))
        }
        dated.sort { $0.time < $1.time }
        let count = max(1, min(maxCount / 10, dated.count))
        for (name, _) in dated.prefix(count) {
            let path = "\(directory)/\(name)"
            guard unlink(path) == 0 || errno == ENOENT else {
                throw SystemError("remove", path, code: errno)
            }
        }
        return all.count - min(count, dated.count)
    }

    private func path(_ name: PeerID) -> String { "\(directory)/\(name.ipnsName)" }
}
