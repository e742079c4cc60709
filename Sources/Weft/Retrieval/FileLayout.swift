// Which block lies where in which file, learnt from the interior nodes that pass by. With it a
// stream that broke off is continued by another provider from the byte where it is needed.

import IPLD
import Multiformats
import NIOCore

/// Which block lies where in which file.
struct FileLayout {
    /// Where a block's content begins.
    struct Place: Hashable {
        /// The topmost known node of the file.
        let file: CID
        /// Bytes from the beginning of that file.
        let offset: UInt64
        /// How many bytes of the file it stands for.
        let size: UInt64
        /// About how many bytes the nodes above it take, which come with each part of the file.
        let above: UInt64

        /// Where the next part of the file begins; nil if its size cannot be.
        var end: UInt64? {
            let (end, overflow) = offset.addingReportingOverflow(size)
            return overflow ? nil : end
        }
    }

    /// A part of a file node.
    struct Child: Hashable {
        let cid: CID
        /// How many bytes of the file it stands for.
        let size: UInt64
    }

    /// About how many bytes a link takes in its node.
    private static let linkBytes: UInt64 = 50
    /// How many blocks are remembered; later ones are fetched without this knowledge.
    static let maxPlaces = 1 << 18

    private var places: [Multihash: Place] = [:]
    private var sizes: [CID: UInt64] = [:]

    /// Where a block lies, if known. Of a block that occurs repeatedly, the first place.
    func place(of hash: Multihash) -> Place? { places[hash] }

    /// Whether a block may hold content itself, as far as its size tells.
    func mayBeLeaf(_ cid: CID) -> Bool {
        places[cid.hash].map { $0.size <= UInt64(BlockLimits.maxBytes) } ?? true
    }

    /// How long a file is, if known.
    func size(of file: CID) -> UInt64? { sizes[file] }

    /// Notes the parts of a node that came by. Offsets are a node's own claim: they serve to ask,
    /// never to trust.
    mutating func learn(_ cid: CID, children: [Child]) {
        guard !children.isEmpty, places.count + children.count <= Self.maxPlaces else { return }
        let own = places[cid.hash]
        let file = own?.file ?? cid
        var offset = own?.offset ?? 0
        let above = (own?.above ?? 0) + UInt64(children.count) * Self.linkBytes
        for child in children {
            if places[child.cid.hash] == nil {
                places[child.cid.hash] = Place(
                    file: file, offset: offset, size: child.size, above: above)
            }
            let (next, overflow) = offset.addingReportingOverflow(child.size)
            guard !overflow else { return }
            offset = next
        }
        if own == nil { sizes[cid] = offset }
    }
}
