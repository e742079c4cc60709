// The headers of a tar archive: POSIX ustar, with pax records for what does not fit
// (IEEE Std 1003.1-2017, pax).

/// Writes the headers of a tar archive.
enum TarFormat {
    /// Everything in a tar archive fills whole blocks of this many bytes.
    static let blockSize = 512

    /// What an entry is.
    enum Kind {
        case file(size: UInt64)
        case directory
        case symlink(target: String)
    }

    /// The header of an entry, preceded by pax records if it needs them.
    static func header(path: String, kind: Kind, mode: UInt32?, mtime: Int64?) -> [UInt8] {
        var target = ""
        if case .symlink(let text) = kind { target = text }
        var records: [UInt8] = []
        if !fits(path, 100) { records += record("path", path) }
        if !fits(target, 100) { records += record("linkpath", target) }
        var size: UInt64 = 0
        if case .file(let bytes) = kind { size = bytes }
        if size > 0o777_7777_7777 { records += record("size", "\(size)") }
        var out: [UInt8] = []
        if !records.isEmpty {
            out += block(
                path: "PaxHeaders/entry", type: UInt8(ascii: "x"), size: UInt64(records.count),
                mode: 0o644, mtime: 0, target: "")
            out += records
            out += padding(after: UInt64(records.count))
        }
        let type: UInt8
        let usual: UInt32
        switch kind {
        case .file: (type, usual) = (UInt8(ascii: "0"), 0o644)
        case .directory: (type, usual) = (UInt8(ascii: "5"), 0o755)
        case .symlink: (type, usual) = (UInt8(ascii: "2"), 0o777)
        }
        let path = kind.isDirectory && !path.hasSuffix("/") ? path + "/" : path
        out += block(
            path: path, type: type, size: size > 0o777_7777_7777 ? 0 : size,
            mode: (mode ?? usual) & 0o7777, mtime: max(0, mtime ?? 0), target: target)
        return out
    }

    /// The zeros that fill the last block of a file.
    static func padding(after size: UInt64) -> [UInt8] {
        let rest = Int(size % UInt64(blockSize))
        return rest == 0 ? [] : [UInt8](repeating: 0, count: blockSize - rest)
    }

    /// What ends an archive.
    static let trailer = [UInt8](repeating: 0, count: 2 * blockSize)

    private static func fits(_ text: String, _ limit: Int) -> Bool {
        // A directory's name gets a slash at its end.
        text.utf8.count < limit && text.utf8.allSatisfy { $0 < 0x80 }
    }

    private static func record(_ name: String, _ value: String) -> [UInt8] {
        let rest = " \(name)=\(value)\n"
        var length = rest.utf8.count + 1
        while "\(length)".utf8.count + rest.utf8.count != length {
            length = "\(length)".utf8.count + rest.utf8.count
        }
        return Array("\(length)\(rest)".utf8)
    }

    private static func block(
        path: String, type: UInt8, size: UInt64, mode: UInt32, mtime: Int64, target: String
    ) -> [UInt8] {
        var out = [UInt8](repeating: 0, count: blockSize)
        func put(_ text: some Collection<UInt8>, at offset: Int, limit: Int) {
            for (index, byte) in text.prefix(limit).enumerated() { out[offset + index] = byte }
        }
        func octal(_ value: UInt64, width: Int) -> [UInt8] {
            let digits = String(value, radix: 8)
            let zeros = String(repeating: "0", count: max(0, width - digits.utf8.count))
            return Array((zeros + digits).utf8)
        }
        put(Array(path.utf8), at: 0, limit: 100)
        put(octal(UInt64(mode), width: 7), at: 100, limit: 7)
        put(octal(0, width: 7), at: 108, limit: 7)
        put(octal(0, width: 7), at: 116, limit: 7)
        put(octal(size, width: 11), at: 124, limit: 11)
        put(octal(UInt64(mtime) & 0o777_7777_7777, width: 11), at: 136, limit: 11)
        put([UInt8](repeating: 0x20, count: 8), at: 148, limit: 8)
        out[156] = type
        put(Array(target.utf8), at: 157, limit: 100)
        put(Array("ustar\u{0}00".utf8), at: 257, limit: 8)
        let sum = out.reduce(UInt64(0)) { $0 + UInt64($1) }
        put(octal(sum, width: 6) + [0, 0x20], at: 148, limit: 8)
        return out
    }
}

extension TarFormat.Kind {
    fileprivate var isDirectory: Bool {
        if case .directory = self { true } else { false }
    }
}
