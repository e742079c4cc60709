import IPLD
import Multiformats
import Wire

/// A file that the page adds, cut into blocks as nodes do (`unixfs-v1-2025`).
struct Putting {
    private let profile = Profile.v1_2025
    private var splitter = Splitter(Profile.v1_2025.chunker)
    private var builder = FileBuilder(.v1_2025)
    private var piece: [UInt8] = []
    private(set) var byteCount = 0
    /// The blocks that are kept for it so far.
    var pinned: [Multihash] = []

    /// Takes the next bytes of the content, and hands on the blocks that are whole.
    mutating func add(_ bytes: RawSpan, _ emit: (EncodedBlock) -> Void) {
        byteCount += bytes.byteCount
        var rest = bytes
        while let end = splitter.cut(rest) {
            piece.append(rest.extracting(..<end))
            rest = rest.extracting(end...)
            addLeaf(emit)
        }
        piece.append(rest)
    }

    /// Ends the content; answers its root.
    mutating func finish(_ emit: (EncodedBlock) -> Void) -> CID {
        if !piece.isEmpty { addLeaf(emit) }
        let root = builder.finish()
        while let block = builder.nextBlock() { emit(block) }
        return root.cid
    }

    private mutating func addLeaf(_ emit: (EncodedBlock) -> Void) {
        let leaf = profile.leaf(of: piece)
        piece = []
        emit(leaf.block)
        builder.add(leaf.entry)
        while let block = builder.nextBlock() { emit(block) }
    }
}
