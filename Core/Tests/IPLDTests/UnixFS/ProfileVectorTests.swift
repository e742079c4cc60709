// The 14 published CIDs of IPIP-499: small files, files and directories at the edges of chunk,
// width and HAMT threshold, in both profiles.

import Cryptography
import Foundation
import IPLD
import Multiformats
import TestSupport
import Testing
import Wire

/// One published case.
struct ProfileVector: CustomTestStringConvertible, Sendable {
    let profile: Profile
    let testDescription: String
    let cid: String
    let text: String?
    let seed: String
    let size: Int
    let names: Names?
    let checksum: String
    let tsize: UInt64?

    struct Names: Sendable {
        let count: Int
        let length: Int
        let lastLength: Int
    }

    static let all: [ProfileVector] = {
        guard let bytes = try? Vectors.bytes("unixfs/profiles.json"),
            let object = try? JSONSerialization.jsonObject(with: Data(bytes)),
            let vectors = (object as? [String: Any])?["vectors"] as? [[String: Any]]
        else { return [] }
        return vectors.compactMap(ProfileVector.init)
    }()

    init?(_ object: [String: Any]) {
        guard let name = object["profile"] as? String, let profile = Profile(name: name),
            let title = object["case"] as? String, let cid = object["expected_cid"] as? String,
            let input = object["input"] as? [String: Any]
        else { return nil }
        self.profile = profile
        testDescription = "\(name): \(title)"
        self.cid = cid
        text = input["text"] as? String
        seed = input["seed"] as? String ?? ""
        size = input["size"] as? Int ?? 0
        names = (input["count"] as? Int).map {
            Names(
                count: $0, length: input["name_length"] as? Int ?? 0,
                lastLength: input["last_name_length"] as? Int ?? 0)
        }
        checksum = (object["input_sha256"] ?? object["names_sha256"]) as? String ?? ""
        tsize = (object["root_tsize"] as? Int).map(UInt64.init)
    }

    /// Files of one seed start alike, so that one pass over the stream makes them all.
    static let files = Dictionary(grouping: all.filter { $0.size > 0 }) { $0.seed }
        .sorted { $0.key < $1.key }.map(\.value)
    static let directories = all.filter { $0.names != nil }
    static let texts = all.filter { $0.text != nil }
}

@Suite struct ProfileVectorTests {
    @Test func allCasesAreThere() {
        #expect(ProfileVector.all.count == 14)
        #expect(ProfileVector.texts.count == 2)
        #expect(ProfileVector.files.joined().count == 8)
        #expect(ProfileVector.directories.count == 4)
    }

    @Test(arguments: ProfileVector.texts)
    func smallFile(vector: ProfileVector) throws {
        var blocks = MemoryBlocks()
        let root = blocks.add(file: Array(try #require(vector.text)), vector.profile)
        #expect(root.cid.description == vector.cid)
    }

    @Test(arguments: ProfileVector.files)
    func files(vectors: [ProfileVector]) throws {
        let vectors = vectors.sorted { $0.size < $1.size }
        let largest = try #require(vectors.last)
        guard largest.size <= Self.sizeLimit else { return }
        var stream = ChaCha20(seed: largest.seed)
        var sums = vectors.map { _ in SHA256() }
        var builders = vectors.map { FileBuilder($0.profile) }
        var offset = 0
        while offset < largest.size {
            let piece = stream.read(min(largest.profile.chunker.maximum, largest.size - offset))
            for (index, vector) in vectors.enumerated() where offset < vector.size {
                let part = Array(piece.prefix(vector.size - offset))
                sums[index].update(part.rawSpan)
                builders[index].add(vector.profile.leaf(of: part).entry)
                while builders[index].nextBlock() != nil {}
            }
            offset += piece.count
        }
        for (index, vector) in vectors.enumerated() {
            #expect(sums[index].finalize() == hex(vector.checksum), "the input is wrong")
            let root = builders[index].finish()
            #expect(root.cid.description == vector.cid)
            #expect(root.tsize == vector.tsize)
            #expect(root.contentSize == UInt64(vector.size))
        }
    }

    /// The two cases of 1 GiB take a minute in a debug build, and hashing without the host's
    /// cryptography is as slow for 45 MiB: `make test-long` sets WEFT_LONG and runs them all.
    private static var sizeLimit: Int {
        if ProcessInfo.processInfo.environment["WEFT_LONG"] != nil { return .max }
        #if HostCrypto
            return 64 << 20
        #else
            return 2 << 20
        #endif
    }

    @Test(arguments: ProfileVector.directories)
    func directories(vector: ProfileVector) throws {
        let recipe = try #require(vector.names)
        let alphabet: [UInt8] = Array("abcdefghijklmnopqrstuvwxyz01234567890-_")
        var stream = ChaCha20(seed: vector.seed)
        let names = (0..<recipe.count).map { index in
            let length = index == recipe.count - 1 ? recipe.lastLength : recipe.length
            return stream.read(length).map { alphabet[Int($0) % alphabet.count] }
        }
        let joined = Array(names.joined(separator: [0x0a]))
        #expect(SHA256.hash(joined.rawSpan) == hex(vector.checksum), "the input is wrong")
        var blocks = MemoryBlocks()
        let file = blocks.add(file: Array("x"), vector.profile)
        var builder = DirectoryBuilder(vector.profile)
        for name in names { try builder.add(name, file) }
        let root = try builder.finish()
        while let block = builder.nextBlock() { blocks.add(block) }
        #expect(root.cid.description == vector.cid)
        #expect(root.contentSize == UInt64(recipe.count))

        let listed = try blocks.list(root.cid)
        #expect(Set(listed.map(\.name)) == Set(names))
        #expect(listed.count == names.count)
        for name in names.prefix(50) {
            let text = String(decoding: name, as: UTF8.self)
            #expect(try blocks.resolve(root.cid, [text]).cid == file.cid)
        }
    }
}
