// Files of every shape are read back as they were written, whole and in ranges, by no more blocks
// than needed.

import IPLD
import Multiformats
import TestSupport
import Testing
import Wire

@Suite struct FileTests {
    /// CIDs that Kubo's own tests expect (test/sharness/t0040-add-and-cat.sh).
    @Test func wellKnownFiles() {
        var blocks = MemoryBlocks()
        let v0 = Profile.v0_2015
        #expect(
            blocks.add(file: [], v0).cid.description
                == "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH")
        #expect(
            blocks.add(file: [], .v1_2025).cid.description
                == "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku")
        #expect(
            blocks.add(file: Array("Hello Worlds!\n"), v0).cid.description
                == "QmVr26fY1tKyspEJBniVhqxQeEjhF78XerGiqWAwraVLQH")
        #expect(
            blocks.add(file: Array("IPFS\n"), v0).cid.description
                == "QmdFyxZXsFiP4csgfM5uPu99AvFiKH62CSPDw5TP92nr7w")
    }

    @Test("an envelope is what a leaf has around its content", arguments: [0, 1, 127, 128, 70_000])
    func envelopes(size: Int) {
        let content = [UInt8](repeating: 7, count: size)
        for profile in [Profile.v0_2015, .v1_2025] {
            let envelope = LeafEnvelope(contentSize: size, profile: profile)
            let leaf = profile.leaf(of: content)
            #expect(envelope.head + content + envelope.tail == leaf.block.bytes)
            #expect(envelope.codec == leaf.entry.cid.codec)
            #expect(envelope.version == leaf.entry.cid.version)
        }
    }

    @Test("what is built is read back, in any range", arguments: 0..<60)
    func roundTrip(seed: UInt64) throws {
        var noise = Noise(seed: seed)
        let profile = Profile.small(
            chunk: .random(in: 1...9, using: &noise), width: .random(in: 2...5, using: &noise),
            leaves: Bool.random(using: &noise) ? .raw : .dagPB)
        let content = noise.bytes(upTo: 300)
        var blocks = MemoryBlocks()
        let root = blocks.add(file: content, profile)
        #expect(root.contentSize == UInt64(content.count))

        let whole = try blocks.read(root.cid)
        #expect(whole.content == content)
        #expect(whole.size == UInt64(content.count))
        for _ in 0..<20 {
            let first = Int.random(in: 0...content.count, using: &noise)
            let last = Int.random(in: first...(content.count + 5), using: &noise)
            let part = try blocks.read(root.cid, UInt64(first)..<UInt64(last))
            #expect(part.content == Array(content[first..<min(last, content.count)]))
            let chunk = profile.chunker.maximum
            let leaves = part.asked.filter { part.content.isEmpty || $0.codec == .raw }
            #expect(leaves.count <= (last - first) / chunk + 2, "reads leaves it does not need")
        }
    }

    @Test("tsize counts every block each time it is linked", arguments: [1, 2, 10, 26])
    func tsize(chunks: Int) throws {
        var blocks = MemoryBlocks()
        let content = (0..<UInt8(chunks)).flatMap { [$0, $0, $0] }
        let root = blocks.add(file: content, .small(chunk: 3, width: 3))
        let total = blocks.blocks.values.reduce(0) { $0 + $1.count }
        #expect(root.tsize == UInt64(total))
    }

    @Test func metadataIsCarriedByARootOfItsOwn() throws {
        var blocks = MemoryBlocks()
        let modified = ModificationTime(seconds: -5, nanoseconds: 250)
        let metadata = FileMetadata(mode: 0o640, modified: modified)
        for content in [[], Array("one leaf"), Array("several leaves of content")] {
            let root = blocks.add(file: content, .small(chunk: 8, width: 2), metadata: metadata)
            let block = try blocks.block(root.cid)
            #expect(
                try Entity(root.cid, block.rawSpan)
                    == .file(size: UInt64(content.count), metadata))
            #expect(try blocks.read(root.cid).content == content)
        }
        // What Kubo makes of an empty file with mode and time (boxo's mode-mtime fixture).
        let empty = blocks.add(
            file: [], .v1_2025,
            metadata: FileMetadata(
                mode: 0o644, modified: ModificationTime(seconds: 1_655_158_712)))
        #expect(
            empty.cid.description
                == "bafybeibkntel2get5efon2hlraem7r2zvujuag3zw477mtphztlirpgxli")
    }

    @Test("trickle, inlined data, and raw and dag-pb leaves mixed", arguments: 0..<40)
    func otherLayouts(seed: UInt64) throws {
        var noise = Noise(seed: seed)
        var blocks = MemoryBlocks()
        let content = noise.bytes(upTo: 400)
        let root = blocks.tree(of: content[...], depth: 0, &noise)
        let whole = try blocks.read(root.cid)
        #expect(whole.content == content)
        #expect(whole.size == UInt64(content.count))
        for _ in 0..<20 {
            let first = Int.random(in: 0...content.count, using: &noise)
            let last = Int.random(in: first...content.count, using: &noise)
            let part = try blocks.read(root.cid, UInt64(first)..<UInt64(last))
            #expect(part.content == Array(content[first..<last]))
        }
    }

    @Test("a range is narrowed once the size is known", arguments: 0..<20)
    func narrow(seed: UInt64) throws {
        var noise = Noise(seed: seed)
        var blocks = MemoryBlocks()
        let content = noise.bytes(upTo: 200)
        let root = blocks.tree(of: content[...], depth: 0, &noise)
        let first = Int.random(in: 0...content.count, using: &noise)
        let last = Int.random(in: first...content.count, using: &noise)
        var reader = FileReader(root: root.cid)
        var read: [UInt8] = []
        var block: [UInt8] = []
        loop: while true {
            switch reader.next() {
            case .block(let cid):
                block = try blocks.block(cid)
                try reader.supply(block.rawSpan)
            case .size: reader.narrow(to: UInt64(first)..<UInt64(last))
            case .bytes(let range): read += block[range]
            case .done: break loop
            }
        }
        #expect(read == Array(content[first..<last]))
    }

    @Test("leaves that the caller reads itself give the same bytes", arguments: 0..<20)
    func passedLeaves(seed: UInt64) throws {
        var noise = Noise(seed: seed)
        var blocks = MemoryBlocks()
        let content = noise.bytes(upTo: 300)
        let root = blocks.add(file: content, .small(chunk: 7, width: 3))
        let first = Int.random(in: 0...content.count, using: &noise)
        let last = Int.random(in: first...content.count, using: &noise)
        var reader = FileReader(root: root.cid, range: UInt64(first)..<UInt64(last))
        var read: [UInt8] = []
        var block: [UInt8] = []
        loop: while true {
            switch reader.next() {
            case .block(let cid):
                block = try blocks.block(cid)
                if let leaf = reader.leaf {
                    #expect(leaf.size == block.count)
                    read += block[leaf.wanted]
                    reader.passLeaf()
                } else {
                    try reader.supply(block.rawSpan)
                }
            case .bytes(let range): read += block[range]
            case .size: continue
            case .done: break loop
            }
        }
        #expect(read == Array(content[first..<last]))
    }

    /// Kubo's `ipfs add -t` of a small file (t0040-add-and-cat.sh).
    @Test func trickleOfKubo() throws {
        var blocks = MemoryBlocks()
        var leaf = UnixFSNode(.raw)
        leaf.fileSize = 14
        let block = EncodedBlock(
            PBNode(data: leaf.encoded(data: Array("Hello Worlds!\n"))).encoded(), codec: .dagPB,
            version: .v0)
        blocks.add(block)
        var node = UnixFSNode(.file)
        node.fileSize = 14
        node.blockSizes = [14]
        let link = PBLink(block.cid, tsize: UInt64(block.bytes.count))
        let root = EncodedBlock(
            PBNode(links: [link], data: node.encoded()).encoded(), codec: .dagPB, version: .v0)
        blocks.add(root)
        #expect(root.cid.description == "QmUkUQgxXeggyaD5Ckv8ZqfW8wHBX6cYyeiyqvVZYzq5Bi")
        #expect(try blocks.read(root.cid).content == Array("Hello Worlds!\n"))
    }
}

extension MemoryBlocks {
    /// A file of random shape: any node may hold content of its own before that of its children.
    fileprivate mutating func tree(
        of content: ArraySlice<UInt8>, depth: Int, _ noise: inout Noise
    ) -> (cid: CID, size: UInt64) {
        let size = UInt64(content.count)
        if depth > 3 || Int.random(in: 0..<4, using: &noise) == 0 {
            if Bool.random(using: &noise) {
                let block = EncodedBlock([UInt8](content), codec: .raw)
                add(block)
                return (block.cid, size)
            }
            var node = UnixFSNode(Bool.random(using: &noise) ? .raw : .file)
            node.fileSize = size
            return (add(PBNode(data: node.encoded(data: [UInt8](content)))), size)
        }
        var rest = content
        var node = UnixFSNode(.file)
        node.fileSize = size
        let own = rest.prefix(Int.random(in: 0...min(10, rest.count), using: &noise))
        rest = rest.dropFirst(own.count)
        var links: [PBLink] = []
        while !rest.isEmpty {
            let part = rest.prefix(Int.random(in: 0...rest.count, using: &noise))
            rest = rest.dropFirst(part.count)
            let child = tree(of: part, depth: depth + 1, &noise)
            links.append(PBLink(child.cid, tsize: nil))
            node.blockSizes.append(child.size)
        }
        let data = node.encoded(data: own.isEmpty ? nil : [UInt8](own))
        return (add(PBNode(links: links, data: data)), size)
    }
}
