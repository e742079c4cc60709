// A dag-pb block read as UnixFS: its links, its message, and where the inner data lies in it.

public import Wire

/// A dag-pb block read as UnixFS, without a copy of its content.
public struct UnixFSBlock: Sendable {
    /// The links, in the order of the wire.
    public let links: [PBLink]
    /// The UnixFS message. Its `dataRange` counts from the start of the message.
    public let node: UnixFSNode
    /// Where the inner data (content, symlink target, bitfield) lies in the block.
    public let contentRange: Range<Int>?

    /// Decodes a block of at most ``BlockLimits/maxBytes``.
    public init(decoding block: RawSpan) throws(DecodeError) {
        let layout = try PBLayout(bounded: block)
        guard let data = layout.dataRange else {
            throw DecodeError(.malformed, "a dag-pb node without data is not UnixFS")
        }
        try self.init(layout, data: data, of: block)
    }

    init(_ layout: PBLayout, data: Range<Int>, of block: RawSpan) throws(DecodeError) {
        links = layout.links
        node = try UnixFSNode(decoding: block.extracting(data))
        contentRange = node.dataRange.map {
            ($0.lowerBound + data.lowerBound)..<($0.upperBound + data.lowerBound)
        }
    }
}

extension PBLayout {
    /// Decodes a block of at most ``BlockLimits/maxBytes``, which bounds the number of its links.
    init(bounded block: RawSpan) throws(DecodeError) {
        guard block.byteCount <= BlockLimits.maxBytes else {
            throw DecodeError(.overLimit, "the block is larger than 2 MiB")
        }
        try self.init(decoding: block)
    }
}
