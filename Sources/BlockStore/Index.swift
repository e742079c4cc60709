// The index: one SQLite database that says where each block is and how often it is referred to.
//
// It may lag behind the segments, since what they hold beyond the indexed end is found again at
// start; it never leads, because a segment is synced before its blocks are entered.

import Foundation
import GRDB
import GRDBSQLite
import Synchronization

/// Where a block's bytes are.
struct Place: Hashable, Sendable {
    /// A segment's number; the negative id of one of the user's files; or 0 for a block that
    /// pinned content needs and that is not here.
    var segment: Int64
    /// Where the record, or the block's bytes in the user's file, begins.
    var offset: UInt64

    static let nowhere = Place(segment: 0, offset: 0)

    /// The segment's number; nil if the block is not in a segment.
    var segmentNumber: UInt32? { segment > 0 ? UInt32(segment) : nil }
}

/// What the index knows about a block.
struct IndexRow: Sendable {
    var place: Place
    /// Bytes of the block.
    var length: Int
    /// Links from retained blocks, and recursive pins.
    var references: Int64
    var flags: RowFlags

    /// Whether collection must keep the block.
    var isRetained: Bool { references > 0 || flags.contains(.pinnedDirectly) }
}

/// What the index knows about a segment.
struct SegmentRow: Sendable {
    var number: UInt32
    var kind: HeadKind
    /// Up to here, in bytes, its records are in the index.
    var indexed: UInt64 = 0
    /// Blocks whose place is here.
    var blocks: Int64 = 0
    /// Bytes of their records.
    var live: Int64 = 0
    /// How many of these bytes are retained.
    var retained: Int64 = 0
    /// When it was last appended to, and when a block of it was last used: seconds since 1970.
    var written: Int64 = 0
    var used: Int64 = 0
}

/// The database, its schema and how it is opened.
final class Index: Sendable {
    static let formatVersion = 1
    static let pageSize = 4096
    /// Pages of the log after which SQLite moves it into the database.
    private static let checkpointPages = 1000

    let path: String
    private let pool: DatabasePool
    private let whenFull: @Sendable () -> Void

    /// - Parameter whenFull: makes some room on the disk for the next write, if it can.
    init(
        at path: String, whenFull: @escaping @Sendable () -> Void = {}
    ) throws(StoreError) {
        self.path = path
        self.whenFull = whenFull
        var configuration = Configuration()
        configuration.label = "BlockStore"
        configuration.maximumReaderCount = 4
        configuration.busyMode = .timeout(10)
        configuration.prepareDatabase { db in
            // The log's files stay when the index is closed: on a full disk there would be no room
            // to make them, and without them nothing can be read.
            var stays: CInt = 1
            sqlite3_file_control(db.sqliteConnection, nil, SQLITE_FCNTL_PERSIST_WAL, &stays)
            try db.execute(
                sql: db.configuration.readonly
                    ? "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -1024"
                    : """
                    PRAGMA page_size = \(Self.pageSize);
                    PRAGMA auto_vacuum = INCREMENTAL;
                    PRAGMA synchronous = NORMAL;
                    PRAGMA temp_store = MEMORY;
                    PRAGMA cache_size = -24576;
                    """)
        }
        pool = try Self.mapping {
            let pool = try DatabasePool(path: path, configuration: configuration)
            try pool.writeWithoutTransaction { db in
                try db.execute(
                    sql: """
                        PRAGMA wal_autocheckpoint = \(Self.checkpointPages);
                        PRAGMA journal_size_limit = \(Self.checkpointPages * Self.pageSize);
                        """)
            }
            try pool.write { db in try Self.migrate(db) }
            return pool
        }
    }

    func close() throws(StoreError) {
        try Self.mapping { try pool.close() }
    }

    private static func migrate(_ db: Database) throws {
        let version = try Int.fetchOne(db, sql: "PRAGMA user_version") ?? 0
        guard version <= formatVersion else {
            throw StoreError.newerFormat(found: version, supported: formatVersion)
        }
        guard version == 0 else { return }
        try db.execute(
            sql: """
                CREATE TABLE blocks (
                    key BLOB PRIMARY KEY, segment INTEGER NOT NULL, offset INTEGER NOT NULL,
                    length INTEGER NOT NULL, refs INTEGER NOT NULL, flags INTEGER NOT NULL
                ) WITHOUT ROWID;
                CREATE INDEX outside ON blocks (segment) WHERE segment <= 0;
                CREATE TABLE segments (
                    number INTEGER PRIMARY KEY, kind INTEGER NOT NULL, indexed INTEGER NOT NULL,
                    blocks INTEGER NOT NULL, live INTEGER NOT NULL, retained INTEGER NOT NULL,
                    written INTEGER NOT NULL, used INTEGER NOT NULL);
                CREATE TABLE pins (
                    id INTEGER PRIMARY KEY, cid BLOB NOT NULL, shown BLOB NOT NULL,
                    key BLOB NOT NULL, kind INTEGER NOT NULL, name TEXT NOT NULL,
                    complete INTEGER NOT NULL, missing BLOB, unreadable INTEGER NOT NULL,
                    UNIQUE (cid, kind));
                CREATE INDEX pinned ON pins (key);
                CREATE TABLE pending (
                    id INTEGER PRIMARY KEY, key BLOB NOT NULL, codec INTEGER NOT NULL,
                    delta INTEGER NOT NULL, pin INTEGER NOT NULL);
                CREATE TABLE files (
                    id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, size INTEGER NOT NULL,
                    modified INTEGER NOT NULL);
                CREATE TABLE numbers (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
                PRAGMA user_version = \(formatVersion);
                """)
    }

    /// Reads; may be called from any thread that may block.
    func read<Result>(_ body: (Database) throws -> Result) throws(StoreError) -> Result {
        try Self.mapping { try pool.unsafeRead(body) }
    }

    /// How much a write must outlast.
    enum Durability {
        /// A crash of this process.
        case process
        /// A crash of the machine.
        case machine
    }

    /// Writes in one transaction. Returns how it changed the segments' counters, which the caller
    /// takes over into memory.
    func write<Result>(
        _ durability: Durability = .process, _ body: (IndexTransaction) throws -> Result
    ) throws(StoreError) -> (result: Result, changes: SegmentChanges) {
        do {
            return try transaction(durability, body)
        } catch {
            if case .diskFull = error { whenFull() }
            throw error
        }
    }

    private func transaction<Result>(
        _ durability: Durability, _ body: (IndexTransaction) throws -> Result
    ) throws(StoreError) -> (result: Result, changes: SegmentChanges) {
        try Self.mapping {
            try pool.writeWithoutTransaction { db in
                if durability == .machine { try db.execute(sql: "PRAGMA synchronous = FULL") }
                defer {
                    if durability == .machine {
                        // It can only fail if the connection is broken, which the next use says.
                        try? db.execute(sql: "PRAGMA synchronous = NORMAL")
                    }
                }
                var outcome: (result: Result, changes: SegmentChanges)?
                try db.inTransaction(.immediate) {
                    let transaction = IndexTransaction(db)
                    let result = try body(transaction)
                    try transaction.writeChanges()
                    outcome = (result, transaction.changes)
                    return .commit
                }
                guard let outcome else { throw StoreError.index("the transaction did not run") }
                return outcome
            }
        }
    }

    /// How large the database is, log included, once that is moved into it, in bytes.
    func size() throws(StoreError) -> UInt64 {
        let pages = try read { try Int64.fetchOne($0, sql: "PRAGMA page_count") } ?? 0
        return UInt64(pages) * UInt64(Self.pageSize)
    }

    /// Moves the whole log into the database and empties it.
    func emptyLog() throws(StoreError) {
        try Self.mapping {
            try pool.writeWithoutTransaction { db in
                _ = try db.checkpoint(.truncate)
            }
        }
    }

    /// Gives up to `pages` pages that are no longer used back to the file system; false if few
    /// were left, which are better kept for what comes next.
    func compact(pages: Int) throws(StoreError) -> Bool {
        try Self.mapping {
            try pool.writeWithoutTransaction { db in
                let free = try Int.fetchOne(db, sql: "PRAGMA freelist_count") ?? 0
                let all = try Int.fetchOne(db, sql: "PRAGMA page_count") ?? 0
                guard free > 256, free > all / 4 else { return false }
                try db.execute(sql: "PRAGMA incremental_vacuum(\(pages))")
                _ = try db.checkpoint(.truncate)
                return true
            }
        }
    }

    /// Gives back memory that only a large write needed.
    func releaseMemory() { pool.releaseMemory() }

    /// Reads the state that one moment has, however much is written meanwhile. For many rows it
    /// is also cheaper: without a transaction each of them takes and drops a lock of the file.
    func snapshot<Result>(_ body: (Database) throws -> Result) throws(StoreError) -> Result {
        try Self.mapping { try pool.read(body) }
    }

    /// Whether a statement failed because the schema, which never changes, is not what it was.
    private static func isAboutSchema(_ error: DatabaseError) -> Bool {
        let message = error.message ?? ""
        return ["no such table", "no such column", "has no column", "already exists"]
            .contains { message.contains($0) }
    }

    /// Runs code of GRDB and turns its errors into those of the store.
    static func mapping<Result>(_ body: () throws -> Result) throws(StoreError) -> Result {
        do {
            return try body()
        } catch let error as StoreError {
            throw error
        } catch let error as DatabaseError {
            switch error.resultCode {
            case .SQLITE_FULL: throw .diskFull(path: "index.sqlite")
            case .SQLITE_CORRUPT, .SQLITE_NOTADB: throw .indexDamaged(error.message ?? "damaged")
            case .SQLITE_IOERR where error.extendedResultCode == .SQLITE_IOERR_SHORT_READ:
                throw .indexDamaged("a part of it is missing")
            case .SQLITE_IOERR where SystemCall.hasFileSizeLimit:
                throw .diskFull(path: "index.sqlite")
            case .SQLITE_ERROR where isAboutSchema(error):
                throw .indexDamaged(error.message ?? "its schema is another")
            default: throw .index(error.message ?? "\(error.resultCode)")
            }
        } catch {
            throw .index("\(error)")
        }
    }
}
