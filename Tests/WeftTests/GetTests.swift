// Writing content to disk: nothing leaves the target, whatever the content says.

import Foundation
import IPLD
import Multiformats
import NIOCore
import Testing

@testable import Weft

@Suite struct GetTests {
    /// A directory with whatever names, as no builder makes it.
    private func directory(_ links: [(String, CID)], in node: Node) async throws -> CID {
        var folder = PBNode(
            links: links.map { PBLink($0.1, name: Array($0.0.utf8), tsize: 1) },
            data: UnixFSNode(.directory).encoded())
        folder.sortLinks()
        return try await node.putBlock(ByteBuffer(bytes: folder.encoded()), codec: .dagPB)
    }

    private func file(_ text: String, in node: Node) async throws -> CID {
        try await node.putBlock(ByteBuffer(string: text))
    }

    private func link(to target: String, in node: Node) async throws -> CID {
        let link = Profile.v1_2025.symlink(to: Array(target.utf8))
        return try await node.putBlock(ByteBuffer(bytes: link.block.bytes), codec: .dagPB)
    }

    @Test(
        "Names that lead elsewhere are refused before anything is written",
        arguments: ["..", ".", "", "a/b", "../evil", "/etc/evil", "a\u{0}b"])
    func names(name: String) async throws {
        try await withNode { node, base in
            let root = try await directory([(name, file("x", in: node))], in: node)
            await #expect(throws: (any Error).self) {
                try await node.get("\(root)", to: base.path + "/out")
            }
            #expect(try Set(Files.names(in: base.path)) == ["out", "repository"])
            #expect(try Files.names(in: base.path + "/out").isEmpty)
        }
    }

    @Test("The folder itself refuses such names too", arguments: ["..", ".", "", "a/b", "a\u{0}b"])
    func folderNames(name: String) throws {
        let base = try TemporaryDirectory()
        let folder = try ExportFolder(named: base.path)
        #expect(throws: ExportError.badName(folder: base.path, name: name)) {
            try folder.folder(Array(name.utf8))
        }
        #expect(throws: ExportError.badName(folder: base.path, name: name)) {
            try folder.link(Array(name.utf8), to: [0x61], FileMetadata(), .replaced)
        }
    }

    @Test("A link and then a folder of the same name do not lead out of the target")
    func linkThenFolder() async throws {
        try await withNode { node, base in
            try base.write("outside/keep", [1])
            let inner = try await directory([("evil", file("x", in: node))], in: node)
            let out = try await link(to: base.path + "/outside", in: node)
            let root = try await directory([("d", out), ("d", inner)], in: node)
            await #expect(throws: (any Error).self) {
                try await node.get("\(root)", to: base.path + "/out")
            }
            #expect(try Files.names(in: base.path + "/outside") == ["keep"])
        }
    }

    @Test("Links that are in the target already are neither followed nor written through")
    func existingLinks() async throws {
        try await withNode { node, base in
            try base.write("outside/f", [1])
            try base.write("out/keep", [1])
            for name in ["sub", "f"] {
                let target = name == "f" ? "/outside/f" : "/outside"
                try FileManager.default.createSymbolicLink(
                    atPath: base.path + "/out/" + name, withDestinationPath: base.path + target)
            }
            var options = GetOptions()
            options.existing = .replaced
            let sub = try await directory([("evil", file("x", in: node))], in: node)
            let root = try await directory([("sub", sub)], in: node)
            await #expect(throws: ExportError.notAFolder(base.path + "/out/sub")) {
                try await node.get("\(root)", to: base.path + "/out", options)
            }
            // A file takes the place of the link, and what the link led to stays as it was.
            let other = try await directory([("f", file("new", in: node))], in: node)
            try await node.get("\(other)", to: base.path + "/out", options)
            let tree = try RandomTree.read(base.path)
            #expect(tree["out/f"] == .file(Array("new".utf8)))
            #expect(tree["outside/f"] == .file([1]))
            #expect(tree["outside/evil"] == nil)
        }
    }

    @Test("Nothing is overwritten unless that is asked for; a broken get leaves no part behind")
    func overwriting() async throws {
        try await withNode { node, base in
            try base.write("f", [1])
            let cid = try await file("new", in: node)
            await #expect(throws: ExportError.exists(base.path + "/f")) {
                try await node.get("\(cid)", to: base.path + "/f")
            }
            var options = GetOptions()
            options.existing = .replaced
            try await node.get("\(cid)", to: base.path + "/f", options)
            #expect(try RandomTree.read(base.path)["f"] == .file(Array("new".utf8)))

            // A file whose second leaf is missing.
            var builder = FileBuilder(.v1_2025)
            builder.add(DAGEntry(cid: cid, tsize: 3, contentSize: 3))
            let missing = EncodedBlock(Array("gone".utf8), codec: .raw)
            builder.add(DAGEntry(cid: missing.cid, tsize: 4, contentSize: 4))
            let root = builder.finish().cid
            while let block = builder.nextBlock() {
                _ = try await node.putBlock(ByteBuffer(bytes: block.bytes), codec: .dagPB)
            }
            await #expect(throws: BlockUnavailable.self) {
                try await node.get("\(root)", to: base.path + "/g")
            }
            #expect(try Set(Files.names(in: base.path)) == ["f", "repository"])
        }
    }

    @Test("Links come back as they were, wherever they lead")
    func links() async throws {
        try await withNode { node, base in
            let root = try await directory(
                [("l", link(to: "../../etc/passwd", in: node))], in: node)
            try await node.get("\(root)", to: base.path + "/out")
            #expect(try RandomTree.read(base.path + "/out") == ["l": .link("../../etc/passwd")])
        }
    }

    @Test("A file that is not complete is not there, and one that is replaces only what it may")
    func partialFiles() async throws {
        try await withNode { _, base in
            let path = base.path + "/out"
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true)
            let folder = try ExportFolder(named: path)
            func write(_ text: String, _ existing: GetOptions.Existing?) throws {
                let file = try folder.newFile()
                try file.write(ByteBuffer(string: text))
                #expect(!(try Files.names(in: path)).contains("a") || existing != nil)
                if let existing {
                    try file.complete(as: Array("a".utf8), FileMetadata(), existing)
                }
            }
            try write("given up", nil)
            #expect(try Files.names(in: path).isEmpty)
            try write("first", .kept)
            #expect(throws: ExportError.self) { try write("second", .kept) }
            #expect(try String(contentsOfFile: path + "/a", encoding: .utf8) == "first")
            try write("third", .replaced)
            #expect(try String(contentsOfFile: path + "/a", encoding: .utf8) == "third")
            #expect(try Files.names(in: path) == ["a"])
        }
    }
}
