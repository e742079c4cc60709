// The three statements that run for every single block, on SQLite's C interface: through GRDB's
// values and rows they cost several times as much (measured with 100,000 blocks of 1 KiB). GRDB
// still owns the connection, compiles and caches the statements, and runs the transactions.

import Foundation
import GRDB
import GRDBSQLite

struct RowStatement {
    private let statement: Statement
    private let handle: OpaquePointer

    init(_ db: Database, _ sql: String) throws {
        statement = try db.cachedStatement(sql: sql)
        handle = statement.sqliteStatement
    }

    /// Runs the statement with integers for its first parameters and a key for the next one.
    ///
    /// - Parameter columns: How many integer columns to read of the first row.
    /// - Returns: The columns; nil if there is no row.
    func run(_ integers: [Int64], _ key: BlockKey, columns: Int32) throws -> [Int64]? {
        var index: Int32 = 1
        for value in integers {
            sqlite3_bind_int64(handle, index, value)
            index += 1
        }
        return try key.withIndexedBytes { bytes in
            sqlite3_bind_blob(handle, index, bytes.baseAddress, Int32(bytes.count), nil)
            // The parameters point into `bytes`, so they must not outlive this scope; and a
            // statement that is not reset keeps its transaction open.
            defer {
                sqlite3_reset(handle)
                sqlite3_clear_bindings(handle)
            }
            let code = sqlite3_step(handle)
            switch code {
            case SQLITE_DONE: return nil
            case SQLITE_ROW: return (0..<columns).map { sqlite3_column_int64(handle, $0) }
            default:
                let message = sqlite3_errmsg(sqlite3_db_handle(handle)).map(String.init(cString:))
                throw DatabaseError(resultCode: ResultCode(rawValue: code), message: message)
            }
        }
    }
}

extension BlockKey {
    /// Calls `body` with the form that the index is ordered by.
    func withIndexedBytes<Result>(
        _ body: (UnsafeRawBufferPointer) throws -> Result
    ) rethrows -> Result {
        guard other.isEmpty else {
            return try Array(indexed).withUnsafeBytes(body)
        }
        let bytes = (
            words.0.bigEndian, words.1.bigEndian, words.2.bigEndian, words.3.bigEndian
        )
        return try withUnsafeBytes(of: bytes, body)
    }
}
