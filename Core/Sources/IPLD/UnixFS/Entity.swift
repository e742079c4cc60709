public import Multiformats
import Wire

/// What a block is to a person: the first look at what a path has led to.
public enum Entity: Hashable, Sendable {
    /// A file, with its size in bytes.
    case file(size: UInt64, FileMetadata)
    /// A directory in one block or in shards.
    case directory(FileMetadata)
    /// A symbolic link; the target is a path as bytes.
    case symlink(target: [UInt8], FileMetadata)
    /// A block that is not UnixFS: data, or a dag-pb node of another kind.
    case node

    /// Looks at a block, which must have been checked against its CID.
    public init(_ cid: CID, _ block: RawSpan) throws(DAGError) {
        switch cid.codec {
        case .raw: self = .file(size: UInt64(block.byteCount), FileMetadata())
        case .dagPB:
            let layout = try DAGError.at(cid) { () throws(DecodeError) in
                try PBLayout(bounded: block)
            }
            guard let data = layout.dataRange,
                let decoded = try? UnixFSBlock(layout, data: data, of: block)
            else {
                self = .node
                return
            }
            let metadata = decoded.node.metadata
            switch decoded.node.kind {
            case .directory, .hamtShard: self = .directory(metadata)
            case .file, .raw:
                let root = FilePart.Pending(cid: cid, depth: 0, start: 0, size: nil)
                self = .file(size: try FilePart(block, as: root).size, metadata)
            case .symlink:
                let target = [UInt8](block.extracting(decoded.contentRange ?? 0..<0))
                self = .symlink(target: target, metadata)
            case .metadata: self = .node
            }
        default: self = .node
        }
    }
}
