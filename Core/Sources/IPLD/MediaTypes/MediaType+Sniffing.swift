// Media types by a file's first bytes (mimesniff.spec.whatwg.org, sections 6 and 7).

extension MediaType {
    /// The type that the first bytes show; `application/octet-stream` if they show none.
    public static func bySniffing(_ head: some RandomAccessCollection<UInt8>) -> String {
        let bytes = Array(head.prefix(sniffLength))
        if bytes.isEmpty { return "text/plain; charset=utf-8" }
        if let type = markup(bytes) { return type }
        for magic in magics where matches(magic, bytes) { return magic.type }
        if let type = container(bytes) { return type }
        return text(bytes) ?? "application/octet-stream"
    }

    private struct Magic {
        let type: String
        let offset: Int
        let pattern: [UInt8]

        init(_ type: String, _ pattern: String, at offset: Int = 0) {
            self.type = type
            self.offset = offset
            self.pattern = Array(pattern.utf8)
        }

        init(_ type: String, bytes: [UInt8], at offset: Int = 0) {
            self.type = type
            self.offset = offset
            self.pattern = bytes
        }
    }

    private static func matches(_ magic: Magic, _ bytes: [UInt8]) -> Bool {
        bytes.dropFirst(magic.offset).starts(with: magic.pattern)
    }

    private static let magics: [Magic] = [
        Magic("application/pdf", "%PDF-"),
        Magic("application/postscript", "%!PS-Adobe-"),
        Magic("image/x-icon", bytes: [0, 0, 1, 0]),
        Magic("image/bmp", "BM"),
        Magic("image/gif", "GIF87a"),
        Magic("image/gif", "GIF89a"),
        Magic("image/png", bytes: [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
        Magic("image/jpeg", bytes: [0xff, 0xd8, 0xff]),
        Magic("image/tiff", bytes: [0x49, 0x49, 0x2a, 0x00]),
        Magic("image/tiff", bytes: [0x4d, 0x4d, 0x00, 0x2a]),
        Magic("image/jxl", bytes: [0xff, 0x0a]),
        Magic("audio/flac", "fLaC"),
        Magic("audio/mpeg", "ID3"),
        Magic("audio/mpeg", bytes: [0xff, 0xfb]),
        Magic("audio/midi", "MThd"),
        Magic("application/ogg", "OggS"),
        Magic("application/gzip", bytes: [0x1f, 0x8b, 0x08]),
        Magic("application/zstd", bytes: [0x28, 0xb5, 0x2f, 0xfd]),
        Magic("application/x-bzip2", "BZh"),
        Magic("application/x-xz", bytes: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]),
        Magic("application/x-7z-compressed", bytes: [0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c]),
        Magic("application/vnd.rar", "Rar!\u{1a}\u{07}"),
        Magic("application/zip", bytes: [0x50, 0x4b, 0x03, 0x04]),
        Magic("application/zip", bytes: [0x50, 0x4b, 0x05, 0x06]),
        Magic("application/wasm", bytes: [0x00, 0x61, 0x73, 0x6d]),
        Magic("application/vnd.sqlite3", "SQLite format 3\0"),
        Magic("application/x-tar", "ustar", at: 257),
        Magic("application/vnd.ipld.car", bytes: [0x0a, 0xa1, 0x67] + Array("version".utf8)),
        Magic("application/vnd.ipld.car", bytes: [0x3a, 0xa2, 0x65] + Array("roots".utf8)),
        Magic("font/woff", "wOFF"),
        Magic("font/woff2", "wOF2"),
        Magic("font/otf", "OTTO"),
        Magic("font/ttf", bytes: [0, 1, 0, 0]),
        Magic("model/gltf-binary", "glTF"),
    ]

    /// RIFF, ISO media and Matroska files say what they hold a little further inside.
    private static func container(_ bytes: [UInt8]) -> String? {
        func has(_ text: String, at offset: Int) -> Bool {
            bytes.dropFirst(offset).starts(with: text.utf8)
        }
        if has("RIFF", at: 0) {
            if has("WEBP", at: 8) { return "image/webp" }
            if has("WAVE", at: 8) { return "audio/wav" }
            if has("AVI ", at: 8) { return "video/x-msvideo" }
        }
        if has("ftyp", at: 4) {
            if has("avif", at: 8) || has("avis", at: 8) { return "image/avif" }
            if has("heic", at: 8) || has("heix", at: 8) || has("mif1", at: 8) {
                return "image/heic"
            }
            if has("M4A ", at: 8) { return "audio/mp4" }
            if has("qt  ", at: 8) { return "video/quicktime" }
            return "video/mp4"
        }
        if bytes.starts(with: [0x1a, 0x45, 0xdf, 0xa3]) {
            let isWebM = bytes.prefix(64).split(separator: 0x82).contains {
                $0.dropFirst().starts(with: "webm".utf8)
            }
            return isWebM ? "video/webm" : "video/x-matroska"
        }
        return nil
    }

    /// Markup: a tag that the standard lists, after white space.
    private static func markup(_ bytes: [UInt8]) -> String? {
        let start = bytes.prefix(512).drop { [9, 10, 12, 13, 32, 0xef, 0xbb, 0xbf].contains($0) }
        guard start.first == UInt8(ascii: "<") else { return nil }
        let words = start.map { (65...90).contains($0) ? $0 + 32 : $0 }
        if words.starts(with: "<svg".utf8) { return "image/svg+xml" }
        if words.starts(with: "<?xml".utf8) {
            let hasDrawing = words.indices.contains { words[$0...].starts(with: "<svg".utf8) }
            return hasDrawing ? "image/svg+xml" : "text/xml; charset=utf-8"
        }
        for tag in tags where words.dropFirst().starts(with: tag.utf8) {
            let after = words.dropFirst(1 + tag.utf8.count).first
            if tag.utf8.elementsEqual("!--".utf8) || after == UInt8(ascii: " ")
                || after == UInt8(ascii: ">")
            {
                return "text/html; charset=utf-8"
            }
        }
        return nil
    }

    private static let tags = [
        "!doctype html", "html", "head", "script", "iframe", "h1", "div", "font", "table", "a",
        "style", "title", "b", "body", "br", "p", "!--",
    ]

    /// Text of some kind, if no byte is one that only binary data has.
    private static func text(_ bytes: [UInt8]) -> String? {
        if bytes.starts(with: [0xff, 0xfe]) { return "text/plain; charset=utf-16le" }
        if bytes.starts(with: [0xfe, 0xff]) { return "text/plain; charset=utf-16be" }
        let isBinary = bytes.contains { byte in
            byte <= 0x08 || byte == 0x0b || (0x0e...0x1a).contains(byte)
                || (0x1c...0x1f).contains(byte)
        }
        if isBinary { return nil }
        if looksLikeJSON(bytes) { return "application/json" }
        return isUTF8(bytes) ? "text/plain; charset=utf-8" : "text/plain"
    }

    /// An object or array whose beginning follows the grammar.
    private static func looksLikeJSON(_ bytes: [UInt8]) -> Bool {
        let tokens = bytes.lazy.filter { ![9, 10, 13, 32].contains($0) }.prefix(2)
        guard let first = tokens.first else { return false }
        let second = tokens.dropFirst().first
        switch (first, second) {
        case (UInt8(ascii: "{"), UInt8(ascii: "\"")?), (UInt8(ascii: "{"), UInt8(ascii: "}")?):
            return true
        case (UInt8(ascii: "["), let next?):
            return "\"{[]-0123456789tfn".utf8.contains(next)
        default: return false
        }
    }

    /// UTF-8, allowing for a character that the sniffed part cuts off.
    private static func isUTF8(_ bytes: [UInt8]) -> Bool {
        for cut in 0...min(3, bytes.count) {
            if String(validating: bytes.dropLast(cut), as: UTF8.self) != nil { return true }
            if bytes.count < sniffLength { return false }
        }
        return false
    }
}
