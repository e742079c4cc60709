// How much there is to add, for the bar that shows how far it has come.

import CoreFoundation
import Glibc

/// Sizes of files and folders.
enum TreeSize {
    /// How deep folders are looked into; deeper ones are refused when they are added.
    private static let maxDepth = 512

    /// How many bytes the files at a path have in all. What cannot be looked at counts nothing:
    /// adding it will say why.
    static func bytes(of path: String, depth: Int = 0) -> UInt64 {
        var information = stat()
        guard lstat(path, &information) == 0 else { return 0 }
        switch information.st_mode & S_IFMT {
        case S_IFREG: return UInt64(max(0, information.st_size))
        case S_IFDIR where depth < maxDepth: break
        default: return 0
        }
        guard let folder = opendir(path) else { return 0 }
        defer { closedir(folder) }
        var total: UInt64 = 0
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard name != ".", name != ".." else { continue }
            total += bytes(of: path + "/" + name, depth: depth + 1)
        }
        return total
    }
}
