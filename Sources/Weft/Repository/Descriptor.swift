// An open file or directory with one owner, and the few system calls that this node makes on it.

import CoreFoundation
import Glibc

/// An open file or directory; closed when its owner lets go of it.
struct Descriptor: ~Copyable {
    /// The number the system gave it.
    let number: Int32

    init(owning number: Int32) { self.number = number }

    deinit { close(number) }

    /// Hands the number to a new owner, who closes it.
    consuming func release() -> Int32 {
        let number = number
        discard self
        return number
    }

    /// Calls `body` with `name` as the C string that system calls take; no NUL may be in it.
    static func withCString<Result>(
        _ name: [UInt8], _ body: (UnsafePointer<CChar>) -> Result
    ) -> Result {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: name.count + 1) { buffer in
            for index in name.indices { buffer[index] = CChar(bitPattern: name[index]) }
            buffer[name.count] = 0
            return body(UnsafePointer(buffer.baseAddress!))
        }
    }

    /// Opens a name in a directory, without following a link that has this name.
    ///
    /// `path` is for messages.
    static func open(
        _ name: [UInt8], _ flags: Int32, mode: mode_t = 0o600, in directory: Int32,
        path: @autoclosure () -> String
    ) throws(SystemError) -> Descriptor {
        let number = withCString(name) {
            attempt($0, flags | O_NOFOLLOW, mode, directory)
        }
        guard number >= 0 else {
            let code = errno
            throw SystemError(flags & O_CREAT == 0 ? "open" : "create", path(), code: code)
        }
        return Descriptor(owning: number)
    }

    /// Opens `path`; relative paths start at `directory`, or at the working directory.
    static func open(
        _ path: String, _ flags: Int32, mode: mode_t = 0o600, in directory: Int32 = AT_FDCWD
    ) throws(SystemError) -> Descriptor {
        let number = attempt(path, flags, mode, directory)
        guard number >= 0 else {
            throw SystemError(flags & O_CREAT == 0 ? "open" : "create", path, code: errno)
        }
        return Descriptor(owning: number)
    }

    /// Opens `path` for reading; nil if there is no such file.
    static func openIfPresent(_ path: String) throws(SystemError) -> Descriptor? {
        let number = attempt(path, O_RDONLY, 0, AT_FDCWD)
        guard number < 0 else { return Descriptor(owning: number) }
        guard errno == ENOENT else { throw SystemError("open", path, code: errno) }
        return nil
    }

    private static func attempt(
        _ path: UnsafePointer<CChar>, _ flags: Int32, _ mode: mode_t, _ directory: Int32
    ) -> Int32 {
        while true {
            let number = openat(directory, path, flags | O_CLOEXEC, mode)
            if number >= 0 || errno != EINTR { return number }
        }
    }

    /// What the system knows about it.
    func status(of path: @autoclosure () -> String) throws(SystemError) -> stat {
        var status = stat()
        guard fstat(number, &status) == 0 else {
            let code = errno
            throw SystemError("look at", path(), code: code)
        }
        return status
    }

    /// Reads up to the size of `buffer` at `offset`; fewer only at the end of the file.
    func read(
        into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64,
        path: @autoclosure () -> String
    ) throws(SystemError) -> Int {
        try Self.read(number, into: buffer, at: offset, path: path())
    }

    /// Reads from a descriptor that somebody else owns.
    static func read(
        _ number: Int32, into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64,
        path: @autoclosure () -> String
    ) throws(SystemError) -> Int {
        var done = 0
        while done < buffer.count {
            let count = pread(
                number, buffer.baseAddress! + done, buffer.count - done,
                off_t(offset) + off_t(done))
            if count == 0 { break }
            if count > 0 {
                done += count
            } else if errno != EINTR {
                let code = errno
                throw SystemError("read", path(), code: code)
            }
        }
        return done
    }

    /// Writes all of `bytes` where the file stands.
    func write(_ bytes: UnsafeRawBufferPointer, to path: String) throws(SystemError) {
        try Self.write(number, bytes, path: path)
    }

    /// Writes to a descriptor that somebody else owns.
    static func write(
        _ number: Int32, _ bytes: UnsafeRawBufferPointer, path: String
    ) throws(SystemError) {
        var done = 0
        while done < bytes.count {
            let count = Glibc.write(number, bytes.baseAddress! + done, bytes.count - done)
            if count >= 0 {
                done += count
            } else if errno != EINTR {
                throw SystemError("write", path, code: errno)
            }
        }
    }

    /// Makes what was written survive a crash.
    func sync(_ path: String) throws(SystemError) {
        guard fsync(number) == 0 else { throw SystemError("sync", path, code: errno) }
    }
}
