// A file that is there when it is complete and leaves nothing behind otherwise, even if this
// process is killed: it has no name while it is written (O_TMPFILE of open(2)), where the file
// system can do that.

import Glibc
package import IPLD
package import NIOCore

/// A file that is being written; gone if it is not completed.
package final class PartialFile: Sendable {
    private let folder: ExportFolder
    private let directory: Int32
    private let number: Int32
    /// The name meanwhile, on file systems that know no files without one.
    private let temporaryName: [UInt8]?

    /// `O_TMPFILE`, whose definition is an expression that is not imported.
    private static let unnamed = 0o20000000 | O_DIRECTORY

    init(in folder: ExportFolder, _ directory: Int32, mode: mode_t) throws(SystemError) {
        self.folder = folder
        self.directory = directory
        let unnamed = openat(directory, ".", O_WRONLY | Self.unnamed | O_CLOEXEC, mode)
        if unnamed >= 0 {
            // Giving it a name later goes through /proc.
            if access(Self.link(to: unnamed), F_OK) == 0 {
                number = unnamed
                temporaryName = nil
                return
            }
            close(unnamed)
        }
        let name = Self.freshName()
        let file = try Descriptor.open(
            name, O_WRONLY | O_CREAT | O_EXCL, mode: mode, in: directory,
            path: folder.path + "/" + String(decoding: name, as: UTF8.self))
        number = file.release()
        temporaryName = name
    }

    deinit {
        close(number)
        if let temporaryName { remove(temporaryName) }
    }

    /// Appends bytes.
    package func write(_ bytes: ByteBuffer) throws {
        try bytes.withUnsafeReadableBytes { buffer in
            try Descriptor.write(number, buffer, path: folder.path)
        }
    }

    /// Gives the file its name, and what its DAG says about it.
    package func complete(
        as name: [UInt8], _ metadata: FileMetadata, _ existing: GetOptions.Existing
    ) throws {
        let path = try folder.path(of: name)
        try metadata.apply(to: number, path)
        try folder.makeRoom(for: name, path, existing)
        if let temporaryName { return try rename(temporaryName, to: name, path) }
        if give(name) { return }
        guard errno == EEXIST else { throw SystemError("create", path, code: errno) }
        guard existing == .replaced else { throw ExportError.exists(path) }
        // Only a rename replaces what has the name, and it needs a name to start from.
        let other = Self.freshName()
        guard give(other) else { throw SystemError("create", path, code: errno) }
        do {
            try rename(other, to: name, path)
        } catch {
            remove(other)
            throw error
        }
    }

    /// Gives the nameless file a name that is free.
    private func give(_ name: [UInt8]) -> Bool {
        Descriptor.withCString(name) {
            linkat(AT_FDCWD, Self.link(to: number), directory, $0, AT_SYMLINK_FOLLOW)
        } == 0
    }

    private func rename(_ old: [UInt8], to new: [UInt8], _ path: String) throws(SystemError) {
        let result = Descriptor.withCString(old) { old in
            Descriptor.withCString(new) { renameat(directory, old, directory, $0) }
        }
        guard result == 0 else { throw SystemError("rename", path, code: errno) }
    }

    private func remove(_ name: [UInt8]) {
        _ = Descriptor.withCString(name) { unlinkat(directory, $0, 0) }
    }

    private static func freshName() -> [UInt8] {
        Array(".weft-\(UInt64.random(in: 0...UInt64.max)).part".utf8)
    }

    private static func link(to number: Int32) -> String { "/proc/self/fd/\(number)" }
}
