// Segments as files of one directory, `00000001.seg` and so on.

import Glibc
import NIOCore
import Synchronization

/// An open segment file; it is closed when the last user lets go of it, so that a read may finish
/// although the segment has been removed.
private final class OpenFile: Sendable {
    let descriptor: Int32
    let path: String

    init(_ path: String, _ flags: Int32) throws(StoreError) {
        self.path = path
        descriptor = try SystemCall.retry("open", path) {
            open(path, flags | O_CLOEXEC, 0o600)
        }
    }

    deinit { _ = Glibc.close(descriptor) }

    /// Writes buffers one behind the other, with one call of the system if it takes them all.
    /// Returns how many bytes they have.
    func write(_ buffers: [ByteBuffer], at offset: UInt64) throws(StoreError) -> UInt64 {
        // The buffers are not changed meanwhile, so that their memory stays where it is.
        defer { withExtendedLifetime(buffers) {} }
        var parts: [iovec] = []
        parts.reserveCapacity(buffers.count)
        for buffer in buffers where buffer.readableBytes > 0 {
            buffer.withUnsafeReadableBytes { bytes in
                let base = UnsafeMutableRawPointer(mutating: bytes.baseAddress)
                parts.append(iovec(iov_base: base, iov_len: bytes.count))
            }
        }
        var done: UInt64 = 0
        var first = 0
        while first < parts.count {
            var written = try parts.withUnsafeBufferPointer { list throws(StoreError) in
                try SystemCall.retry("write", path) {
                    pwritev(
                        descriptor, list.baseAddress.map { $0 + first },
                        Int32(min(list.count - first, Self.maxParts)), off_t(offset + done))
                }
            }
            done += UInt64(written)
            while first < parts.count, written >= parts[first].iov_len {
                written -= parts[first].iov_len
                first += 1
            }
            guard written > 0 else { continue }
            parts[first].iov_base += written
            parts[first].iov_len -= written
        }
        return done
    }

    /// How many pieces Linux takes at a time (`IOV_MAX`).
    private static let maxParts = 1_024
}

/// The storage of a store on disk. It keeps a bounded number of files open.
final class FileSegments: SegmentStorage {
    private static let maxOpenFiles = 128
    /// Dirty bytes after which the kernel is told to start writing, so that the final wait for
    /// the disk is short.
    private static let writebackStep: UInt64 = 8 << 20

    private let directory: String
    private let files = Mutex((open: [UInt32: OpenFile](), started: [UInt32: UInt64]()))

    init(_ directory: String) throws(StoreError) {
        self.directory = directory
        if mkdir(directory, 0o700) != 0, errno != EEXIST {
            throw SystemCall.failure("create", directory)
        }
    }

    private func path(_ number: UInt32) -> String {
        let digits = String(number)
        return directory + "/" + String(repeating: "0", count: max(0, 8 - digits.count)) + digits
            + ".seg"
    }

    private func file(_ number: UInt32) throws(StoreError) -> OpenFile {
        if let file = files.withLock({ $0.open[number] }) { return file }
        let file = try OpenFile(path(number), O_RDWR)
        files.withLock {
            if $0.open.count >= Self.maxOpenFiles, let victim = $0.open.keys.randomElement() {
                $0.open[victim] = nil
            }
            $0.open[number] = file
        }
        return file
    }

    func list() throws(StoreError) -> [(number: UInt32, size: UInt64)] {
        guard let stream = opendir(directory) else {
            throw SystemCall.failure("list", directory)
        }
        defer { closedir(stream) }
        var found: [(number: UInt32, size: UInt64)] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard name.hasSuffix(".seg"), let number = UInt32(name.dropLast(4)) else { continue }
            var status = stat()
            let path = path(number)
            try SystemCall.retry("examine", path) { stat(path, &status) }
            found.append((number, UInt64(status.st_size)))
        }
        return found
    }

    func create(_ number: UInt32) throws(StoreError) {
        let file = try OpenFile(path(number), O_RDWR | O_CREAT | O_EXCL)
        files.withLock { $0.open[number] = file }
        try Self.syncDirectory(directory)
    }

    func append(
        _ number: UInt32, at offset: UInt64, _ bytes: [ByteBuffer]
    ) throws(StoreError) {
        let file = try file(number)
        let position = offset + (try file.write(bytes, at: offset))
        let range = files.withLock { state -> Range<UInt64>? in
            let start = state.started[number] ?? min(offset, position)
            guard position - min(start, position) >= Self.writebackStep else {
                state.started[number] = min(start, position)
                return nil
            }
            state.started[number] = position
            return start..<position
        }
        if let range {
            LinuxCalls.startWriting(file.descriptor, range)
        }
    }

    func read(
        _ number: UInt32, at offset: UInt64, into memory: UnsafeMutableRawBufferPointer,
        _ mode: ReadMode
    ) throws(StoreError) -> SegmentRead {
        let file: OpenFile
        do {
            file = try self.file(number)
        } catch .system(_, _, ENOENT) {
            return .noSegment
        }
        var done = 0
        while done < memory.count {
            let part = UnsafeMutableRawBufferPointer(rebasing: memory[done...])
            let position = off_t(offset) + off_t(done)
            let got =
                mode == .cachedOnly
                ? LinuxCalls.readCached(file.descriptor, part, position)
                : pread(file.descriptor, part.baseAddress, part.count, position)
            guard got < 0 else {
                if got == 0 { break }
                done += got
                continue
            }
            switch errno {
            case EINTR: continue
            case EAGAIN, EOPNOTSUPP:
                if mode == .cachedOnly { return .wouldBlock }
                throw SystemCall.failure("read", file.path, errno)
            default: throw SystemCall.failure("read", file.path, errno)
            }
        }
        return .count(done)
    }

    func sync(_ number: UInt32) throws(StoreError) {
        let file = try file(number)
        try SystemCall.retry("sync", file.path) { fdatasync(file.descriptor) }
    }

    func truncate(_ number: UInt32, to size: UInt64) throws(StoreError) {
        let file = try file(number)
        try SystemCall.retry("truncate", file.path) { ftruncate(file.descriptor, off_t(size)) }
        files.withLock { $0.started[number] = nil }
    }

    func remove(_ number: UInt32) throws(StoreError) {
        let path = path(number)
        files.withLock {
            $0.open[number] = nil
            $0.started[number] = nil
        }
        if unlink(path) != 0, errno != ENOENT { throw SystemCall.failure("remove", path) }
    }

    /// Makes names that were created or removed in a directory durable.
    static func syncDirectory(_ directory: String) throws(StoreError) {
        let file = try OpenFile(directory, O_RDONLY | O_DIRECTORY)
        try SystemCall.retry("sync", directory) { fsync(file.descriptor) }
    }
}
