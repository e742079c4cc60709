// What the store's tests share: a seeded generator, blocks, small DAGs, temporary directories, and
// a store over either storage.

import Glibc
import IPLD
import Multiformats
import NIOCore
import Testing

@testable import BlockStore

/// A seeded generator (SplitMix64), so that a failing run can be repeated.
struct Seeded: RandomNumberGenerator {
    var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

/// A directory that is removed with the value.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        var template = Array(("/tmp/weft-store-" + String(repeating: "X", count: 6)).utf8CString)
        path = try #require(
            template.withUnsafeMutableBufferPointer { buffer in
                mkdtemp(buffer.baseAddress!).map { String(cString: $0) }
            })
    }

    deinit { Self.remove(path) }

    /// Bytes of all files, rounded up as `du` does.
    var bytes: UInt64 { Self.entries(path).reduce(0) { $0 + $1.size } }

    static func entries(_ path: String) -> [(path: String, size: UInt64)] {
        guard let stream = opendir(path) else { return [] }
        defer { closedir(stream) }
        var found: [(path: String, size: UInt64)] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name == "." || name == ".." { continue }
            let child = path + "/" + name
            var status = stat()
            guard lstat(child, &status) == 0 else { continue }
            if status.st_mode & S_IFMT == S_IFDIR {
                found += entries(child)
            } else {
                found.append((child, (UInt64(status.st_size) + 4095) / 4096 * 4096))
            }
        }
        return found
    }

    private static func remove(_ path: String) {
        for entry in entries(path) { unlink(entry.path) }
        rmdir(path + "/segments")
        rmdir(path)
    }
}

func noise(_ count: Int, _ random: inout Seeded) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count + 8)
    while bytes.count < count {
        withUnsafeBytes(of: random.next()) { bytes.append(contentsOf: $0) }
    }
    return Array(bytes.prefix(count))
}

func block(_ bytes: [UInt8], _ codec: Codec = .raw) -> Block {
    Block(EncodedBlock(bytes, codec: codec))
}

func leaf(_ count: Int, _ random: inout Seeded) -> Block { block(noise(count, &random)) }

/// A dag-cbor block that links to others.
func parent(of children: [CID], salt: UInt64 = 0) throws -> Block {
    let value = Value.list([.integer(Int128(salt))] + children.map { .link($0) })
    return block(try DagCBOR.encode(value), .dagCBOR)
}

/// Which storage a test runs over.
enum Backing: String, CaseIterable, Sendable {
    case files, memory
}

/// A store that a test can close, crash and open again.
final class StoreUnderTest {
    let directory: TemporaryDirectory
    let memory: MemorySegments?
    var options: StoreOptions
    private(set) var store: BlockStore

    init(_ backing: Backing = .files, _ options: StoreOptions = StoreOptions()) throws {
        directory = try TemporaryDirectory()
        memory = backing == .memory ? MemorySegments() : nil
        self.options = options
        store = try Self.open(directory, memory, options)
    }

    private static func open(
        _ directory: TemporaryDirectory, _ memory: MemorySegments?, _ options: StoreOptions
    ) throws -> BlockStore {
        guard let memory else { return try BlockStore.open(at: directory.path, options) }
        let layout = try StoreLayout(directory.path)
        return try BlockStore.open(layout, DirectoryLock(layout), memory, options)
    }

    func reopen() async throws {
        try await store.close()
        store = try Self.open(directory, memory, options)
    }

    /// Opens again after the test has closed the store.
    func open() throws { store = try Self.open(directory, memory, options) }

    /// Everything on disk and in memory segments.
    var bytes: UInt64 { directory.bytes + (memory?.bytes ?? 0) }
}

extension BlockStore {
    /// Puts and pins content in one session.
    func add(_ blocks: [Block], pinning root: CID? = nil, name: String = "") async throws {
        let session = beginWrite()
        for block in blocks { try session.put(block) }
        if let root { session.pin(root, .recursive, name: name) }
        try await session.commit()
    }

    func holds(_ block: Block) async throws -> Bool {
        guard let bytes = try await self.block(block.cid.hash) else { return false }
        #expect(bytes == block.bytes)
        return true
    }
}

func write(_ bytes: some Collection<UInt8>, _ path: String) throws {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    try #require(descriptor >= 0)
    defer { Glibc.close(descriptor) }
    let array = Array(bytes)
    #expect(Glibc.write(descriptor, array, array.count) == array.count)
}

func write(_ text: String, _ path: String) throws { try write(text.utf8, path) }

func read(_ path: String) throws -> [UInt8] {
    let descriptor = open(path, O_RDONLY)
    try #require(descriptor >= 0)
    defer { Glibc.close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: Int(lseek(descriptor, 0, SEEK_END)))
    let count = bytes.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, $0.count, 0) }
    #expect(count == bytes.count)
    return bytes
}
