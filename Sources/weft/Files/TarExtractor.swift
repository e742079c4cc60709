// Unpacks a stream of tar (POSIX.1-2001 pax, ustar) beneath one target, and nowhere else.

import Glibc
import NIOCore

/// Unpacks an archive with one root beside the target and renames it when it is complete.
///
/// Every name is checked, files are created afresh without following links, and links are made
/// last, so that nothing can be written through one.
actor TarExtractor {
    private struct Entry {
        var name = ""
        var link = ""
        var type = UInt8(ascii: "0")
        var size: UInt64 = 0
        var mode: mode_t = 0o644
        var time: Int?
    }

    private enum State {
        case header
        case file(descriptor: Int32, remaining: UInt64, padding: Int)
        case extended(remaining: Int, padding: Int, type: UInt8)
        case padding(Int)
        case finished
    }

    /// The longest extended header that is read, in bytes.
    private static let maxExtendedBytes = 1 << 20
    /// The most symbolic links that are kept until the end.
    private static let maxLinks = 1_000_000

    private let target: String
    private let temporary: String
    private var buffer = ByteBuffer()
    private var state = State.header
    private var extended = ByteBuffer()
    private var overrides = Entry()
    private var hasLongName = false
    private var hasLongLink = false
    private var longSize: UInt64?
    private var links: [(path: String, destination: String)] = []
    private var directories: [(path: String, mode: mode_t)] = []
    private var rootName: String?
    /// How many bytes of files have been written.
    private(set) var bytes: UInt64 = 0
    /// How many files, folders and links have been found.
    private(set) var entries = 0

    /// An extractor for a target that does not exist yet.
    init(target: String) throws {
        var path = target[...]
        while path.count > 1, path.last == "/" { path.removeLast() }
        self.target = String(path)
        temporary = "\(path).weft-\(getpid())"
        var information = stat()
        guard lstat(self.target, &information) != 0 else {
            throw CommandFailure("'\(target)' exists; name another place with -o")
        }
    }

    /// Adds bytes of the archive.
    func feed(_ chunk: ByteBuffer) throws {
        var chunk = chunk
        buffer.discardReadBytes()
        buffer.writeBuffer(&chunk)
        while try step() {}
    }

    /// Makes the links and gives the target its name.
    func complete() throws {
        guard case .finished = state else {
            throw CommandFailure("the archive ended early; nothing was written")
        }
        guard rootName != nil else { throw CommandFailure("the archive is empty") }
        for (path, destination) in links {
            guard symlink(destination, path) == 0 else { throw Self.failure("link", path) }
        }
        for (path, mode) in directories.reversed() { chmod(path, mode) }
        guard rename(temporary, target) == 0 else { throw Self.failure("name", target) }
    }

    /// Removes what was written so far.
    func abandon() {
        if case .file(let descriptor, _, _) = state { close(descriptor) }
        state = .finished
        Self.remove(temporary)
    }

    /// Takes one step; false when more bytes are needed.
    private func step() throws -> Bool {
        switch state {
        case .header:
            guard let block = buffer.readBytes(length: 512) else { return false }
            try begin(block)
        case .file(let descriptor, let remaining, let padding):
            let length = Int(min(remaining, UInt64(buffer.readableBytes)))
            guard length > 0 || remaining == 0 else { return false }
            if let data = buffer.readSlice(length: length) { try write(data, to: descriptor) }
            let rest = remaining - UInt64(length)
            guard rest == 0 else {
                state = .file(descriptor: descriptor, remaining: rest, padding: padding)
                return false
            }
            state = .padding(padding)
            guard close(descriptor) == 0 else { throw Self.failure("write", temporary) }
        case .extended(let remaining, let padding, let type):
            guard var data = buffer.readSlice(length: min(remaining, buffer.readableBytes)) else {
                return false
            }
            let rest = remaining - data.readableBytes
            extended.writeBuffer(&data)
            guard rest == 0 else {
                state = .extended(remaining: rest, padding: padding, type: type)
                return false
            }
            try takeExtended(type)
            state = .padding(padding)
        case .padding(let count):
            let length = min(count, buffer.readableBytes)
            buffer.moveReaderIndex(forwardBy: length)
            guard length == count else {
                state = .padding(count - length)
                return false
            }
            state = .header
        case .finished:
            buffer.clear()
            return false
        }
        return true
    }

    private func begin(_ block: [UInt8]) throws {
        guard block.contains(where: { $0 != 0 }) else {
            state = .finished
            return
        }
        var sum = 8 * 32
        for (index, byte) in block.enumerated() where !(148..<156).contains(index) {
            sum += Int(byte)
        }
        guard Self.octal(block[148..<156]) == UInt64(sum) else {
            throw CommandFailure("the archive is damaged")
        }
        var entry = Entry()
        let prefix = Self.text(block[345..<500])
        let name = Self.text(block[0..<100])
        entry.name = prefix.isEmpty ? name : prefix + "/" + name
        entry.link = Self.text(block[157..<257])
        entry.type = block[156] == 0 ? UInt8(ascii: "0") : block[156]
        entry.mode = mode_t(Self.octal(block[100..<108]) & 0o777)
        guard block[124] & 0x80 == 0 else { throw CommandFailure("the archive is damaged") }
        entry.size = Self.octal(block[124..<136])
        if hasLongName { entry.name = overrides.name }
        if hasLongLink { entry.link = overrides.link }
        if let longSize { entry.size = longSize }
        let padding = Int((512 - entry.size % 512) % 512)
        if ["x", "g", "L", "K"].contains(Character(Unicode.Scalar(entry.type))) {
            guard entry.size <= Self.maxExtendedBytes else {
                throw CommandFailure("the archive has a header of \(entry.size) bytes")
            }
            extended.clear()
            state = .extended(
                remaining: Int(entry.size), padding: padding, type: entry.type)
            return
        }
        hasLongName = false
        hasLongLink = false
        longSize = nil
        try create(entry, padding: padding)
    }

    private func create(_ entry: Entry, padding: Int) throws {
        let path = try place(of: entry.name)
        entries += 1
        switch Character(Unicode.Scalar(entry.type)) {
        case "5":
            guard mkdir(path, 0o700) == 0 else { throw Self.failure("create", path) }
            directories.append((path, entry.mode | 0o700))
            state = .padding(0)
        case "2":
            try checkLink(entry)
            guard links.count < Self.maxLinks else {
                throw CommandFailure("the folder has over \(Self.maxLinks) links")
            }
            links.append((path, entry.link))
            state = .padding(0)
        case "0", "7":
            let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC
            let descriptor = open(path, flags, entry.mode | 0o600)
            guard descriptor >= 0 else { throw Self.failure("create", path) }
            state = .file(descriptor: descriptor, remaining: entry.size, padding: padding)
        default:
            throw CommandFailure("'\(entry.name)' is of a kind that is not written to disk")
        }
    }

    /// Where an entry is to be written; its first segment stands for the target.
    private func place(of name: String) throws -> String {
        let trimmed = name.hasSuffix("/") ? String(name.dropLast()) : name
        let segments = trimmed.split(separator: "/", omittingEmptySubsequences: false)
        guard !trimmed.isEmpty, !trimmed.utf8.contains(0), segments.count <= 4096,
            segments.allSatisfy({ !$0.isEmpty && $0 != "." && $0 != ".." })
        else { throw CommandFailure("the name '\(name)' is refused: it could leave the target") }
        guard let root = rootName else {
            guard segments.count == 1 else {
                throw CommandFailure("the archive does not begin with its root")
            }
            rootName = String(segments[0])
            return temporary
        }
        guard segments[0] == root, segments.count > 1 else {
            throw CommandFailure("the name '\(name)' is refused: it is not below '\(root)'")
        }
        return temporary + "/" + segments.dropFirst().joined(separator: "/")
    }

    /// Refuses links that lead out of the target.
    private func checkLink(_ entry: Entry) throws {
        var depth = entry.name.split(separator: "/").count - 2
        var leaves = entry.link.hasPrefix("/") || entry.link.isEmpty
        for segment in entry.link.split(separator: "/") where segment != "." {
            depth += segment == ".." ? -1 : 1
            if depth < 0 { leaves = true }
        }
        guard !leaves, !entry.link.utf8.contains(0) else {
            throw CommandFailure(
                "the link '\(entry.name)' leads out of the target, to '\(entry.link)'; "
                    + "'weft get --archive' saves it without following it")
        }
    }

    /// Takes the records of a pax header, or a long name of GNU tar.
    private func takeExtended(_ type: UInt8) throws {
        switch Character(Unicode.Scalar(type)) {
        case "L":
            overrides.name = Self.text(Array(extended.readableBytesView)[...])
            hasLongName = true
        case "K":
            overrides.link = Self.text(Array(extended.readableBytesView)[...])
            hasLongLink = true
        case "x":
            while extended.readableBytes > 0 {
                guard let space = extended.readableBytesView.firstIndex(of: 0x20),
                    let digits = extended.getString(
                        at: extended.readerIndex, length: space - extended.readerIndex),
                    let length = Int(digits), length > digits.utf8.count + 2,
                    let record = extended.readString(length: length)
                else { throw CommandFailure("the archive is damaged") }
                let body = record.dropFirst(digits.count + 1).dropLast()
                let parts = body.split(
                    separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                guard parts.count == 2 else { throw CommandFailure("the archive is damaged") }
                takeRecord(String(parts[0]), String(parts[1]))
            }
        default: break
        }
    }

    private func takeRecord(_ key: String, _ value: String) {
        switch key {
        case "path":
            overrides.name = value
            hasLongName = true
        case "linkpath":
            overrides.link = value
            hasLongLink = true
        case "size": longSize = UInt64(value)
        default: break
        }
    }

    private func write(_ data: ByteBuffer, to descriptor: Int32) throws {
        bytes += UInt64(data.readableBytes)
        try data.withUnsafeReadableBytes { space in
            var done = 0
            while done < space.count, let base = space.baseAddress {
                let count = Glibc.write(descriptor, base + done, space.count - done)
                guard count >= 0 || errno == EINTR else { throw Self.failure("write", target) }
                done += max(count, 0)
            }
        }
    }

    private static func octal(_ field: ArraySlice<UInt8>) -> UInt64 {
        var value: UInt64 = 0
        for byte in field where (UInt8(ascii: "0")...UInt8(ascii: "7")).contains(byte) {
            value = value << 3 | UInt64(byte - UInt8(ascii: "0"))
        }
        return value
    }

    private static func text(_ field: ArraySlice<UInt8>) -> String {
        String(decoding: field.prefix { $0 != 0 }, as: UTF8.self)
    }

    private static func failure(_ verb: String, _ path: String) -> CommandFailure {
        CommandFailure("cannot \(verb) '\(path)': \(String(cString: strerror(errno)))")
    }

    /// Removes a file or a folder without following links.
    private static func remove(_ path: String) {
        var information = stat()
        guard lstat(path, &information) == 0 else { return }
        guard information.st_mode & S_IFMT == S_IFDIR else {
            unlink(path)
            return
        }
        if let folder = opendir(path) {
            while let entry = readdir(folder) {
                let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                    String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
                }
                if name != ".", name != ".." { remove(path + "/" + name) }
            }
            closedir(folder)
        }
        rmdir(path)
    }
}
