// DNS messages, as far as TXT look-ups need them (RFC 1035): one question, and the TXT records of
// its answer, through aliases. It reads remote bytes: every length is checked.

import Wire

/// Questions for TXT records and their answers.
enum DNSMessage {
    /// The longest message, in bytes.
    static let maxBytes = 65_535
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
        guard let encoded = DNSName.encode(name) else { return nil }
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
            let asked = try DNSName.read(&reader)
            guard asked == DNSName.encode(name).map(DNSName.lowercased) else {
                throw reader.error(.mismatch, "dns: not the answer to this question")
            }
            try reader.skip(4)
        }
        guard !answer.isTruncated, answer.code == 0 else { return answer }
        var texts: [(owner: [UInt8], text: String, ttl: UInt32)] = []
        var aliases: [(owner: [UInt8], target: [UInt8], ttl: UInt32)] = []
        for _ in 0..<min(Int(answers), maxRecords) {
            let owner = try DNSName.read(&reader)
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
                aliases.append((owner, try DNSName.read(&reader), ttl))
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
        var owner = DNSName.encode(name).map(DNSName.lowercased) ?? []
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
}
