// A piece of a file's content as a block. Content is never copied for it: the few bytes around it
// are made apart, so that a shell can read a file straight into the block.

public import Multiformats
import Wire

/// The bytes that stand around a piece of content in its block; none at all for raw leaves.
public struct LeafEnvelope: Hashable, Sendable {
    /// What comes before the content.
    public let head: [UInt8]
    /// What comes after it.
    public let tail: [UInt8]
    /// The codec of the whole.
    public let codec: Codec
    /// The version of the whole's CID.
    public let version: CID.Version
    /// What the whole is hashed with: identity, if the profile has blocks of its size in their
    /// CIDs.
    public let hash: HashCode

    /// The envelope for `contentSize` bytes. A leaf that is a whole file carries the metadata of
    /// the file, unless it is raw, which cannot.
    public init(
        contentSize: Int, profile: Profile, metadata: FileMetadata = FileMetadata()
    ) {
        precondition(contentSize >= 0 && contentSize <= Chunker.maxSize, "the leaf is too large")
        guard profile.leaves == .dagPB else {
            (head, tail, codec, version) = ([], [], .raw, .v1)
            hash = profile.hash(ofSize: contentSize)
            return
        }
        var node = UnixFSNode(.file)
        node.metadata = metadata
        node.fileSize = UInt64(contentSize)
        let inner = node.encodedHead(dataCount: contentSize == 0 ? nil : contentSize)
        var end: [UInt8] = []
        node.appendTail(to: &end)
        var start: [UInt8] = [0x0a]
        start.appendVarint(UInt64(inner.count + contentSize + end.count))
        start.append(contentsOf: inner)
        (head, tail, codec, version) = (start, end, .dagPB, profile.cidVersion)
        hash = profile.hash(ofSize: start.count + contentSize + end.count)
    }
}

extension Profile {
    /// A piece of content as a block of its own, by a copy of the content. See ``LeafEnvelope``
    /// for how not to.
    public func leaf(of content: [UInt8]) -> (entry: DAGEntry, block: EncodedBlock) {
        let envelope = LeafEnvelope(contentSize: content.count, profile: self)
        let bytes =
            envelope.codec == .raw ? content : envelope.head + content + envelope.tail
        let block = block(bytes, codec: envelope.codec, version: envelope.version)
        return (block.entry(contentSize: UInt64(content.count)), block)
    }

    /// A symbolic link as a block.
    public func symlink(
        to target: [UInt8], metadata: FileMetadata = FileMetadata()
    ) -> (entry: DAGEntry, block: EncodedBlock) {
        var node = UnixFSNode(.symlink)
        node.metadata = metadata
        let block = block(PBNode(data: node.encoded(data: target)).encoded())
        return (block.entry(contentSize: UInt64(target.count)), block)
    }
}

extension EncodedBlock {
    /// What a link to this block needs to know, if it links to nothing itself.
    func entry(contentSize: UInt64) -> DAGEntry {
        DAGEntry(cid: cid, tsize: UInt64(bytes.count), contentSize: contentSize)
    }
}
