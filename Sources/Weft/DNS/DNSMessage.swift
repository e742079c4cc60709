// DNS messages, as far as TXT look-ups need them (RFC 1035): one question, and the TXT records of
// its answer, through aliases. It reads remote bytes: every length is checked, and compressed
// names may only point backwards, so that they end.

import Wire

/// Questions for TXT records and their answers.
enum DNSMessage {
    /// The longest message, in bytes.
    static let maxBytes = 65_535
    /// The longest name, in bytes on the wire.
    static let maxNameBytes = 255
    /// How many records of an answer are read.
    static let maxRecords = 256
    /// How many aliases are followed.
    static let maxAliases = 8

    /// What an answer says.
    struct Answer: Hashable {
        /// Whether the answer did not fit and is to be asked for over TCP.
        var isTruncated: Bool
        /// The response code; 0 is success, 3 a name that does not exist.
        var code: UInt8
        /// The texts, each joined from its parts.
        var texts: [String] = []
        /// The shortest time that what was used may be kept, in seconds.
        var ttl: UInt32 = 0
    }

    /// A recursive question for the TXT records of a name; nil if it is no domain name.
    static func query(_ name: String, id: UInt16) -> [UInt8]? {
        guard let encoded = encode(name) else { return nil }
        var out: [UInt8] = []
        out.appendBigEndian(id)
        // Recursion desired; one question.
        out += [0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0]
        out += encoded
        // TXT, Internet.
        out += [0, 16, 0, 1]
        return out
    }

    /// Reads the answer to a question for the TXT records of `name`.
    static func answer(
        _ bytes: RawSpan, to name: String, id: UInt16
    ) throws(DecodeError) -> Answer {
        var reader = ByteReader(bytes)
        guard try reader.readBigEndian(UInt16.self) == id else {
            throw reader.error(.mismatch, "dns: not the answer to this question")
        }
        let flags = try reader.readBigEndian(UInt16.self)
        guard flags & 0x8000 != 0 else { throw reader.error(.malformed, "dns: not an answer") }
        let questions = try reader.readBigEndian(UInt16.self)
        let answers = try reader.readBigEndian(UInt16.self)
        try reader.skip(4)
        var answer = Answer(isTruncated: flags & 0x0200 != 0, code: UInt8(flags & 0xf))
        guard questions <= 1 else { throw reader.error(.malformed, "dns: several questions") }
        for _ in 0..<questions {
            let asked = try readName(&reader)
            guard asked == encode(name).map(lowercased) else {
                throw reader.error(.mismatch, "dns: not the answer to this question")
            }
            try reader.skip(4)
        }
        guard !answer.isTruncated, answer.code == 0 else { return answer }
        var texts: [(owner: [UInt8], text: String, ttl: UInt32)] = []
        var aliases: [(owner: [UInt8], target: [UInt8], ttl: UInt32)] = []
        for _ in 0..<min(Int(answers), maxRecords) {
            let owner = try readName(&reader)
            let type = try reader.readBigEndian(UInt16.self)
            let kind = try reader.readBigEndian(UInt16.self)
            let ttl = try reader.readBigEndian(UInt32.self)
            let length = Int(try reader.readBigEndian(UInt16.self))
            guard length <= reader.remaining else {
                throw reader.error(.truncated, "dns: a record ends too late")
            }
            let end = reader.offset + length
            if type == 16, kind == 1 {
                let text = try readText(reader.readSpan(length))
                texts.append((owner, text, ttl))
            } else if type == 5, kind == 1 {
                aliases.append((owner, try readName(&reader), ttl))
                guard reader.offset == end else {
                    throw reader.error(.malformed, "dns: an alias of the wrong length")
                }
            } else {
                try reader.skip(length)
            }
        }
        collect(texts, aliases, name: name, into: &answer)
        return answer
    }

    /// Follows the aliases from a name to the texts at their end.
    private static func collect(
        _ texts: [(owner: [UInt8], text: String, ttl: UInt32)],
        _ aliases: [(owner: [UInt8], target: [UInt8], ttl: UInt32)], name: String,
        into answer: inout Answer
    ) {
        var owner = encode(name).map(lowercased) ?? []
        var ttl = UInt32.max
        for _ in 0...maxAliases {
            let own = texts.filter { $0.owner == owner }
            if !own.isEmpty {
                answer.texts = own.map(\.text)
                answer.ttl = min(ttl, own.map(\.ttl).min() ?? 0)
                return
            }
            guard let alias = aliases.first(where: { $0.owner == owner }) else { return }
            owner = alias.target
            ttl = min(ttl, alias.ttl)
        }
    }

    /// The wire form of a name; nil if it has none.
    private static func encode(_ name: String) -> [UInt8]? {
        var out: [UInt8] = []
        let text = name.hasSuffix(".") ? name.dropLast() : name[...]
        for label in text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        {
            guard 1...63 ~= label.count, label.allSatisfy({ 0x21...0x7e ~= $0 }) else {
                return nil
            }
            out.append(UInt8(label.count))
            out += label
        }
        out.append(0)
        return out.count <= maxNameBytes ? out : nil
    }

    /// Reads a name in its uncompressed wire form, in lower case.
    private static func readName(_ reader: inout ByteReader) throws(DecodeError) -> [UInt8] {
        var out: [UInt8] = []
        let bytes = reader.bytes
        var position = reader.offset
        // Where the name ends in the message, once a pointer has been followed.
        var end: Int?
        // A pointer must lead to before where the part that holds it began.
        var limit = position
        while true {
            guard position < bytes.byteCount else {
                throw reader.error(.truncated, "dns: a name ends too late")
            }
            let length = byte(bytes, position)
            switch length {
            case 0:
                out.append(0)
                guard out.count <= maxNameBytes else {
                    throw reader.error(.overLimit, "dns: a name is too long")
                }
                try reader.skip((end ?? position + 1) - reader.offset)
                return out
            case 1...63:
                let next = position + 1 + Int(length)
                guard next <= bytes.byteCount else {
                    throw reader.error(.truncated, "dns: a name ends too late")
                }
                out += lowercased([UInt8](bytes.extracting(position..<next)))
                guard out.count <= maxNameBytes else {
                    throw reader.error(.overLimit, "dns: a name is too long")
                }
                position = next
            case 0xc0...:
                guard position + 1 < bytes.byteCount else {
                    throw reader.error(.truncated, "dns: a name ends too late")
                }
                let target = Int(length & 0x3f) << 8 | Int(byte(bytes, position + 1))
                guard target < limit else {
                    throw reader.error(.malformed, "dns: a name points forwards")
                }
                end = end ?? position + 2
                limit = target
                position = target
            default: throw reader.error(.malformed, "dns: an unknown kind of label")
            }
        }
    }

    /// The parts of a TXT record, joined.
    private static func readText(_ bytes: RawSpan) throws(DecodeError) -> String {
        var reader = ByteReader(bytes)
        var out: [UInt8] = []
        while !reader.isAtEnd {
            let count = Int(try reader.readByte())
            out += try reader.readBytes(count)
        }
        return String(decoding: out, as: UTF8.self)
    }

    private static func byte(_ bytes: RawSpan, _ index: Int) -> UInt8 {
        var reader = ByteReader(bytes.extracting(index..<(index + 1)))
        // The caller has checked that the byte is there.
        return (try? reader.readByte()) ?? 0
    }

    /// A name in lower case; lengths are below the letters.
    private static func lowercased(_ name: [UInt8]) -> [UInt8] {
        name.map { 0x41...0x5a ~= $0 ? $0 | 0x20 : $0 }
    }
}
