// Small files that are read and written whole, and the few things that are done with paths.

import CoreFoundation
import Glibc

/// Small files that are read and written whole.
enum SmallFile {
    /// The bytes of a file; nil if there is none. A file over `limit` bytes is refused.
    static func read(_ path: String, limit: Int = 1 << 20) throws(SystemError) -> [UInt8]? {
        guard let file = try Descriptor.openIfPresent(path) else { return nil }
        let size = Int(try file.status(of: path).st_size)
        guard size <= limit else { throw SystemError("read", path, code: EFBIG) }
        var bytes = [UInt8](repeating: 0, count: size)
        let result = bytes.withUnsafeMutableBytes { buffer in
            Result<Int, SystemError> { () throws(SystemError) in
                try file.read(into: buffer, at: 0, path: path)
            }
        }
        bytes.removeLast(size - (try result.get()))
        return bytes
    }

    /// Writes a file in one step: readers see the old or the new content, also after a crash.
    static func replace(
        _ path: String, with bytes: [UInt8], mode: mode_t = 0o600
    ) throws(SystemError) {
        let temporary = path + ".new"
        if unlink(temporary) != 0 && errno != ENOENT {
            throw SystemError("remove", temporary, code: errno)
        }
        do {
            let file = try Descriptor.open(temporary, O_WRONLY | O_CREAT | O_EXCL, mode: mode)
            let written = bytes.withUnsafeBytes { buffer in
                Result<Void, SystemError> { () throws(SystemError) in
                    try file.write(buffer, to: temporary)
                }
            }
            try written.get()
            try file.sync(temporary)
        }
        guard rename(temporary, path) == 0 else {
            throw SystemError("rename", temporary, code: errno)
        }
        let directory = path.contains("/") ? Files.parent(of: path) : "."
        try Descriptor.open(directory, O_RDONLY | O_DIRECTORY).sync(directory)
    }
}

/// Paths and directories.
enum Files {
    /// The directory that holds `path`.
    static func parent(of path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// The last part of a path, without trailing slashes.
    static func name(of path: String) -> String {
        String(path.split(separator: "/").last ?? "")
    }

    /// The path from the root to the same place. Links on the way are followed, one that the path
    /// itself names is not.
    static func absolute(_ path: String) throws(SystemError) -> String {
        let name = Self.name(of: path)
        guard !name.isEmpty, name != ".", name != ".." else { return try resolved(path) }
        var trimmed = Substring(path)
        while trimmed.last == "/" { trimmed.removeLast() }
        let folder = try resolved(parent(of: String(trimmed)))
        return folder == "/" ? "/" + name : folder + "/" + name
    }

    /// The path from the root to the same place, all links followed.
    static func resolved(_ path: String) throws(SystemError) -> String {
        guard let resolved = realpath(path, nil) else {
            throw SystemError("find", path, code: errno)
        }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// Creates a directory and those above it that are missing; new ones are private.
    static func createDirectory(_ path: String) throws(SystemError) {
        if mkdir(path, 0o700) == 0 || errno == EEXIST { return }
        guard errno == ENOENT, parent(of: path) != path else {
            throw SystemError("create the directory", path, code: errno)
        }
        try createDirectory(parent(of: path))
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else {
            throw SystemError("create the directory", path, code: errno)
        }
    }

    /// The names in a directory, without `.` and `..`, in no order.
    static func names(in path: String) throws(SystemError) -> [String] {
        guard let stream = opendir(path) else {
            throw SystemError("list", path, code: errno)
        }
        defer { closedir(stream) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                guard errno == 0 else { throw SystemError("list", path, code: errno) }
                return names
            }
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
    }
}
