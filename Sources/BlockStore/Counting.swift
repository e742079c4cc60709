// Reference counts: a block that becomes retained counts its links, one that ceases to be
// retained takes them back. Work that would not fit one transaction waits in the index's `pending`
// table, so that a crash loses nothing; collection never deletes while anything waits there.

import Foundation
import GRDB
import IPLD
import Multiformats
import NIOCore
import Wire

/// A block that is linked to.
struct Reference: Hashable, Sendable {
    let key: BlockKey
    /// How the link says that it is to be read.
    let codec: RowFlags
}

extension BlockStore {
    /// Count changes per transaction, unless the log's share is smaller.
    private static let stepChanges = 16 << 10
    /// How deep identity CIDs may hold one another; each level costs bytes of at most 128.
    private static let maxInlineDepth = 16

    /// The blocks that a CID stands for: itself, or if it holds its content, what that links to.
    static func references(_ cid: CID) -> [Reference] {
        var found: [Reference] = []
        appendReferences(cid, depth: 0, to: &found)
        return found
    }

    private static func appendReferences(
        _ cid: CID, depth: Int, to found: inout [Reference]
    ) {
        guard cid.hash.code == .identity else {
            found.append(Reference(key: BlockKey(cid.hash), codec: RowFlags(cid.codec)))
            return
        }
        // Content that cannot be read links to nothing.
        guard depth < maxInlineDepth,
            let links = try? IPLDCodec.links(in: cid.hash.digest.span.bytes, codec: cid.codec)
        else { return }
        for link in links { appendReferences(link, depth: depth + 1, to: &found) }
    }

    /// What a block links to, each once.
    static func references(
        _ payload: ByteBuffer, _ codec: Codec
    ) throws(DecodeError) -> [Reference] {
        var seen: Set<Reference> = []
        var found: [Reference] = []
        for link in try IPLDCodec.links(in: payload.readableBytesSpan, codec: codec) {
            for reference in references(link) where seen.insert(reference).inserted {
                found.append(reference)
            }
        }
        return found
    }

    /// What a stored block links to.
    ///
    /// - Throws: ``UnreadableLinks`` if they cannot be told.
    func links(_ key: BlockKey, _ row: IndexRow) throws -> [Reference] {
        guard let codec = row.flags.codec,
            let payload = try read(key, row.place, row.length, .blocking)
        else { throw UnreadableLinks() }
        do {
            return try Self.references(payload, codec)
        } catch {
            throw UnreadableLinks()
        }
    }

    /// The links of a block cannot be told: it is damaged, malformed, or of an unknown codec.
    struct UnreadableLinks: Error {}

    /// Counts a recursive pin among blocks that are fresh, in memory.
    ///
    /// - Returns: The counts that must change in the index.
    func count(
        _ root: CID, pin: Int64, _ fresh: inout [BlockKey: FreshBlock]
    ) -> [CountChange] {
        var left: [CountChange] = []
        var stack = Self.references(root)
        while let reference = stack.popLast() {
            guard var block = fresh[reference.key], block.place.segment > 0 else {
                left.append(
                    CountChange(key: reference.key, codec: reference.codec, delta: 1, pin: pin))
                continue
            }
            var codec = block.flags
            codec.codec = reference.codec.codec
            if codec.mayLink && !block.flags.contains(.counted) {
                guard let children = try? links(reference.key, block.row.reading(codec)) else {
                    // The index's own counting meets the same block and says what is wrong.
                    left.append(
                        CountChange(
                            key: reference.key, codec: reference.codec, delta: 1, pin: pin))
                    continue
                }
                block.flags = codec.union(.counted)
                stack += children
            }
            block.references += 1
            fresh[reference.key] = block
        }
        return left
    }

    /// Changes counts that wait in the index until none is left. Runs on any thread but the
    /// indexer's.
    func settleAndWait() throws(StoreError) {
        while try indexer.runAndWait({ () throws(StoreError) in try self.settleStep() }) {}
    }

    /// Changes some of the counts that wait; false if none was left. Runs on the indexer.
    func settleStep() throws(StoreError) -> Bool {
        let limit = try rowsPerTransaction(Self.stepChanges)
        let (isMore, changes) = try index.write { transaction in
            var stack = try transaction.takePending(limit)
            guard !stack.isEmpty else { return false }
            var budget = limit
            while budget > 0, let change = stack.popLast() {
                budget -= 1
                stack += try self.apply(change, transaction)
            }
            for change in stack { try transaction.append(change) }
            return true
        }
        let bytes = indexBytes()
        state.withLock { state in
            state.apply(changes)
            state.indexBytes = bytes
        }
        return isMore
    }

    /// Changes one count; returns the changes that follow from it.
    private func apply(
        _ change: CountChange, _ transaction: IndexTransaction
    ) throws -> [CountChange] {
        guard let old = try transaction.row(change.key) else {
            guard change.delta > 0 else { return [] }
            let row = IndexRow(
                place: .nowhere, length: 0, references: 1, flags: change.codec)
            _ = try transaction.insert(change.key, row)
            try note(.missing, change, transaction)
            return []
        }
        var new = old
        new.references = max(0, old.references + change.delta)
        var children: [Reference] = []
        if change.delta > 0 {
            if old.place.segment == 0 {
                try note(.missing, change, transaction)
            } else if change.codec.mayLink, !old.flags.contains(.counted) {
                do {
                    children = try links(change.key, old.reading(change.codec))
                    new.flags.codec = change.codec.codec
                    new.flags.insert(.counted)
                } catch is UnreadableLinks {
                    try note(.unreadable, change, transaction)
                }
            }
        } else if new.references == 0, old.flags.contains(.counted) {
            do {
                children = try links(change.key, old)
            } catch is UnreadableLinks {
                // What it linked to stays retained until a check counts anew.
                try transaction.setNumber("recount", 1)
            }
            new.flags.remove(.counted)
        }
        if new.place.segment == 0, !new.isRetained {
            try transaction.delete(change.key, old)
        } else {
            try transaction.update(change.key, from: old, to: new)
        }
        return children.map {
            CountChange(key: $0.key, codec: $0.codec, delta: change.delta, pin: change.pin)
        }
    }

    private enum Obstacle: Int64 { case missing = 0, unreadable = 1 }

    /// Notes the first block that keeps a pin from being complete.
    private func note(
        _ obstacle: Obstacle, _ change: CountChange, _ transaction: IndexTransaction
    ) throws {
        guard change.pin != 0 else { return }
        let cid = CID(change.codec.codec ?? .raw, change.key.multihash)
        try transaction.db.execute(
            sql: "UPDATE pins SET missing = ?, unreadable = ? WHERE id = ? AND missing IS NULL",
            arguments: [Data(cid.bytes), obstacle.rawValue, change.pin])
    }
}

extension IndexRow {
    /// The same block, read by another codec.
    func reading(_ flags: RowFlags) -> IndexRow {
        var row = self
        row.flags.codec = flags.codec
        return row
    }
}
