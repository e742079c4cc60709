// The keys that a node announces, in the order of their places in the key space of the DHT, on disk
// so that memory does not grow with their number; and the roots that were fetched. The file can be
// made anew from the store at any time, so it is not synced.

import Cryptography
import Foundation
import GRDB
public import Multiformats
import Wire

/// The keys that a node announces, sorted on disk.
public final class AnnouncedKeys: Sendable {
    /// How many bytes a key takes at most, or a fetched root: in the order in which keys come, the
    /// pages of their tree are two thirds full.
    static let bytesPerKey = 128
    /// How many fetched roots are remembered at most; then the oldest are forgotten.
    private static let mostFetched = 100_000

    private let database: DatabaseQueue
    /// How many keys there may be.
    public let maxKeys: Int
    /// How many fetched roots are remembered.
    public let maxFetched: Int

    /// Opens the file, which never takes more than `maxBytes`, or makes a new one in the place of
    /// one that cannot be read or is too large.
    public init(at path: String, maxBytes: UInt64) throws(StoreError) {
        let room = Int(clamping: maxBytes) / Self.bytesPerKey
        maxFetched = min(Self.mostFetched, room / 4)
        maxKeys = room - maxFetched
        let size = try? FileManager.default.attributesOfItem(atPath: path)[.size] as? UInt64
        if let size, size > maxBytes {
            // What it holds comes again from the store, as far as there is room.
            try? FileManager.default.removeItem(atPath: path)
        }
        do {
            database = try Self.open(path)
        } catch {
            for suffix in ["", "-journal"] {
                // What is not there need not be removed.
                try? FileManager.default.removeItem(atPath: path + suffix)
            }
            database = try Index.mapping { try Self.open(path) }
        }
    }

    private static func open(_ path: String) throws -> DatabaseQueue {
        var configuration = Configuration()
        configuration.label = "AnnouncedKeys"
        configuration.prepareDatabase { db in
            try db.execute(sql: "PRAGMA synchronous = OFF; PRAGMA cache_size = -1024")
        }
        let database = try DatabaseQueue(path: path, configuration: configuration)
        try database.write { db in
            try db.execute(
                sql: """
                    CREATE TABLE IF NOT EXISTS keys (
                        place BLOB PRIMARY KEY, hash BLOB NOT NULL
                    ) WITHOUT ROWID;
                    CREATE TABLE IF NOT EXISTS fetched (
                        id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE
                    );
                    """)
        }
        return database
    }

    /// Closes the file.
    public func close() throws(StoreError) {
        try Index.mapping { try database.close() }
    }

    // MARK: Keys

    /// How many keys there are.
    public func count() async throws(StoreError) -> Int {
        try await read { db in try Int.fetchOne(db, sql: "SELECT count(*) FROM keys") ?? 0 }
    }

    /// Forgets all keys.
    public func removeAll() async throws(StoreError) {
        try await write { db in try db.execute(sql: "DELETE FROM keys") }
    }

    /// Adds keys, as long as there are no more than `limit` in all, and room for them.
    ///
    /// - Returns: how many there are now.
    @discardableResult
    public func add(_ hashes: [Multihash], limit: Int) async throws(StoreError) -> Int {
        let limit = min(limit, maxKeys)
        return try await write { db in
            var count = try Int.fetchOne(db, sql: "SELECT count(*) FROM keys") ?? 0
            let statement = try db.cachedStatement(
                sql: "INSERT OR IGNORE INTO keys (place, hash) VALUES (?, ?)")
            for hash in hashes {
                guard count < limit else { break }
                let bytes = hash.bytes
                try statement.execute(
                    arguments: [Data(SHA256.hash(bytes.rawSpan)), Data(bytes)])
                count += db.changesCount
            }
            return count
        }
    }

    /// The first keys from one place through another, in their order. A place has 32 bytes.
    public func keys(
        from: [UInt8], through: [UInt8], limit: Int
    ) async throws(StoreError) -> [Multihash] {
        try await read { db in
            try Data.fetchAll(
                db,
                sql: """
                    SELECT hash FROM keys WHERE place >= ? AND place <= ? ORDER BY place LIMIT ?
                    """,
                arguments: [Data(from), Data(through), limit]
            ).compactMap(Self.hash)
        }
    }

    // MARK: Fetched roots

    /// Remembers that the root of something was fetched.
    public func noteFetched(_ root: Multihash) async throws(StoreError) {
        let most = maxFetched
        try await write { db in
            try db.execute(
                sql: "INSERT OR REPLACE INTO fetched (hash) VALUES (?)",
                arguments: [Data(root.bytes)])
            try db.execute(
                sql: "DELETE FROM fetched WHERE id <= (SELECT max(id) FROM fetched) - ?",
                arguments: [most])
        }
    }

    /// Fetched roots that come after a number, the oldest first, each with its number.
    public func fetched(
        after number: Int64, limit: Int
    ) async throws(StoreError) -> [(number: Int64, root: Multihash)] {
        try await read { db in
            try Row.fetchAll(
                db, sql: "SELECT id, hash FROM fetched WHERE id > ? ORDER BY id LIMIT ?",
                arguments: [number, limit]
            ).compactMap { row in
                let bytes: Data = row[1]
                return Self.hash(bytes).map { (row[0], $0) }
            }
        }
    }

    /// Forgets a fetched root.
    public func forgetFetched(_ number: Int64) async throws(StoreError) {
        try await write { db in
            try db.execute(sql: "DELETE FROM fetched WHERE id = ?", arguments: [number])
        }
    }

    private static func hash(_ bytes: Data) -> Multihash? {
        // A row that cannot be decoded is damage, which costs one announcement.
        try? Multihash(decoding: [UInt8](bytes).rawSpan)
    }

    private func read<Result: Sendable>(
        _ body: @escaping @Sendable (Database) throws -> Result
    ) async throws(StoreError) -> Result {
        do {
            return try await database.read(body)
        } catch {
            return try Index.mapping { throw error }
        }
    }

    private func write<Result: Sendable>(
        _ body: @escaping @Sendable (Database) throws -> Result
    ) async throws(StoreError) -> Result {
        do {
            return try await database.write(body)
        } catch {
            return try Index.mapping { throw error }
        }
    }
}
