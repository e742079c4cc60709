// The journal of pins: a text file that outlives the index.
//
// What is pinned is the one thing in the store that cannot be computed from the segments, so it
// is written down twice: in the index, and here, one line for each change, synced before the
// change is acknowledged. A line is
//
//     checksum sequence + r cid name      pinned recursively (d: directly)
//     checksum sequence - cid             unpinned
//
// with the XXH64 of the rest of the line in hexadecimal, and the name percent-encoded. The index
// remembers the last sequence number that it has, and takes over the lines that follow.

import Cryptography
import Glibc
import Multiformats
import NIOCore
import Synchronization

/// A line of the journal.
enum PinChange: Hashable, Sendable {
    case added(Pin)
    case removed(CID)
}

final class PinJournal: Sendable {
    private struct File {
        var descriptor: Int32
        var sequence: Int64
        var size: off_t
    }

    private let path: String
    private let file: Mutex<File>

    /// Opens the journal and cuts off a line that was not completely written.
    ///
    /// - Returns: The journal and all its lines.
    static func open(
        _ path: String
    ) throws(StoreError) -> (journal: PinJournal, lines: [(sequence: Int64, change: PinChange)]) {
        let descriptor = try SystemCall.retry("open", path) {
            Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        }
        let text = try read(descriptor, path)
        var lines: [(sequence: Int64, change: PinChange)] = []
        var valid = 0
        for line in text.split(separator: 10, omittingEmptySubsequences: false).dropLast() {
            guard let parsed = parse(line) else { break }
            lines.append(parsed)
            valid += line.count + 1
        }
        if valid < text.count {
            try SystemCall.retry("truncate", path) { ftruncate(descriptor, off_t(valid)) }
        }
        let file = File(
            descriptor: descriptor, sequence: lines.last?.sequence ?? 0, size: off_t(valid))
        return (PinJournal(path, file), lines)
    }

    private init(_ path: String, _ file: File) {
        self.path = path
        self.file = Mutex(file)
    }

    deinit { file.withLock { _ = Glibc.close($0.descriptor) } }

    /// Goes on counting after a number that the index knows of.
    func raise(to sequence: Int64) {
        file.withLock { $0.sequence = max($0.sequence, sequence) }
    }

    /// Writes changes down; returns the sequence number of the last one. May block.
    func append(_ changes: [PinChange]) throws(StoreError) -> Int64 {
        try file.withLock { file throws(StoreError) -> Int64 in
            var sequence = file.sequence
            var text: [UInt8] = []
            for change in changes {
                sequence += 1
                text += Self.line(sequence, change)
            }
            do throws(StoreError) {
                try Self.write(text, at: file.size, file.descriptor, path)
                try SystemCall.retry("sync", path) { fdatasync(file.descriptor) }
            } catch {
                // The next start cuts off what this does not.
                _ = ftruncate(file.descriptor, file.size)
                throw error
            }
            file.size += off_t(text.count)
            file.sequence = sequence
            return sequence
        }
    }

    /// Replaces the journal by one that has only these pins, with the same last number.
    func rewrite(_ pins: [Pin]) throws(StoreError) {
        try file.withLock { file throws(StoreError) in
            let temporary = path + ".new"
            let descriptor = try SystemCall.retry("create", temporary) {
                Glibc.open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
            }
            var text: [UInt8] = []
            for pin in pins { text += Self.line(file.sequence, .added(pin)) }
            do throws(StoreError) {
                try Self.write(text, at: 0, descriptor, temporary)
                try SystemCall.retry("sync", temporary) { fsync(descriptor) }
                try SystemCall.retry("rename", temporary) { rename(temporary, path) }
            } catch {
                _ = Glibc.close(descriptor)
                throw error
            }
            _ = Glibc.close(file.descriptor)
            file.descriptor = descriptor
            file.size = off_t(text.count)
        }
    }

    /// The pins that the journal amounts to, in its order.
    func pins() throws(StoreError) -> [Pin] {
        let text = try file.withLock { file throws(StoreError) in
            try Self.read(file.descriptor, path)
        }
        var pins: [CID: (line: Int, pin: Pin)] = [:]
        for (number, line) in text.split(separator: 10).enumerated() {
            switch Self.parse(line)?.change {
            case .added(let pin): pins[pin.cid.v1] = (number, pin)
            case .removed(let cid): pins[cid.v1] = nil
            case nil: break
            }
        }
        return pins.values.sorted { $0.line < $1.line }.map(\.pin)
    }

    private static func read(_ descriptor: Int32, _ path: String) throws(StoreError) -> [UInt8] {
        let size = Int(try SystemCall.retry("examine", path) { lseek(descriptor, 0, SEEK_END) })
        var bytes = [UInt8](repeating: 0, count: size)
        var offset = 0
        while offset < size {
            let got = try SystemCall.retry("read", path) {
                bytes.withUnsafeMutableBytes {
                    pread(descriptor, $0.baseAddress! + offset, size - offset, off_t(offset))
                }
            }
            if got == 0 { break }
            offset += got
        }
        return Array(bytes.prefix(offset))
    }

    private static func write(
        _ bytes: [UInt8], at start: off_t, _ descriptor: Int32, _ path: String
    ) throws(StoreError) {
        var offset = 0
        while offset < bytes.count {
            offset += try SystemCall.retry("write", path) {
                bytes.withUnsafeBytes {
                    pwrite(
                        descriptor, $0.baseAddress! + offset, $0.count - offset,
                        start + off_t(offset))
                }
            }
        }
    }

    // MARK: Lines

    static func line(_ sequence: Int64, _ change: PinChange) -> [UInt8] {
        let body: String
        switch change {
        case .added(let pin):
            let kind = pin.kind == .recursive ? "r" : "d"
            body = "\(sequence) + \(kind) \(pin.cid) \(encoded(pin.name))"
        case .removed(let cid):
            body = "\(sequence) - \(cid)"
        }
        let bytes = Array(body.utf8)
        let sum = String(XXH64.hash(bytes.span.bytes), radix: 16)
        return Array(sum.utf8) + [32] + bytes + [10]
    }

    static func parse(_ line: ArraySlice<UInt8>) -> (sequence: Int64, change: PinChange)? {
        guard let space = line.firstIndex(of: 32),
            let sum = UInt64(String(decoding: line[..<space], as: UTF8.self), radix: 16)
        else { return nil }
        let body = Array(line[(space + 1)...])
        guard XXH64.hash(body.span.bytes) == sum else { return nil }
        let words = body.split(separator: 32, omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }
        // A line with a right checksum and a CID that cannot be read is from no known version.
        guard words.count >= 3, let sequence = Int64(words[0]) else { return nil }
        if words[1] == "-", words.count == 3, let cid = try? CID(text: words[2]) {
            return (sequence, .removed(cid))
        }
        guard words[1] == "+", words.count == 5, let cid = try? CID(text: words[3]) else {
            return nil
        }
        let kind: Pin.Kind = words[2] == "d" ? .direct : .recursive
        return (sequence, .added(Pin(cid, kind, name: decoded(words[4]))))
    }

    private static func encoded(_ name: String) -> String {
        var out = ""
        for byte in name.utf8 {
            if byte > 32, byte < 127, byte != 37 {
                out.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                let digits = String(byte, radix: 16)
                out += "%" + (digits.utf8.count == 1 ? "0" : "") + digits
            }
        }
        return out
    }

    private static func decoded(_ text: String) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == 37, rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
