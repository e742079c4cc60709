// Blocks in memory, and what drives the readers over them. It counts what is asked for, so that a
// test can tell what was not.

import IPLD
import Multiformats
import Testing
import Wire

struct MemoryBlocks {
    private(set) var blocks: [CID: [UInt8]] = [:]

    enum Failure: Error, Equatable {
        case missing(CID)
    }

    mutating func add(_ block: EncodedBlock) {
        blocks[block.cid] = block.bytes
    }

    mutating func add(_ bytes: [UInt8], as cid: CID) {
        blocks[cid] = bytes
    }

    /// Adds a dag-pb node and answers its CID.
    mutating func add(_ node: PBNode) -> CID {
        let block = EncodedBlock(node.encoded(), codec: .dagPB)
        add(block)
        return block.cid
    }

    mutating func remove(_ cid: CID) {
        blocks[cid] = nil
    }

    func block(_ cid: CID) throws -> [UInt8] {
        if cid.hash.code == .identity { return cid.hash.digest }
        guard let bytes = blocks[cid] else { throw Failure.missing(cid) }
        return bytes
    }

    /// What a reader of a file gave out.
    struct Reading {
        var size: UInt64?
        var content: [UInt8] = []
        var asked: [CID] = []
    }

    func read(_ root: CID, _ range: Range<UInt64>? = nil) throws -> Reading {
        var reading = Reading()
        var reader = FileReader(root: root, range: range)
        var block: [UInt8] = []
        while true {
            switch reader.next() {
            case .block(let cid):
                #expect(reader.upcoming(1) == [cid])
                block = try self.block(cid)
                reading.asked.append(cid)
                try reader.supply(block.rawSpan)
            case .size(let size): reading.size = size
            case .bytes(let range): reading.content += block[range]
            case .done: return reading
            }
        }
    }

    func list(_ root: CID) throws -> [DirectoryEntry] {
        var entries: [DirectoryEntry] = []
        var reader = DirectoryReader(root: root)
        while true {
            switch reader.next() {
            case .block(let cid):
                #expect(reader.upcoming(1) == [cid])
                let bytes = try block(cid)
                try reader.supply(bytes.rawSpan)
            case .entry(let entry): entries.append(entry)
            case .done: return entries
            }
        }
    }

    func resolve(_ root: CID, _ path: [String]) throws -> PathResolver.Resolved {
        var resolver = PathResolver(root: root, path: path)
        while true {
            switch resolver.next() {
            case .block(let cid):
                let bytes = try block(cid)
                try resolver.supply(bytes.rawSpan)
            case .resolved(let resolved): return resolved
            }
        }
    }

    /// The blocks that a walk gives out, and how often it went back to one.
    func walk(
        _ root: CID, _ scope: DAGWalk.Scope, _ repeats: DAGWalk.Repeats = .omitted,
        after path: [CID] = []
    ) throws -> (given: [CID], revisited: [CID]) {
        var walk = DAGWalk(root: root, scope: scope, repeats: repeats, after: path)
        var given: [CID] = []
        var revisited: [CID] = []
        while true {
            switch walk.next() {
            case .block(let cid):
                given.append(cid)
                let bytes = try block(cid)
                try walk.supply(bytes.rawSpan)
            case .revisit(let cid):
                revisited.append(cid)
                let bytes = try block(cid)
                try walk.supply(bytes.rawSpan)
            case .done: return (given, revisited)
            }
        }
    }

    /// Stores a file by a profile.
    mutating func add(
        file content: [UInt8], _ profile: Profile, metadata: FileMetadata = FileMetadata()
    ) -> DAGEntry {
        var builder = FileBuilder(profile, metadata: metadata)
        var splitter = Splitter(profile.chunker)
        var rest = content[...]
        while !rest.isEmpty {
            let bytes = [UInt8](rest)
            let count = splitter.cut(bytes.rawSpan) ?? bytes.count
            let leaf = profile.leaf(of: [UInt8](rest.prefix(count)))
            add(leaf.block)
            builder.add(leaf.entry)
            while let block = builder.nextBlock() { add(block) }
            rest = rest.dropFirst(count)
        }
        let root = builder.finish()
        while let block = builder.nextBlock() { add(block) }
        return root
    }

    /// Stores a directory by a profile.
    mutating func add(
        directory entries: [(name: String, entry: DAGEntry)], _ profile: Profile,
        metadata: FileMetadata = FileMetadata()
    ) throws -> DAGEntry {
        var builder = DirectoryBuilder(profile, metadata: metadata)
        for (name, entry) in entries { try builder.add([UInt8](name.utf8), entry) }
        let root = try builder.finish()
        while let block = builder.nextBlock() { add(block) }
        return root
    }
}

/// The blocks of a CARv1 under `Vectors/unixfs/`, checked against their CIDs, and their order.
struct Fixture {
    private(set) var blocks = MemoryBlocks()
    private(set) var order: [CID] = []
    var root: CID { order[0] }

    init(_ name: String) throws {
        let path = "unixfs/" + name + ".car"
        let bytes = try Vectors.bytes(path)
        var reader = ByteReader(bytes.rawSpan)
        try reader.skip(try reader.readLength(limit: 1024))
        while !reader.isAtEnd {
            let length = try reader.readLength(limit: 2 << 20)
            let end = reader.offset + length
            let cid = try reader.readCID()
            let block = try reader.readBytes(end - reader.offset)
            try cid.hash.verify(block.rawSpan)
            blocks.add(block, as: cid)
            order.append(cid)
        }
    }
}

extension Profile {
    /// A profile that makes deep trees of little content.
    static func small(
        chunk: Int, width: Int, leaves: Leaves = .raw, sharding: UInt64 = 262_144,
        fanout: UInt64 = 256
    ) -> Profile {
        Profile(
            cidVersion: leaves == .raw ? .v1 : .v0, chunker: .size(chunk), width: width,
            leaves: leaves,
            sharding: Sharding(
                estimate: .blockBytes, threshold: sharding, fanout: Fanout(fanout) ?? .default))
    }
}

extension Array where Element == UInt8 {
    init(_ text: String) {
        self = [UInt8](text.utf8)
    }
}
