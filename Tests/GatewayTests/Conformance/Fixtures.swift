// The fixtures of ipfs/gateway-conformance as a gateway's backend: their blocks, records and
// DNSLinks in memory.

import IPLD
import Multiformats
import NIOCore
import Weft
import Wire

@testable import Gateway

#if canImport(Glibc)
    import Glibc
#endif

/// Everything that the fixtures hold.
struct Fixtures: Sendable {
    /// An archive of the fixtures.
    struct Archive: Sendable {
        let root: CID
        let blocks: MemoryBlocks

        /// The CID at a path below the root.
        func cid(_ path: String...) async throws -> CID {
            try await ContentReader(blocks).resolve(path, from: root).cid
        }

        /// The block at a path below the root.
        func block(_ path: String...) async throws -> [UInt8] {
            Array(try await ContentReader(blocks).resolve(path, from: root).block.readableBytesView)
        }

        /// The CIDs below a path, depth first, without the one at the path.
        func below(_ path: String...) async throws -> [CID] {
            let top = try await ContentReader(blocks).resolve(path, from: root).cid
            return Array(try await walk(top, .all).dropFirst())
        }

        /// The blocks of a sharded directory at the root, without the root.
        func shards() async throws -> [CID] {
            Array(try await walk(root, .entity(nil)).dropFirst())
        }

        /// The shards between the root and an entry.
        func shards(to name: String) async throws -> [CID] {
            var resolver = PathResolver(root: root, path: [name])
            while case .block(let cid) = resolver.next() {
                let block = try await blocks.block(cid)
                try resolver.supply(block.readableBytesSpan)
            }
            guard case .resolved(let end) = resolver.next() else { return [] }
            return Array(end.blocks.dropFirst())
        }

        private func walk(_ top: CID, _ scope: DAGWalk.Scope) async throws -> [CID] {
            var walk = DAGWalk(root: top, scope: scope, repeats: .omitted)
            var found: [CID] = []
            while case .block(let cid) = walk.next() {
                found.append(cid)
                let block = try await blocks.block(cid)
                try walk.supply(block.readableBytesSpan)
            }
            return found
        }
    }

    static let directory = URLs.root + "/Vectors/gateway-conformance"

    let blocks: MemoryBlocks
    let names: MemoryNames

    /// Reads all archives, records and links.
    init() throws {
        var blocks = MemoryBlocks()
        var names = MemoryNames()
        for path in Files.all(below: Self.directory) {
            if path.hasSuffix(".car") { _ = try blocks.add(archive: Files.bytes(path)) }
            if path.hasSuffix(".ipns-record") { try names.add(record: path) }
            if path.hasSuffix(".yml") {
                names.add(links: String(decoding: try Files.bytes(path), as: UTF8.self))
            }
        }
        self.blocks = blocks
        self.names = names
    }

    func archive(_ path: String) throws -> Archive {
        var own = MemoryBlocks()
        let roots = try own.add(archive: Files.bytes("\(Self.directory)/\(path)"))
        return Archive(root: roots[0], blocks: blocks)
    }

    /// A gateway that serves the fixtures, with `example.com` for subdomains.
    func gateway(_ change: (inout GatewayOptions) -> Void = { _ in }) throws -> Gateway {
        var options = GatewayOptions()
        options.subdomainHosts = ["example.com"]
        change(&options)
        return try Gateway(backend, options: options)
    }

    var backend: GatewayBackend {
        GatewayBackend(
            source: { [blocks] _, _, _ in blocks },
            resolve: { [names] path, _, trace in try names.resolve(path, trace) },
            record: { [names] key, _ in names.record(of: key) },
            has: { [blocks] hash in blocks.has(hash) })
    }
}

/// Blocks in memory.
struct MemoryBlocks: BlockSource {
    private var blocks: [Multihash: ByteBuffer] = [:]

    func block(_ cid: CID) async throws -> ByteBuffer {
        guard let block = blocks[cid.hash] else { throw BlockUnavailable(cid) }
        return block
    }

    func prefetch(_ cids: [CID]) {}

    func has(_ hash: Multihash) -> Bool { blocks[hash] != nil }

    mutating func add(_ bytes: [UInt8], _ codec: Codec) -> CID {
        let hash = Multihash.sha2_256(of: bytes.span.bytes)
        blocks[hash] = ByteBuffer(bytes: bytes)
        return CID(codec, hash)
    }

    mutating func add(_ block: EncodedBlock) {
        blocks[block.cid.hash] = ByteBuffer(bytes: block.bytes)
    }

    /// Adds what an archive has; answers its roots.
    mutating func add(archive bytes: [UInt8]) throws -> [CID] {
        var reader = CARReader()
        var roots: [CID] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            switch try reader.next(rest.span.bytes) {
            case .header(let found, let consumed):
                roots = found
                rest = rest.dropFirst(consumed)
            case .section(let cid, let payload, let consumed):
                let start = rest.startIndex
                let range = (start + payload.lowerBound)..<(start + payload.upperBound)
                blocks[cid.hash] = ByteBuffer(bytes: rest[range])
                rest = rest.dropFirst(consumed)
            case .skip(let count): rest = rest.dropFirst(Int(count))
            case .needMore, .end: rest = []
            }
        }
        return roots
    }
}

/// Names in memory: records by key, and domains.
struct MemoryNames: Sendable {
    private var records: [PeerID: [UInt8]] = [:]
    private var links: [String: String] = [:]

    /// Adds a record under the name that its file name begins with.
    mutating func add(record path: String) throws {
        let file = path.split(separator: "/").last ?? ""
        let name = file.prefix { $0 != "." && $0 != "_" }
        records[try PeerID(text: String(name))] = try Files.bytes(path)
    }

    /// Adds the links of a `dnslink.yml`.
    mutating func add(links text: String) {
        var domain = ""
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            if words.first == "domain:" { domain = String(words[1]) }
            if words.first == "path:" { links[domain] = String(words[1]) }
        }
    }

    func resolve(_ path: String, _ trace: Trace, depth: Int = 0) throws -> ResolvedName {
        let parts = path.split(separator: "/", maxSplits: 2).map(String.init)
        let rest = parts.count > 2 ? "/" + parts[2] : ""
        if parts[0] == "ipfs" { return ResolvedName(path: path, ttl: .seconds(60)) }
        guard depth < 8 else { throw FetchError(.notFound, "too many links") }
        if let key = RootLabel.key(parts[1]) {
            guard let record = record(of: key), let value = try read(record.bytes).path else {
                throw FetchError(.notFound, "there is no valid record of \(parts[1])")
            }
            let end = try resolve(value + rest, trace, depth: depth + 1)
            return ResolvedName(path: end.path, ttl: record.ttl)
        }
        guard let link = links[parts[1]] else {
            throw FetchError(.notFound, "\(parts[1]) has no DNSLink")
        }
        return try resolve(link + rest, trace, depth: depth + 1)
    }

    /// The record of a key, if it is valid.
    func record(of key: PeerID) -> GatewayBackend.NameRecord? {
        guard let bytes = records[key],
            let record = try? IPNSRecord(decoding: bytes.span.bytes),
            (try? record.validate(for: key, at: Timestamp(seconds: 1_790_000_000))) != nil
        else { return nil }
        return GatewayBackend.NameRecord(
            bytes: ByteBuffer(bytes: bytes),
            ttl: .nanoseconds(Int64(record.ttlNanoseconds)))
    }

    private func read(_ bytes: ByteBuffer) throws -> IPNSRecord {
        try IPNSRecord(decoding: bytes.readableBytesSpan)
    }
}

/// Where the repository is.
enum URLs {
    static let root: String = {
        let parts = #filePath.split(separator: "/").dropLast(4)
        return "/" + parts.joined(separator: "/")
    }()
}

/// Reads files of the repository.
enum Files {
    struct Unreadable: Error {
        let path: String
    }

    static func bytes(_ path: String) throws -> [UInt8] {
        guard let file = fopen(path, "rb") else { throw Unreadable(path: path) }
        defer { fclose(file) }
        var out: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = fread(&chunk, 1, chunk.count, file)
            if count == 0 { return out }
            out += chunk.prefix(count)
        }
    }

    /// All files below a directory, in the order of their names.
    static func all(below path: String) -> [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var found: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard name != ".", name != ".." else { continue }
            let below = "\(path)/\(name)"
            found += entry.pointee.d_type == UInt8(DT_DIR) ? all(below: below) : [below]
        }
        return found.sorted()
    }
}
