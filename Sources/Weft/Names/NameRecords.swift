// The newest known record of each name, in the repository: those published here, and those learnt
// from others. One file a name, under the name itself.

import Glibc
public import IPLD
public import Multiformats
import Synchronization
import Wire

/// The newest known record of each name.
public final class NameRecords: Sendable {
    /// How many records are kept. Published ones are few; learnt ones beyond this are not kept.
    public static let maxCount = 10_000

    private let directory: String
    /// Held while a record is compared and replaced.
    private let changing = Mutex<Int?>(nil)

    init(_ directory: String) { self.directory = directory }

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
                guard current < Self.maxCount else { return false }
                count = current + 1
            }
            try SmallFile.replace(path(name), with: record.encoded)
            return true
        }
    }

    private func path(_ name: PeerID) -> String { "\(directory)/\(name.ipnsName)" }
}
