// The files of a store's directory, how large they are, and who may use them.

import Glibc
import Synchronization

/// The paths of a store.
///
///     format            "weft block store 1"
///     lock              the process that has the store open
///     index.sqlite      the index, with its -wal and -shm
///     pins.log          the journal of pins
///     spare             room that is given up when the disk is full
///     segments/         the segments
struct StoreLayout: Sendable {
    static let version = 1

    let directory: String
    var segments: String { directory + "/segments" }
    var indexPath: String { directory + "/index.sqlite" }
    var journal: String { directory + "/pins.log" }
    var lock: String { directory + "/lock" }
    private var spare: String { directory + "/spare" }
    /// How much room of the disk is kept for what removes something, in bytes.
    private static let spareBytes = 256 << 10
    private var format: String { directory + "/format" }

    /// How large a segment may grow, in bytes.
    var segmentSize: UInt64 = 0
    /// The part of the limit that the index's log may take, in bytes.
    var logShare: UInt64 = 0
    /// The part of the limit that is left free for collection to work in, in bytes.
    var scratch: UInt64 = 0

    /// Creates the directory if it is missing.
    init(_ directory: String) throws(StoreError) {
        self.directory = directory
        if mkdir(directory, 0o700) != 0, errno != EEXIST {
            throw SystemCall.failure("create", directory)
        }
    }

    /// Divides the limit: a segment is 1/512 of it, so that ten million small blocks take fewer
    /// than a thousand files, yet a small store still has several.
    mutating func divide(_ maxBytes: UInt64) {
        let smallest = min(4 << 20, maxBytes / 16)
        segmentSize = min(max(maxBytes / 512, smallest), 1 << 30)
        logShare = min(max(maxBytes / 32, 256 << 10), 64 << 20)
        let largestRecord: UInt64 = (2 << 20) + 64
        scratch = max(segmentSize, largestRecord) + logShare + (128 << 10)
    }

    /// Reads the format's version, or writes it into a new directory.
    func checkFormat() throws(StoreError) {
        let descriptor = try SystemCall.retry("open", format) {
            open(format, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        }
        defer { _ = Glibc.close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = try SystemCall.retry("read", format) {
            bytes.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, 64, 0) }
        }
        let text = String(decoding: bytes.prefix(count), as: UTF8.self)
        if text.isEmpty {
            let line = Array("weft block store \(Self.version)\n".utf8)
            try SystemCall.retry("write", format) {
                line.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, 0) }
            }
            try SystemCall.retry("sync", format) { fsync(descriptor) }
            return
        }
        let words = text.split(whereSeparator: \.isWhitespace)
        guard words.count == 4, words[0...2].elementsEqual(["weft", "block", "store"]),
            let found = Int(words[3])
        else { throw .notAStore(directory: directory) }
        guard found <= Self.version else {
            throw .newerFormat(found: found, supported: Self.version)
        }
    }

    /// Bytes of all files but the segments, the index and its log.
    var otherBytes: UInt64 {
        Self.size(journal) + Self.size(spare) + 3 * 4096
    }

    /// Keeps some room of the disk while there is much, and gives it up when there is none left:
    /// whoever unpins and collects has to write a little before something is free.
    func tendSpare() {
        var disk = statvfs()
        guard statvfs(directory, &disk) == 0 else { return }
        let free = UInt64(disk.f_bavail) * UInt64(disk.f_frsize)
        if free < Self.spareBytes {
            giveUpSpare()
        } else if free > 64 * Self.spareBytes, Self.size(spare) == 0 {
            let descriptor = open(spare, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
            guard descriptor >= 0 else { return }
            // A file system that cannot promise room has none to give back, either.
            if posix_fallocate(descriptor, 0, off_t(Self.spareBytes)) != 0 { giveUpSpare() }
            _ = Glibc.close(descriptor)
        }
    }

    /// Has something of the disk free, unless that has been done before.
    func giveUpSpare() { unlink(spare) }

    /// Bytes of the index's log.
    var logBytes: UInt64 { Self.size(indexPath + "-wal") + Self.size(indexPath + "-shm") }

    /// Bytes of the index without its log.
    var databaseBytes: UInt64 { Self.size(indexPath) }

    private static func size(_ path: String) -> UInt64 {
        var status = stat()
        return stat(path, &status) == 0 ? UInt64(status.st_size) : 0
    }

    /// Removes the index, so that it is built anew.
    func removeIndex() throws(StoreError) {
        for suffix in ["", "-wal", "-shm"] {
            let path = indexPath + suffix
            if unlink(path) != 0, errno != ENOENT { throw SystemCall.failure("remove", path) }
        }
    }

    var hasIndex: Bool { access(indexPath, F_OK) == 0 }
}

/// Keeps a second process out of a store while this one has it open.
final class DirectoryLock: Sendable {
    private let descriptor: Mutex<Int32?>

    init(_ layout: StoreLayout) throws(StoreError) {
        let path = layout.lock
        let descriptor = try SystemCall.retry("open", path) {
            open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            var bytes = [UInt8](repeating: 0, count: 16)
            let count = bytes.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, 16, 0) }
            let text = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
            let owner = Int32(text.prefix { $0.isNumber })
            _ = Glibc.close(descriptor)
            throw .inUse(directory: layout.directory, process: owner)
        }
        let text = Array("\(getpid())\n".utf8)
        // The number only serves the message of whoever finds the store in use.
        _ = ftruncate(descriptor, 0)
        _ = text.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, 0) }
        self.descriptor = Mutex(descriptor)
    }

    deinit { release() }

    func release() {
        descriptor.withLock { descriptor in
            // Unlocked by name, since a child that is just being started may share the descriptor.
            if let open = descriptor {
                _ = flock(open, LOCK_UN)
                _ = Glibc.close(open)
            }
            descriptor = nil
        }
    }
}
