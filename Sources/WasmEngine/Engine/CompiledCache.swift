// Compiled code on disk, by the hash of the module, the rules' version and the engine's. Each node
// makes its own: what is in here never comes from others, and is checked before it is used.
//
//     32 bytes   SHA-256 of all that follows
//     8, 4, 1    what an instance costs, its first pages of memory, flags
//     4          how many methods: for each a length (2 bytes) and the name
//     the rest   the engine's code

import Cryptography
import Glibc
import Synchronization
import Wire

/// A directory of compiled code with a limit to its size.
public final class CompiledCache: Sendable {
    struct Entry {
        let facts: Program.Facts
        let code: ArraySlice<UInt8>
    }

    private let directory: String
    private let maxBytes: UInt64
    private let changing = Mutex(())

    /// A cache in a directory, which is made when something is kept.
    public init(_ directory: String, maxBytes: UInt64) {
        self.directory = directory
        self.maxBytes = maxBytes
    }

    /// The name of a module's file.
    static func name(of module: [UInt8]) -> String {
        let hex = SHA256.hash(module.rawSpan).map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0" + digits : digits
        }
        return hex.joined() + "-" + Engine.version
    }

    /// What is kept under a name; nil if there is nothing, or it is damaged.
    func load(_ name: String) -> Entry? {
        let path = directory + "/" + name
        guard let bytes = Self.read(path) else { return nil }
        guard bytes.count > 49, Self.hash(bytes[32...]) == Array(bytes[..<32]),
            let entry = Entry(bytes)
        else {
            unlink(path)
            return nil
        }
        // The time of its last use decides how long it stays.
        utimensat(AT_FDCWD, path, nil, 0)
        return entry
    }

    /// Keeps compiled code. A failure costs time at the next start, nothing else.
    func store(_ name: String, _ facts: Program.Facts, _ code: [UInt8]) {
        let bytes = Entry(facts: facts, code: code[...]).encoded
        guard UInt64(bytes.count) <= maxBytes / 2 else { return }
        changing.withLock { _ in
            mkdir(directory, 0o700)
            makeRoom(for: UInt64(bytes.count))
            let temporary = directory + "/new"
            unlink(temporary)
            let file = Glibc.open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
            guard file >= 0 else { return }
            let isWritten = bytes.withUnsafeBytes { buffer in
                var rest = buffer[...]
                while !rest.isEmpty {
                    let count = write(
                        file, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
                    if count < 0, errno == EINTR { continue }
                    guard count > 0 else { return false }
                    rest = rest.dropFirst(count)
                }
                return true
            }
            close(file)
            if !isWritten || rename(temporary, directory + "/" + name) != 0 { unlink(temporary) }
        }
    }

    /// Removes what was used longest ago until some bytes fit.
    private func makeRoom(for bytes: UInt64) {
        var files: [(path: String, used: Int, bytes: UInt64)] = []
        guard let stream = opendir(directory) else { return }
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            let path = directory + "/" + name
            var status = stat()
            guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { continue }
            files.append((path, status.st_mtim.tv_sec, UInt64(status.st_size)))
        }
        closedir(stream)
        var total = files.reduce(0) { $0 + $1.bytes }
        for file in files.sorted(by: { $0.used < $1.used }) {
            guard total > maxBytes - bytes else { return }
            unlink(file.path)
            total -= file.bytes
        }
    }

    private static func hash(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        SHA256.hash(bytes.rawSpan)
    }

    private static func read(_ path: String) -> [UInt8]? {
        let file = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var status = stat()
        // Nobody else's file is code for this process.
        guard fstat(file, &status) == 0, status.st_uid == geteuid(), status.st_size < 1 << 30
        else { return nil }
        let size = Int(status.st_size)
        return [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            while count < size {
                let part = Glibc.read(file, buffer.baseAddress.map { $0 + count }, size - count)
                guard part > 0 else { return }
                count += part
            }
        }
    }
}

extension CompiledCache.Entry {
    /// Reads a file whose hash has been checked; nil if it is of another form.
    fileprivate init?(_ bytes: [UInt8]) {
        var reader = ByteReader(bytes.rawSpan)
        do throws(DecodeError) {
            try reader.skip(32)
            let gas = try reader.readLittleEndian(Int64.self)
            let pages = try reader.readLittleEndian(UInt32.self)
            let flags = try reader.readByte()
            var methods: [String] = []
            for _ in 0..<(try reader.readLittleEndian(UInt32.self)) {
                let length = try reader.readLittleEndian(UInt16.self)
                methods.append(
                    String(decoding: try reader.readBytes(Int(length)), as: UTF8.self))
            }
            facts = Program.Facts(
                methods: methods, isCommand: flags & 1 != 0, hasInitializer: flags & 2 != 0,
                hasStart: flags & 4 != 0, instantiationGas: gas, memoryPages: pages)
            code = bytes[reader.offset...]
        } catch {
            return nil
        }
    }

    fileprivate var encoded: [UInt8] {
        var out: [UInt8] = []
        func append(_ value: some FixedWidthInteger) {
            withUnsafeBytes(of: value.littleEndian) { out += $0 }
        }
        append(facts.instantiationGas)
        append(facts.memoryPages)
        append(
            UInt8(facts.isCommand ? 1 : 0) | (facts.hasInitializer ? 2 : 0)
                | (facts.hasStart ? 4 : 0))
        append(UInt32(facts.methods.count))
        for method in facts.methods {
            append(UInt16(method.utf8.count))
            out += Array(method.utf8)
        }
        out += code
        return SHA256.hash(out.rawSpan) + out
    }
}
