// What a verified block tells about others: what it links to, and how a file is laid out.

import BlockStore
import IPLD
import Multiformats
import NIOCore

/// What a verified block tells about others.
struct BlockAnatomy {
    /// Everything that it links to.
    private(set) var links: [CID] = []
    /// If it is a node of a file, the parts of it in order.
    private(set) var children: [FileLayout.Child] = []

    /// Reads a block. One that cannot be read links to nothing: whoever asked for it will say
    /// what is wrong with it.
    init(_ block: Block) {
        let bytes = block.bytes.readableBytesSpan
        do {
            guard block.cid.codec == .dagPB else {
                links = try IPLDCodec.links(in: bytes, codec: block.cid.codec)
                return
            }
            let layout = try PBLayout(decoding: bytes)
            links = layout.links.map(\.hash)
            guard let data = layout.dataRange, !links.isEmpty else { return }
            let node = try UnixFSNode(decoding: bytes.extracting(data))
            guard node.kind == .file || node.kind == .raw, node.blockSizes.count == links.count
            else { return }
            children = zip(links, node.blockSizes).map { FileLayout.Child(cid: $0, size: $1) }
        } catch {
            children = []
        }
    }
}
