// The files of deny lists: read at the start, and again when one of them changes.

import CoreFoundation
import Glibc
import Logging
import Synchronization
import Weft

/// Why a deny list cannot be used.
public struct DenylistError: Error, Sendable, CustomStringConvertible {
    /// The file and what is wrong with it.
    public let description: String
}

/// The deny lists of a gateway, kept up to date with their files.
final class DenylistFiles: Sendable {
    /// The largest file that is read, in bytes.
    private static let maxBytes = 512 << 20

    /// What tells that a file has changed.
    private struct Stamp: Equatable {
        var size: Int
        var seconds: Int
        var nanoseconds: Int
        var inode: UInt
    }

    private struct State {
        var list = Denylist()
        var stamps: [Stamp?] = []
    }

    private let paths: [String]
    private let state = Mutex(State())

    /// Reads all files.
    init(_ paths: [String]) throws(DenylistError) {
        self.paths = paths
        guard !paths.isEmpty else { return }
        let stamps = paths.map(Self.stamp)
        let list = try Self.read(paths)
        state.withLock { $0 = State(list: list, stamps: stamps) }
    }

    /// The rules of all files.
    var current: Denylist { state.withLock { $0.list } }

    /// Reads the files again if one has changed.
    ///
    /// - Returns: Whether there are new rules. A file that cannot be read leaves the old ones.
    func reloadIfChanged(_ logger: Logger?) -> Bool {
        guard !paths.isEmpty else { return false }
        let stamps = paths.map(Self.stamp)
        guard stamps != state.withLock({ $0.stamps }) else { return false }
        do throws(DenylistError) {
            let list = try Self.read(paths)
            state.withLock { $0 = State(list: list, stamps: stamps) }
            logger?.info("deny lists were read again", metadata: ["rules": "\(list.ruleCount)"])
            return true
        } catch {
            logger?.error(
                "a deny list changed and cannot be used; the rules before stay",
                metadata: ["error": "\(error)"])
            state.withLock { $0.stamps = stamps }
            return false
        }
    }

    private static func read(_ paths: [String]) throws(DenylistError) -> Denylist {
        var list = Denylist()
        for path in paths {
            let text = try text(of: path)
            do throws(Denylist.Problem) {
                _ = try list.add(text)
            } catch {
                throw DenylistError(description: "the deny list \(path): \(error.message)")
            }
        }
        return list
    }

    private static func text(of path: String) throws(DenylistError) -> String {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else {
            throw DenylistError(
                description: "the deny list \(path) cannot be opened: "
                    + String(cString: strerror(errno)))
        }
        defer { close(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = Glibc.read(file, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else {
                throw DenylistError(
                    description: "the deny list \(path) cannot be read: "
                        + String(cString: strerror(errno)))
            }
            if count == 0 { break }
            guard bytes.count + count <= maxBytes else {
                throw DenylistError(
                    description: "the deny list \(path) is larger than \(maxBytes) bytes")
            }
            bytes += chunk.prefix(count)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func stamp(_ path: String) -> Stamp? {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        return Stamp(
            size: Int(status.st_size), seconds: status.st_mtim.tv_sec,
            nanoseconds: status.st_mtim.tv_nsec, inode: UInt(status.st_ino))
    }
}
