// Deny lists (specs.ipfs.tech/compact-denylist-format): the examples of the specification, and
// what a gateway answers for what they name.

import Glibc
import HTTPTypes
import Multiformats
import Testing
import Weft

@testable import Gateway

@Suite struct DenylistTests {
    private func list(_ text: String) throws -> Denylist {
        var list = Denylist()
        #expect(try list.add(text) == 0)
        return list
    }

    private func isDenied(_ list: Denylist, _ path: String) throws -> Bool {
        try list.rule(for: ContentPath(encoded: path)) != nil
    }

    @Test func roots() throws {
        let list = try list(
            "/ipfs/bafybeihvvulpp4evxj7x7armbqcyg6uezzuig6jp3lktpbovlqfkuqeuoq\n")
        let cid = try CID(text: "bafybeihvvulpp4evxj7x7armbqcyg6uezzuig6jp3lktpbovlqfkuqeuoq")
        let v0 = try #require(CID(v0: cid.hash))
        #expect(try isDenied(list, "/ipfs/\(cid)"))
        #expect(try isDenied(list, "/ipfs/\(v0)/"))
        #expect(try isDenied(list, "/ipfs/\(CID(.raw, cid.hash))"))
        #expect(try !isDenied(list, "/ipfs/\(cid)/below"))
        #expect(list.rule(for: v0) != nil)
    }

    @Test func prefixesAndExceptions() throws {
        let root = "QmUboz9UsQBDeS6Tug1U8jgoFkgYxyYood9NDyVURAY9pK"
        let list = try list(
            """
            version: 1
            name: test
            ---
            # the last rule that matches decides
            /ipfs/\(root)/blocked*
            !/ipfs/\(root)/blockednot
            +/ipfs/\(root)/blocked/not
            !/ipfs/\(root)/blocked/exceptions*
            """)
        for (path, denied) in [
            ("blocked", true), ("blocked/a", true), ("blocked2", true), ("blockednot", false),
            ("blocked/not", false), ("blocked/not/a", true), ("blocked/exceptions/a", false),
            ("other", false), ("", false),
        ] {
            #expect(try isDenied(list, "/ipfs/\(root)/\(path)") == denied, "\(path)")
        }
    }

    @Test func names() throws {
        let key = "k51qzi5uqu5dhmzyv3zac033i7rl9hkgczxyl81lwoukda2htteop7d3x0y1mf"
        let list = try list(
            "/ipns/domain.example\n/ipns/domain2.example/path\n/ipns/\(key) status:451\n")
        #expect(try isDenied(list, "/ipns/Domain.Example"))
        #expect(try !isDenied(list, "/ipns/domain2.example"))
        #expect(try isDenied(list, "/ipns/domain2.example/path"))
        let base58 = try PeerID(text: key).description
        let rule = try list.rule(for: ContentPath(encoded: "/ipns/\(base58)"))
        #expect(rule?.status == 451)
    }

    @Test func doubleHashes() throws {
        let list = try list(
            """
            //QmX9dhRcQcKUw3Ws8485T5a9dtjrSCQaUAHnG4iK9i4ceM
            //gW813G35CnLsy7gRYYHuf63hrz71U1xoLFDVeV7actx6oX
            //d9d295bde21f422d471a90f2a37ec53049fdf3e5fa3ee2e8f20e10003da429e7
            //c555c4de78827ba42527dd3dc5398db38d6c0a8c345a88e0158b2d100f317e50
            //3f8b9febd851873b3774b937cce126910699ceac56e72e64b866f8e258d09572
            """)
        let legacy = "bafybeiefwqslmf6zyyrxodaxx4vwqircuxpza5ri45ws3y5a62ypxti42e"
        let blake = "bafyb4ieqht3b2rssdmc7sjv2cy2gfdilxkfh7623nvndziyqnawkmo266a"
        for path in [
            "/ipfs/bafybeidjwik6im54nrpfg7osdvmx7zojl5oaxqel5cmsz46iuelwf5acja",
            "/ipfs/QmVTF1yEejXd9iMgoRTFDxBv7HAz9kuZcQNBzHrceuK9HR", "/ipfs/\(blake)/path",
            "/ipfs/\(legacy)", "/ipfs/\(legacy)/path", "/ipns/bad-domain-name.tld",
        ] {
            #expect(try isDenied(list, path), "\(path)")
        }
        #expect(try !isDenied(list, "/ipfs/\(blake)/path2"))
        #expect(try !isDenied(list, "/ipfs/\(legacy)/other"))
    }

    @Test func badLists() throws {
        var list = Denylist()
        #expect(throws: Denylist.Problem.self) { try list.add("version: 2\n---\n/ipfs/x") }
        #expect(try list.add("/ipfs/notacid\nnonsense\n//!!\n/ipfs/\n") == 4)
        #expect(list.isEmpty)
    }

    /// What is denied is not served in any form, and a changed file counts without a restart.
    @Test func gatewayHeedsFiles() async throws {
        let fixtures = try Fixtures()
        let archive = try fixtures.archive("gateway-cache/fixtures.car")
        let file = try await archive.cid("root2", "root3", "root4", "index.html")
        let path = try TemporaryFile("# nothing yet\n")
        let gateway = try fixtures.gateway { $0.denylistFiles = [path.name] }
        let table = Table(gateway: gateway)
        await table.run([Case("before", "/ipfs/\(file)", [.status(200)])])
        try path.write("/ipfs/\(file)\n/ipfs/\(archive.root)/root2/root3* status:451\n")
        try await gateway.refresh(nil)
        await table.run([
            Case("itself", "/ipfs/\(file)", [.status(410)]),
            Case("as a block", "/ipfs/\(file)?format=raw", [.status(410)]),
            Case(
                "below a folder", "/ipfs/\(try await archive.cid("root2", "root3"))/root4/",
                [.status(410)]),
            Case("by a law", "/ipfs/\(archive.root)/root2/root3/", [.status(451)]),
            Case("beside it", "/ipfs/\(archive.root)/root2/", [.status(200)]),
        ])
    }

    @Test func missingFilesAreErrors() throws {
        #expect(throws: DenylistError.self) {
            _ = try Fixtures().gateway { $0.denylistFiles = ["/nonexistent/list.deny"] }
        }
    }
}

/// A file that goes away with its owner.
final class TemporaryFile {
    let name: String

    init(_ text: String) throws {
        var template = Array(("/tmp/weft-test-" + String(repeating: "X", count: 6)).utf8CString)
        let file = mkstemp(&template)
        guard file >= 0 else { throw Files.Unreadable(path: "/tmp") }
        close(file)
        name = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        try write(text)
    }

    deinit { unlink(name) }

    func write(_ text: String) throws {
        guard let file = fopen(name, "w") else { throw Files.Unreadable(path: name) }
        fputs(text, file)
        fclose(file)
    }
}
