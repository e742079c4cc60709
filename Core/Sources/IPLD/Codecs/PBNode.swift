// dag-pb: a node with named links and opaque data, the form of most of IPFS's blocks
// (ipld.io/specs/codecs/dag-pb/spec). Encoders write Links before Data, although the field numbers
// say otherwise; both orders exist in the wild, so both are read.

public import Multiformats
public import Wire

/// A link of a dag-pb node.
public struct PBLink: Hashable, Sendable {
    /// What the link points to.
    public var hash: CID
    /// The name as bytes (text by convention); nil if the field is absent, which differs from
    /// empty on the wire.
    public var name: [UInt8]?
    /// How many bytes the linked DAG takes in all, as its maker said; a hint, never a bound.
    public var tsize: UInt64?

    /// Creates a link. Encoders of today write the name even if it is empty.
    public init(_ hash: CID, name: [UInt8]? = [], tsize: UInt64?) {
        self.hash = hash
        self.name = name
        self.tsize = tsize
    }
}

/// A dag-pb node.
public struct PBNode: Hashable, Sendable {
    /// The links, in the order of the wire.
    public var links: [PBLink]
    /// The opaque data; nil if the field is absent, which differs from empty on the wire.
    public var data: [UInt8]?

    /// Creates a node.
    public init(links: [PBLink] = [], data: [UInt8]? = nil) {
        self.links = links
        self.data = data
    }

    /// Decodes a block strictly, and copies its data. See ``PBLayout`` for how not to.
    public init(decoding block: RawSpan) throws(DecodeError) {
        let layout = try PBLayout(decoding: block)
        links = layout.links
        data = layout.dataRange.map { [UInt8](block.extracting($0)) }
    }

    /// Brings the links into the canonical order: by name, byte by byte, equal names in the order
    /// they had.
    public mutating func sortLinks() {
        let names = links.map { $0.name ?? [] }
        let sorted = zip(names, names.dropFirst()).allSatisfy {
            !$1.lexicographicallyPrecedes($0)
        }
        guard !sorted else { return }
        let order = links.indices.sorted { left, right in
            if names[left].lexicographicallyPrecedes(names[right]) { return true }
            return names[left] == names[right] && left < right
        }
        links = order.map { links[$0] }
    }

    /// The block's bytes, with the links in the order they have here.
    public func encoded() -> [UInt8] {
        let sizes = links.map { $0.encodedSize }
        var capacity = data.map { $0.count + 11 } ?? 0
        for size in sizes { capacity += size + 6 }
        var out: [UInt8] = []
        out.reserveCapacity(capacity)
        for (link, size) in zip(links, sizes) {
            out.append(0x12)
            out.appendVarint(UInt64(size))
            link.append(to: &out)
        }
        if let data { out.appendField(1, bytes: data) }
        return out
    }
}

extension PBLink {
    /// How many bytes ``append(to:)`` writes.
    fileprivate var encodedSize: Int {
        let hashSize = hash.encodedSize
        var size = 1 + Varint.length(of: UInt64(hashSize)) + hashSize
        if let name { size += 1 + Varint.length(of: UInt64(name.count)) + name.count }
        if let tsize { size += 1 + Varint.length(of: tsize) }
        return size
    }

    fileprivate func append(to out: inout [UInt8]) {
        out.append(0x0a)
        out.appendVarint(UInt64(hash.encodedSize))
        hash.append(to: &out)
        if let name { out.appendField(2, bytes: name) }
        if let tsize { out.appendField(3, varint: tsize) }
    }
}

extension CID {
    /// How many bytes the binary form takes.
    var encodedSize: Int {
        let digest = hash.digest.count
        let multihash =
            Varint.length(of: hash.code.rawValue) + Varint.length(of: UInt64(digest)) + digest
        switch version {
        case .v0: return multihash
        case .v1: return 1 + Varint.length(of: codec.rawValue) + multihash
        }
    }
}
