// dag-pb in the data model: {"Data": bytes?, "Links": [{"Hash", "Name"?, "Tsize"?}]}
// (ipld.io/specs/codecs/dag-pb/spec, "Logical format").

public import Wire

/// dag-pb as a codec of the data model, for conversions; see ``PBNode`` for direct use.
public enum DagPB {
    /// Decodes a block into its logical form.
    public static func decode(_ block: RawSpan) throws(DecodeError) -> Value {
        let node = try PBNode(decoding: block)
        var links: [Value] = []
        links.reserveCapacity(node.links.count)
        for link in node.links {
            var entries = [Value.Entry("Hash", .link(link.hash))]
            if let name = link.name {
                guard let text = String(validating: name, as: UTF8.self) else {
                    throw DecodeError(.malformed, "dag-pb: a link's name is not UTF-8")
                }
                entries.append(Value.Entry("Name", .string(text)))
            }
            if let tsize = link.tsize {
                entries.append(Value.Entry("Tsize", .integer(Int128(tsize))))
            }
            links.append(.map(entries))
        }
        var entries: [Value.Entry] = []
        if let data = node.data { entries.append(Value.Entry("Data", .bytes(data))) }
        entries.append(Value.Entry("Links", .list(links)))
        return .map(entries)
    }

    /// The block of a value in exactly the logical form; links are sorted by name.
    public static func encode(_ value: Value) throws(EncodeError) -> [UInt8] {
        guard case .map(let entries) = value else {
            throw EncodeError(.shape, "a dag-pb node is a map")
        }
        try check(entries, have: ["Data", "Links"])
        var node = PBNode()
        switch value["Data"] {
        case .bytes(let data): node.data = data
        case nil: break
        default: throw EncodeError(.shape, "a dag-pb node's Data is bytes")
        }
        guard case .list(let links) = value["Links"] else {
            throw EncodeError(.shape, "a dag-pb node has a list of Links")
        }
        for link in links { node.links.append(try self.link(link)) }
        node.sortLinks()
        return node.encoded()
    }

    private static func link(_ value: Value) throws(EncodeError) -> PBLink {
        guard case .map(let entries) = value, case .link(let hash) = value["Hash"] else {
            throw EncodeError(.shape, "a dag-pb link is a map with a link as Hash")
        }
        try check(entries, have: ["Hash", "Name", "Tsize"])
        var link = PBLink(hash, name: nil, tsize: nil)
        switch value["Name"] {
        case .string(let name): link.name = Array(name.utf8)
        case nil: break
        default: throw EncodeError(.shape, "a dag-pb link's Name is a string")
        }
        switch value["Tsize"] {
        case .integer(let size):
            guard let tsize = UInt64(exactly: size) else {
                throw EncodeError(.number, "a dag-pb link's Tsize is not below zero")
            }
            link.tsize = tsize
        case nil: break
        default: throw EncodeError(.shape, "a dag-pb link's Tsize is an integer")
        }
        return link
    }

    private static func check(
        _ entries: [Value.Entry], have names: [String]
    ) throws(EncodeError) {
        for entry in entries {
            guard names.contains(where: { $0.utf8.elementsEqual(entry.key.utf8) }) else {
                throw EncodeError(.shape, "dag-pb has no such field")
            }
        }
        guard Value.haveUniqueKeys(entries) else {
            throw EncodeError(.key, "a map has the same key twice")
        }
    }
}
