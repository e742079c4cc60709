// A folder that is being added: its open descriptor, its results so far, and how much is still
// missing. The thread that brings the last result builds the directory.

import CoreFoundation
import Glibc
import IPLD
import Synchronization

/// The name of something in a folder, and what it became.
struct ImportedChild: Sendable {
    let name: [UInt8]
    let entry: DAGEntry
}

/// A folder that is being added.
final class FolderImport: Sendable {
    /// The folder it lies in; nil for the list of what was asked for.
    let parent: FolderImport?
    /// Its name there.
    let name: [UInt8]
    /// How many folders it lies in.
    let depth: Int
    /// What the directory says about itself.
    let metadata: FileMetadata
    /// The open folder; relative names start here.
    let directory: Int32

    private struct State {
        var children: [ImportedChild] = []
        var missing: Int
    }

    private let state: Mutex<State>

    /// Takes over an open folder whose listing has `count` entries.
    init(
        _ name: [UInt8], in parent: FolderImport, owning directory: consuming Descriptor,
        metadata: FileMetadata, count: Int
    ) {
        self.parent = parent
        self.name = name
        self.depth = parent.depth + 1
        self.metadata = metadata
        self.directory = directory.release()
        state = Mutex(State(missing: count))
    }

    /// The list of what was asked for; its names are paths from the working directory.
    init(top count: Int) {
        parent = nil
        name = []
        depth = 0
        metadata = FileMetadata()
        directory = AT_FDCWD
        state = Mutex(State(missing: count))
    }

    deinit { if directory != AT_FDCWD { close(directory) } }

    /// Takes what some of the entries became; answers all of them when none is missing any more.
    func complete(_ children: [ImportedChild]) -> [ImportedChild]? {
        state.withLock { state in
            state.children.append(contentsOf: children)
            state.missing -= children.count
            guard state.missing == 0 else { return nil }
            defer { state.children = [] }
            return state.children
        }
    }

    /// The absolute path of something in this folder.
    func path(of name: [UInt8]) -> String {
        parts(to: name).joined(separator: "/")
    }

    /// The path of something in this folder, from the name of what was asked for.
    func shownPath(of name: [UInt8]) -> String {
        var parts = parts(to: name)
        parts[0] = Files.name(of: parts[0])
        return parts.joined(separator: "/")
    }

    private func parts(to name: [UInt8]) -> [String] {
        var parts = [String(decoding: name, as: UTF8.self)]
        var folder: FolderImport? = self
        while let current = folder, current.parent != nil {
            parts.append(String(decoding: current.name, as: UTF8.self))
            folder = current.parent
        }
        return parts.reversed()
    }
}

/// One entry of a folder's listing.
struct ListedEntry: Sendable {
    enum Kind: Sendable {
        case file
        case folder
        case symlink
        case special(String)
    }

    let name: [UInt8]
    let kind: Kind
}

/// Reads folders.
enum FolderListing {
    /// The entries of an open folder, without `.` and `..`, in the order of the file system.
    ///
    /// `path` is for messages.
    static func entries(
        of directory: borrowing Descriptor, path: @autoclosure () -> String,
        hidden: AddOptions.Hidden
    ) throws -> [ListedEntry] {
        // The stream closes its descriptor, and ours is needed longer.
        let copy = fcntl(directory.number, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0, let stream = fdopendir(copy) else {
            throw SystemError("list", path(), code: errno)
        }
        defer { closedir(stream) }
        var entries: [ListedEntry] = []
        while true {
            errno = 0
            guard let found = readdir(stream) else {
                guard errno == 0 else { throw SystemError("list", path(), code: errno) }
                return entries
            }
            let name = Self.name(of: found)
            if name[0] == UInt8(ascii: ".") {
                if hidden == .excluded || name == [0x2e] || name == [0x2e, 0x2e] { continue }
            }
            guard String(validating: name, as: UTF8.self) != nil else {
                let shown = String(decoding: name, as: UTF8.self)
                throw ImportError.badName(folder: path(), name: shown)
            }
            let kind = try kind(of: found, name, in: directory.number) {
                SystemError(
                    "look at", path() + "/" + String(decoding: name, as: UTF8.self), code: $0)
            }
            entries.append(ListedEntry(name: name, kind: kind))
        }
    }

    /// What the file system says about a name, links not followed.
    static func kind(
        _ name: [UInt8], in directory: Int32, failure: (Int32) -> SystemError
    ) throws -> ListedEntry.Kind {
        var status = stat()
        let result = Descriptor.withCString(name) {
            fstatat(directory, $0, &status, AT_SYMLINK_NOFOLLOW)
        }
        guard result == 0 else { throw failure(errno) }
        return switch status.st_mode & S_IFMT {
        case S_IFREG: .file
        case S_IFDIR: .folder
        case S_IFLNK: .symlink
        default: .special(kindName(status.st_mode))
        }
    }

    /// What a special file is called.
    static func kindName(_ mode: mode_t) -> String {
        switch mode & S_IFMT {
        case S_IFSOCK: "socket"
        case S_IFIFO: "pipe"
        case S_IFBLK, S_IFCHR: "device"
        case S_IFDIR: "folder"
        case S_IFLNK: "symbolic link"
        default: "special file"
        }
    }

    private static func kind(
        of found: UnsafeMutablePointer<dirent>, _ name: [UInt8], in directory: Int32,
        failure: (Int32) -> SystemError
    ) throws -> ListedEntry.Kind {
        switch Int(found.pointee.d_type) {
        case Int(DT_REG): .file
        case Int(DT_DIR): .folder
        case Int(DT_LNK): .symlink
        // Some file systems do not say, and for the others a precise name is wanted.
        default: try kind(name, in: directory, failure: failure)
        }
    }

    private static func name(of found: UnsafeMutablePointer<dirent>) -> [UInt8] {
        withUnsafePointer(to: &found.pointee.d_name) { field in
            field.withMemoryRebound(to: UInt8.self, capacity: 256) { start in
                [UInt8](
                    UnsafeBufferPointer(
                        start: start,
                        count: strlen(UnsafeRawPointer(field).assumingMemoryBound(to: CChar.self))))
            }
        }
    }
}
