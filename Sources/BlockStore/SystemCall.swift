// Calls of the operating system, with their failures turned into errors of the store.

import Glibc

enum SystemCall {
    /// Whether the files of this process may only grow to some size (setrlimit(2)). SQLite does
    /// not tell a write beyond it from other failures.
    static var hasFileSizeLimit: Bool {
        var limit = rlimit()
        return getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0
            && limit.rlim_cur != rlim_t.max
    }

    /// The text of an error number.
    static func message(_ code: Int32) -> String {
        guard let text = strerror(code) else { return "error \(code)" }
        return String(cString: text)
    }

    /// The error of the call that just failed.
    static func failure(_ operation: String, _ path: String) -> StoreError {
        failure(operation, path, errno)
    }

    static func failure(_ operation: String, _ path: String, _ code: Int32) -> StoreError {
        switch code {
        case ENOSPC, EDQUOT, EFBIG: .diskFull(path: path)
        default: .system(operation: operation, path: path, code: code)
        }
    }

    /// Repeats a call while signals interrupt it; throws its failure.
    @discardableResult
    static func retry<Result: FixedWidthInteger & SignedInteger>(
        _ operation: String, _ path: String, _ call: () -> Result
    ) throws(StoreError) -> Result {
        while true {
            let result = call()
            if result >= 0 { return result }
            if errno != EINTR { throw failure(operation, path) }
        }
    }
}
