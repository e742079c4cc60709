// Adding files and folders: the published CIDs through the real pipeline, reading back, and what
// is refused.

import BlockStore
import Foundation
import IPLD
import Multiformats
import NIOCore
import TestSupport
import Testing

@testable import Weft

/// Runs a node on a fresh repository and stops it.
func withNode<Result>(
    _ configuration: Configuration = .offline,
    _ body: (Node, TemporaryDirectory) async throws -> Result
) async throws -> Result {
    let base = try TemporaryDirectory()
    let node = try await Node.start(at: base.path + "/repository", configuration: configuration)
    do {
        let result = try await body(node, base)
        await node.stop()
        return result
    } catch {
        await node.stop()
        throw error
    }
}

extension Configuration {
    static var offline: Configuration {
        var configuration = Configuration()
        configuration.network = .offline
        return configuration
    }
}

@Suite struct AddTests {
    struct Published: Sendable {
        let profile: String
        let bytes: @Sendable () -> [UInt8]
        let cid: String
    }

    static let files = [
        Published(
            profile: "unixfs-v0-2015", bytes: { Array("hello world".utf8) },
            cid: "Qmf412jQZiuVUtdgnB36FXFX7xg5V6KEbSJ4dpQuhkLyfD"),
        Published(
            profile: "unixfs-v0-2015", bytes: { stream("chunk-v0-seed", 262_144) },
            cid: "QmWmRj3dFDZdb6ABvbmKhEL6TmPbAfBZ1t5BxsEyJrcZhE"),
        Published(
            profile: "unixfs-v0-2015", bytes: { stream("chunk-v0-seed", 262_145) },
            cid: "QmYyLxtzZyW22zpoVAtKANLRHpDjZtNeDjQdJrcQNWoRkJ"),
        Published(
            profile: "unixfs-v1-2025", bytes: { Array("hello world".utf8) },
            cid: "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"),
        Published(
            profile: "unixfs-v1-2025", bytes: { stream("chunk-v1-seed", 1_048_576) },
            cid: "bafkreiacndfy443ter6qr2tmbbdhadvxxheowwf75s6zehscklu6ezxmta"),
        Published(
            profile: "unixfs-v1-2025", bytes: { stream("chunk-v1-seed", 1_048_577) },
            cid: "bafybeigmix7t42i6jacydtquhet7srwvgpizfg7gjbq7627d35mjomtu64"),
    ]

    private static func stream(_ seed: String, _ count: Int) -> [UInt8] {
        var stream = ChaCha20(seed: seed)
        return stream.read(count)
    }

    @Test("a file that says it is empty, and is not, is added whole")
    func sizeless() async throws {
        try await withNode { node, base in
            let content = try Data(contentsOf: URL(filePath: "/proc/version"))
            #expect(!content.isEmpty)
            try content.write(to: URL(filePath: base.path + "/copy"))
            try Data().write(to: URL(filePath: base.path + "/empty"))
            let seeming = try await node.add(["/proc/version"]).roots.first?.cid
            let copy = try await node.add([base.path + "/copy"]).roots.first?.cid
            let empty = try await node.add([base.path + "/empty"]).roots.first?.cid
            #expect(seeming == copy)
            #expect(seeming != empty)
        }
    }

    @Test("Files get their published CIDs, as files and as streams", arguments: files)
    func publishedFiles(vector: Published) async throws {
        try await withNode { node, base in
            let bytes = vector.bytes()
            try base.write("in/file", bytes)
            var options = AddOptions()
            options.profile = try #require(Profile(name: vector.profile))
            let result = try await node.add([base.path + "/in/file"], options)
            #expect(result.roots.map(\.cid.description) == [vector.cid])
            #expect(result.total == AddProgress(files: 1, bytes: UInt64(bytes.count)))

            // The same bytes in parts that have nothing to do with the pieces.
            let upload = try Upload(into: node, options)
            let body = ResponseBody(state: { bytes[...] }) { rest in
                let part = rest.prefix(77_777)
                rest = rest.dropFirst(part.count)
                return part.isEmpty ? nil : .init(bytes: part)
            }
            #expect(try await upload.addFile("file", body).cid.description == vector.cid)
            let uploaded = try await upload.finish()
            #expect(uploaded.result.roots.map(\.cid.description) == [vector.cid])
        }
    }

    @Test(
        "Folders at the limit of one block get their published CIDs",
        arguments: [
            (
                "unixfs-v0-2015", 4096, 30, 30, "QmX5GtRk3TSSEHtdrykgqm4eqMEn3n2XhfkFAis5fjyZmN"
            ),
            (
                "unixfs-v0-2015", 4033, 31, 31, "QmeMiJzmhpJAUgynAcxTQYek5PPKgdv3qEvFsdV3XpVnvP"
            ),
            (
                "unixfs-v1-2025", 4766, 11, 21,
                "bafybeic3h7rwruealwxkacabdy45jivq2crwz6bufb5ljwupn36gicplx4"
            ),
            (
                "unixfs-v1-2025", 4766, 11, 22,
                "bafybeiegvuterwurhdtkikfhbxcldohmxp566vpjdofhzmnhv6o4freidu"
            ),
        ])
    func publishedFolders(
        profile: String, count: Int, length: Int, lastLength: Int, cid: String
    ) async throws {
        try await withNode { node, base in
            var stream = ChaCha20(seed: "hamt-" + profile)
            let alphabet = Array("abcdefghijklmnopqrstuvwxyz01234567890-_".utf8)
            for index in 0..<count {
                let bytes = stream.read(index == count - 1 ? lastLength : length)
                let name = String(
                    decoding: bytes.map { alphabet[Int($0) % 39] }, as: UTF8.self)
                try base.write("in/" + name, Array("x".utf8))
            }
            var options = AddOptions()
            options.profile = try #require(Profile(name: profile))
            let result = try await node.add([base.path + "/in"], options)
            #expect(result.roots.map(\.cid.description) == [cid])
        }
    }

    @Test(
        "What was added is what is read back, with every profile and chunker",
        arguments: [
            ("unixfs-v1-2025", "size-4096"), ("unixfs-v0-2015", "size-1000"),
            ("unixfs-v1-2025", "buzhash"), ("unixfs-v0-2015", "rabin-512-1024-2048"),
        ])
    func roundTrip(profile: String, chunker: String) async throws {
        try await withNode { node, base in
            try RandomTree.write(base.path + "/tree", seed: 7, pieceSize: 4096)
            var options = AddOptions()
            options.profile = try #require(Profile(name: profile))
            options.profile.chunker = try #require(Chunker(chunker))
            options.hidden = .included
            let result = try await node.add([base.path + "/tree"], options)
            let again = try await node.add([base.path + "/tree/"], options)
            #expect(again.roots.map(\.cid) == result.roots.map(\.cid))
            #expect(try await node.store.isPinned(result.roots[0].cid) != nil)

            try await node.get(result.roots[0].cid.description, to: base.path + "/back")
            let wanted = try RandomTree.read(base.path + "/tree")
            #expect(wanted.count > 20)
            #expect(try RandomTree.read(base.path + "/back") == wanted)
        }
    }

    @Test("A wrapped upload of a tree has the CID of the folder")
    func uploadTree() async throws {
        try await withNode { node, base in
            try base.write("in/a/b.txt", [1, 2, 3])
            try base.write("in/c.txt", [4])
            try FileManager.default.createDirectory(
                atPath: base.path + "/in/e", withIntermediateDirectories: true)
            let added = try await node.add([base.path + "/in"])
            let upload = try Upload(into: node)
            _ = try await upload.addFile("in/c.txt", ResponseBody(.init(bytes: [4])))
            _ = try await upload.addFile("in/a/b.txt", ResponseBody(.init(bytes: [1, 2, 3])))
            try await upload.addFolder("in/e")
            let (folders, result) = try await upload.finish()
            #expect(result.roots == added.roots)
            #expect(folders.map(\.path) == ["in/a", "in/e", "in"])
            await #expect(throws: ImportError.self) {
                _ = try await upload.addFile("in/../x", ResponseBody.empty)
            }
        }
    }

    @Test("Roots come in the order asked, every entry is told once, hidden ones stay out")
    func roots() async throws {
        try await withNode { node, base in
            try base.write("b/x", [1])
            try base.write("b/.secret", [2])
            try base.write("a", [3])
            let told = Told()
            let paths = [base.path + "/b", base.path + "/a", base.path + "/b"]
            var options = AddOptions()
            let result = try await node.add(
                paths, options, observer: AddObserver(added: { told.note($0.path) }))
            #expect(result.roots.map(\.path) == ["b", "a", "b"])
            #expect(told.paths.sorted() == ["a", "b", "b/x"])
            options.wrapping = .folder
            let wrapped = try await node.add(Array(paths.prefix(2)), options)
            let wrapper = try #require(wrapped.roots.first)
            try await node.get(wrapper.cid.description + "/b/x", to: base.path + "/x")
            #expect(try RandomTree.read(base.path)["x"] == .file([1]))
        }
    }

    @Test("Permissions and times are kept when asked for, and come back")
    func attributes() async throws {
        try await withNode { node, base in
            try base.write("f", [1])
            let date = Date(timeIntervalSince1970: 1_000_000_000)
            try FileManager.default.setAttributes(
                [.posixPermissions: 0o750, .modificationDate: date], ofItemAtPath: base.path + "/f")
            var options = AddOptions()
            options.attributes = .kept
            let root = try await node.add([base.path + "/f"], options).roots[0].cid
            try await node.get("/ipfs/\(root)", to: base.path + "/g")
            #expect(try base.mode("g") == 0o750)
            let back = try FileManager.default.attributesOfItem(atPath: base.path + "/g")
            #expect(back[.modificationDate] as? Date == date)
        }
    }
}

/// Collects what observers are told, from any thread.
final class Told: Sendable {
    private let state = NSLock()
    private nonisolated(unsafe) var all: [String] = []  // `state` protects it.

    var paths: [String] { state.withLock { all } }
    func note(_ path: String) { state.withLock { all.append(path) } }
}
