// A file that grows by small entries at its end. What a crash leaves of the last one is cut off, so
// that it hides nothing that comes after it.

import Glibc
import Wire

/// Entries of 1 to 65,535 bytes, each with its length before it in two bytes, most significant
/// first; and the file that was full before this one, with `.old` behind its name.
struct EntryFile: Sendable {
    let path: String
    /// How long the file gets before it takes the place of the one before it, in bytes.
    let maxBytes: Int

    private var oldPath: String { path + ".old" }

    /// All whole entries of both files, the oldest first. What cannot be read is missing.
    func read() -> [ArraySlice<UInt8>] {
        Self.entries(of: bytes(at: oldPath)).whole + Self.entries(of: bytes(at: path)).whole
    }

    /// As ``read()``, when the file is opened: what is no whole entry at the end is cut off.
    func recover() -> (entries: [ArraySlice<UInt8>], cutBytes: Int) {
        let bytes = bytes(at: path)
        let (whole, end) = Self.entries(of: bytes)
        let isCut = end < bytes.count && truncate(path, off_t(end)) == 0
        return (
            Self.entries(of: self.bytes(at: oldPath)).whole + whole, isCut ? bytes.count - end : 0
        )
    }

    /// Hands entries to the system. Of what does not fit, nothing stays.
    func append(_ entries: [[UInt8]]) {
        guard !entries.isEmpty else { return }
        var bytes: [UInt8] = []
        for entry in entries {
            bytes += [UInt8(truncatingIfNeeded: entry.count >> 8), UInt8(entry.count & 0xff)]
            bytes += entry
        }
        let file = Glibc.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard file >= 0 else { return }
        defer { close(file) }
        let written = Glibc.write(file, bytes, bytes.count)
        let size = lseek(file, 0, SEEK_END)
        if written > 0, written < bytes.count { ftruncate(file, size - off_t(written)) }
        if size > off_t(maxBytes) { rename(path, oldPath) }
    }

    /// Waits until all entries are on disk.
    func sync() throws(SystemError) {
        guard let file = try Descriptor.openIfPresent(path) else { return }
        try file.sync(path)
    }

    private func bytes(at path: String) -> [UInt8] {
        // One more write may have followed the byte that was too much.
        (try? SmallFile.read(path, limit: 2 * maxBytes)) ?? []
    }

    private static func entries(of bytes: [UInt8]) -> (whole: [ArraySlice<UInt8>], end: Int) {
        var whole: [ArraySlice<UInt8>] = []
        var place = 0
        while bytes.count - place > 2 {
            let length = Int(bytes[place]) << 8 | Int(bytes[place + 1])
            let end = place + 2 + length
            // A power cut can leave zeros.
            guard length > 0, end <= bytes.count else { break }
            whole.append(bytes[place + 2..<end])
            place = end
        }
        return (whole, place)
    }
}
