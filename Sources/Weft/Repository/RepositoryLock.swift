// The lock that keeps a repository to one process. It belongs to the open file, so it is gone when
// the process is, however it ended, and it also keeps out a second opening in the same process.

import Glibc
import Synchronization

/// The held lock of a repository; let go when this value is.
final class RepositoryLock: Sendable {
    /// The open file; nil once it was let go.
    private let number: Mutex<Int32?>

    /// Takes the lock of a directory and writes this process's number into its file.
    init(in directory: String) throws {
        let path = directory + "/lock"
        let number = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard number >= 0 else { throw SystemError("open", path, code: errno) }
        self.number = Mutex(number)
        var request = Self.wholeFile()
        // On a failure below this value is complete, so its end closes the file.
        guard fcntl(number, Self.setLock, &request) == 0 else {
            guard errno == EAGAIN || errno == EACCES else {
                throw SystemError("lock", path, code: errno)
            }
            throw RepositoryError.inUse(directory, process: Self.process(in: path))
        }
        let text = Array("\(getpid())\n".utf8)
        guard ftruncate(number, 0) == 0, pwrite(number, text, text.count, 0) == text.count else {
            throw SystemError("write", path, code: errno)
        }
    }

    deinit { release() }

    /// Lets go of the lock; doing it again does nothing.
    func release() {
        number.withLock { number in
            if let open = number { close(open) }
            number = nil
        }
    }

    /// The process that holds the lock of a directory; nil if none does. 0 if it is not known.
    static func owner(in directory: String) -> Int32? {
        let path = directory + "/lock"
        let number = open(path, O_RDONLY | O_CLOEXEC)
        guard number >= 0 else { return nil }
        defer { close(number) }
        var question = wholeFile()
        // Asking for a write lock needs no write access; asking alone takes nothing.
        guard fcntl(number, getLock, &question) == 0, question.l_type != Int16(F_UNLCK)
        else { return nil }
        return process(in: path) ?? 0
    }

    private static func wholeFile() -> flock {
        flock(
            l_type: Int16(F_WRLCK), l_whence: Int16(SEEK_SET), l_start: 0, l_len: 0, l_pid: 0)
    }

    private static func process(in path: String) -> Int32? {
        // A lock file that cannot be read only makes the message less precise.
        guard let bytes = try? SmallFile.read(path, limit: 64) else { return nil }
        return Int32(String(decoding: bytes, as: UTF8.self).filter { !$0.isWhitespace })
    }

    // F_OFD_GETLK and F_OFD_SETLK of Linux, fcntl(2): locks of the open file description.
    private static let getLock: Int32 = 36
    private static let setLock: Int32 = 37
}
