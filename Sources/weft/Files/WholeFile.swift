// Small files that are read and written whole.

import CoreFoundation
import Glibc

/// Small files that are read and written whole.
enum WholeFile {
    /// The bytes of a file of at most `limit` bytes.
    static func read(_ path: String, limit: Int) throws -> [UInt8] {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw failure("read", path) }
        defer { close(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = Glibc.read(file, &chunk, chunk.count)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw failure("read", path) }
            if count == 0 { return bytes }
            bytes += chunk[..<count]
            guard bytes.count <= limit else {
                throw CommandFailure(
                    "'\(path)' is larger than \(HumanBytes.text(UInt64(limit)))")
            }
        }
    }

    /// Writes a file, with the folders that it lies in.
    static func write(_ bytes: [UInt8], _ path: String, mode: mode_t = 0o666) throws {
        if let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) {
            try createFolder(String(path[..<slash]))
        }
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
        guard file >= 0 else { throw failure("write", path) }
        defer { close(file) }
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(file, $0.baseAddress! + done, $0.count - done)
            }
            guard count >= 0 || errno == EINTR else { throw failure("write", path) }
            done += max(count, 0)
        }
    }

    /// Creates a folder and those above it, if they are missing.
    static func createFolder(_ path: String) throws {
        guard !path.isEmpty, mkdir(path, 0o777) != 0, errno != EEXIST else { return }
        guard errno == ENOENT, let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else {
            throw failure("create the folder", path)
        }
        try createFolder(String(path[..<slash]))
        guard mkdir(path, 0o777) == 0 || errno == EEXIST else {
            throw failure("create the folder", path)
        }
    }

    /// What there is at a path.
    enum Kind {
        case nothing, file, folder
    }

    /// What there is at a path.
    static func kind(of path: String) -> Kind {
        var information = stat()
        guard stat(path, &information) == 0 else { return .nothing }
        return information.st_mode & S_IFMT == S_IFDIR ? .folder : .file
    }

    /// Which names of a folder are wanted.
    enum Names {
        /// Those that do not begin with a dot.
        case visible
        case all
    }

    /// The names in a folder, sorted.
    static func names(in path: String, _ wanted: Names = .visible) throws -> [String] {
        guard let folder = opendir(path) else { throw failure("list", path) }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name == "." || name == ".." { continue }
            if wanted == .all || !name.hasPrefix(".") { names.append(name) }
        }
        return names.sorted()
    }

    private static func failure(_ verb: String, _ path: String) -> CommandFailure {
        CommandFailure("cannot \(verb) '\(path)': \(String(cString: strerror(errno)))")
    }
}
