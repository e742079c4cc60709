// dag-json, IPLD's text codec with links and bytes (ipld.io/specs/codecs/dag-json/spec), and plain
// JSON.

public import Multiformats
public import Wire

/// dag-json: JSON with sorted keys and no whitespace, where `{"/":…}` stands for links and bytes.
public enum DagJSON {
    /// Decodes a block. Whitespace and the order of keys are free, as the specification demands;
    /// repeated keys, misused reserved forms, integers outside −2⁶⁴ to 2⁶⁴−1, floats that are too
    /// large, and more than ``Value/maxDepth`` levels are refused.
    public static func decode(_ block: RawSpan) throws(DecodeError) -> Value {
        var parser = JSONParser(block, .dagJSON)
        return try parser.parse()
    }

    /// The block of a value. Throws for floats that are not finite, repeated keys, maps that read
    /// like a link or bytes, and too much depth.
    public static func encode(_ value: Value) throws(EncodeError) -> [UInt8] {
        var encoder = JSONEncoder(.dagJSON)
        try encoder.append(value)
        return encoder.out
    }
}

/// Plain JSON, which has neither links nor bytes.
public enum JSON {
    /// Decodes a text; `{"/":…}` has no meaning.
    public static func decode(_ block: RawSpan) throws(DecodeError) -> Value {
        var parser = JSONParser(block, .plain)
        return try parser.parse()
    }

    /// The compact text of a value without links and bytes, maps in the order they have.
    public static func encode(_ value: Value) throws(EncodeError) -> [UInt8] {
        var encoder = JSONEncoder(.plain)
        try encoder.append(value)
        return encoder.out
    }
}

extension DagJSON {
    /// What a map whose first key is `/` stands for.
    enum ReservedForm {
        case link(String)
        case bytes(String)
        /// It looks like a link or bytes and has more keys.
        case invalid

        /// Nil if the map is an ordinary one.
        init?(_ entries: [Value.Entry]) {
            guard let first = entries.first, first.key.utf8.elementsEqual("/".utf8) else {
                return nil
            }
            switch first.value {
            case .string(let text): self = entries.count == 1 ? .link(text) : .invalid
            case .map(let inner):
                guard let bytes = inner.first, bytes.key.utf8.elementsEqual("bytes".utf8),
                    case .string(let text) = bytes.value
                else { return nil }
                self = entries.count == 1 && inner.count == 1 ? .bytes(text) : .invalid
            default: return nil
            }
        }
    }

    /// The CID that a link's text names, in the one base that its version has here.
    static func link(_ text: String) -> CID? {
        // Only whether it is a CID matters; the caller says where it stands.
        guard let cid = try? CID(text: text) else { return nil }
        return cid.version == .v0 || text.utf8.first == UInt8(ascii: "b") ? cid : nil
    }

    /// The bytes of base64 text without padding.
    static func bytes(_ text: String) -> [UInt8]? {
        // Only whether it is base64 matters; the caller says where it stands.
        try? Multibase.base64.decodeBody(text)
    }
}

extension DagJSON {
    /// The CIDs that a block links to, in order.
    public static func links(in block: RawSpan) throws(DecodeError) -> [CID] {
        var links: [CID] = []
        collectLinks(of: try decode(block), into: &links)
        return links
    }

    private static func collectLinks(of value: Value, into links: inout [CID]) {
        switch value {
        case .link(let cid): links.append(cid)
        case .list(let elements):
            for element in elements { collectLinks(of: element, into: &links) }
        case .map(let entries):
            for entry in entries { collectLinks(of: entry.value, into: &links) }
        case .null, .bool, .integer, .float, .string, .bytes: break
        }
    }
}
