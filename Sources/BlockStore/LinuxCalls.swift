// Two calls of Linux that the C module of Swift does not export: preadv2(2) and
// sync_file_range(2). They are found by name in the C library that the program runs with; without
// them reads wait for the disk, and writes are begun when they are synced.

import Glibc

enum LinuxCalls {
    private typealias ReadVector =
        @convention(c) (Int32, UnsafePointer<iovec>, Int32, off_t, Int32) -> Int
    private typealias SyncRange = @convention(c) (Int32, off_t, off_t, UInt32) -> Int32

    private static let readVector = function("preadv2", as: ReadVector.self)
    private static let syncRange = function("sync_file_range", as: SyncRange.self)

    /// `RWF_NOWAIT`
    private static let noWait: Int32 = 8
    /// `SYNC_FILE_RANGE_WRITE`
    private static let startWriting: UInt32 = 2

    /// Reads without waiting for the disk. Returns a negative number with `errno` set to EAGAIN if
    /// it would have to.
    static func readCached(
        _ descriptor: Int32, _ bytes: UnsafeMutableRawBufferPointer, _ offset: off_t
    ) -> Int {
        guard let readVector else {
            errno = EAGAIN
            return -1
        }
        var part = iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)
        return readVector(descriptor, &part, 1, offset, noWait)
    }

    /// Asks the kernel to start writing a range to the disk; only a hint.
    static func startWriting(_ descriptor: Int32, _ range: Range<UInt64>) {
        guard let syncRange else { return }
        // A hint that is refused changes nothing; the sync reports what fails.
        _ = syncRange(
            descriptor, off_t(range.lowerBound), off_t(range.upperBound - range.lowerBound),
            startWriting)
    }

    private static func function<Function>(_ name: String, as: Function.Type) -> Function? {
        // The handle nil means the program and its libraries, in the order of linking.
        dlsym(nil, name).map { unsafeBitCast($0, to: Function.self) }
    }
}
