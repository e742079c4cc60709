// A new index for a store that is damaged, while nobody has the repository open.

import BlockStore

extension Repository {
    /// Replaces the damaged index of a repository that is not open by one that the next start
    /// builds from the blocks and the journal of pins.
    ///
    /// - Parameter directory: the repository; nil for the one that ``locate(_:)`` finds.
    /// - Returns: how many references to files that were added in place were saved.
    /// - Throws: ``RepositoryError/inUse(_:process:)`` while a node runs.
    public static func rebuildIndex(at directory: String? = nil) throws -> Int {
        let repository = try Repository(at: locate(directory))
        defer { repository.close() }
        return try BlockStore.rebuildIndex(at: repository.storeDirectory)
    }
}
