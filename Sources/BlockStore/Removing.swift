// Removing single blocks that the user names.

public import Multiformats

extension BlockStore {
    /// Removes a block that nothing keeps. Its bytes stay in their segment until that is cleaned.
    ///
    /// - Returns: whether it was here.
    /// - Throws: ``StoreError/retained(_:)`` if it is pinned, part of pinned content, or being
    ///   written just now.
    public func remove(_ cid: CID) async throws(StoreError) -> Bool {
        try checkOpen()
        let key = BlockKey(cid.hash)
        return try await maintenance.run { () throws(StoreError) in
            try self.settleAndWait()
            return try self.indexer.runAndWait { () throws(StoreError) in
                try self.remove(key, cid)
            }
        }
    }

    /// Runs on the indexer.
    private func remove(_ key: BlockKey, _ cid: CID) throws(StoreError) -> Bool {
        try flush()
        guard let row = try index.read({ try IndexTransaction.row($0, key) }),
            row.place.segment != 0
        else { return false }
        let isInUse = state.withLock { state in
            guard let number = row.place.segmentNumber, let segment = state.segments[number]
            else { return false }
            return state.isGuarded(row.place, in: segment)
        }
        guard !row.isRetained, !isInUse else { throw .retained(cid) }
        let (_, changes) = try index.write { try $0.delete(key, row) }
        state.withLock { state in
            state.apply(changes)
            state.forget(key)
        }
        return true
    }
}
