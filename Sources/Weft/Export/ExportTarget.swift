// Where exported files go: a folder that is held open, and names in it. Nothing here follows a
// link or takes a path, so what a DAG says can never lead outside of the folder.

import CoreFoundation
import Glibc
import IPLD
import NIOCore

/// An open folder that files are exported into.
package final class ExportFolder: Sendable {
    /// Its path, for messages.
    let path: String
    /// How many folders it lies in, from the target.
    let depth: Int
    private let number: Int32

    private init(_ path: String, depth: Int, owning descriptor: consuming Descriptor) {
        self.path = path
        self.depth = depth
        number = descriptor.release()
    }

    deinit { close(number) }

    /// Opens a folder that the user named; links on the way to it are theirs and are followed.
    package convenience init(named path: String) throws {
        self.init(path, depth: 0, owning: try .open(path, O_RDONLY | O_DIRECTORY))
    }

    /// The folder of this name, made if there is none.
    func folder(_ name: [UInt8]) throws -> ExportFolder {
        let path = try self.path(of: name)
        let made = Descriptor.withCString(name) { mkdirat(number, $0, 0o777) }
        guard made == 0 || errno == EEXIST else {
            throw SystemError("create the directory", path, code: errno)
        }
        do {
            let opened = try Descriptor.open(
                name, O_RDONLY | O_DIRECTORY, in: number, path: path)
            return ExportFolder(path, depth: depth + 1, owning: opened)
        } catch {
            if error.code == ELOOP || error.code == ENOTDIR { throw ExportError.notAFolder(path) }
            throw error
        }
    }

    /// Gives the folder what its DAG says about it; the last thing that is done to it, since
    /// writing into it changes its time, and its mode may forbid that.
    func complete(_ metadata: FileMetadata) throws { try metadata.apply(to: number, path) }

    /// Begins a file, which gets its name when it is complete.
    package func newFile(mode: UInt32 = 0o666) throws -> PartialFile {
        try PartialFile(in: self, number, mode: mode)
    }

    /// Makes a symbolic link. Where it leads is not looked at, and it is never followed.
    func link(
        _ name: [UInt8], to target: [UInt8], _ metadata: FileMetadata,
        _ existing: GetOptions.Existing
    ) throws {
        let path = try self.path(of: name)
        guard !target.contains(0), !target.isEmpty else { throw ExportError.badLink(path) }
        try makeRoom(for: name, path, existing)
        if existing == .replaced {
            _ = Descriptor.withCString(name) { unlinkat(number, $0, 0) }
        }
        let made = Descriptor.withCString(target) { target in
            Descriptor.withCString(name) { symlinkat(target, number, $0) }
        }
        guard made == 0 else { throw SystemError("create the link", path, code: errno) }
        guard let times = metadata.times else { return }
        let set = Descriptor.withCString(name) {
            utimensat(number, $0, times, AT_SYMLINK_NOFOLLOW)
        }
        guard set == 0 else { throw SystemError("change the time of", path, code: errno) }
    }

    /// Refuses a name that is taken, unless it may be replaced.
    func makeRoom(
        for name: [UInt8], _ path: String, _ existing: GetOptions.Existing
    ) throws {
        var status = stat()
        let found = Descriptor.withCString(name) {
            fstatat(number, $0, &status, AT_SYMLINK_NOFOLLOW)
        }
        guard found == 0 else {
            guard errno == ENOENT else { throw SystemError("look at", path, code: errno) }
            return
        }
        if existing == .kept || status.st_mode & S_IFMT == S_IFDIR {
            throw ExportError.exists(path)
        }
    }

    /// The path of a name here; refuses what is no name of one thing in this folder.
    func path(of name: [UInt8]) throws -> String {
        let shown = String(decoding: name, as: UTF8.self)
        let isName =
            !name.isEmpty && name != [0x2e] && name != [0x2e, 0x2e] && name.count <= 255
            && !name.contains { $0 == 0 || $0 == UInt8(ascii: "/") }
        guard isName else { throw ExportError.badName(folder: path, name: shown) }
        return path + "/" + shown
    }
}

extension FileMetadata {
    /// Access and modification as the system takes them.
    fileprivate var times: [timespec]? {
        modified.map {
            let time = timespec(tv_sec: Int($0.seconds), tv_nsec: Int($0.nanoseconds))
            return [time, time]
        }
    }

    /// Gives an open file or folder its mode and time.
    func apply(to descriptor: Int32, _ path: String) throws {
        if let mode {
            // Bits that lend a user's rights to others are not taken from a stranger.
            guard fchmod(descriptor, mode & 0o777) == 0 else {
                throw SystemError("change the mode of", path, code: errno)
            }
        }
        guard let times else { return }
        guard futimens(descriptor, times) == 0 else {
            throw SystemError("change the time of", path, code: errno)
        }
    }
}
