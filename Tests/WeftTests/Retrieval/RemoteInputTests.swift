// What strangers send is read piece by piece: however it is cut, the right blocks come out;
// however it is broken, nothing wrong comes out and nothing crashes.

import BlockStore
import Cryptography
import IPLD
import Multiformats
import NIOCore
import Testing
import Wire

@testable import Weft

@Suite struct RemoteInputTests {
    static let file = TestFile(leaves: 10, leafSize: 300)

    private static let archive: [UInt8] = {
        let sections = (try? file.sections(of: file.root, scope: .all)) ?? []
        return CAR.header(roots: [file.root]) + sections.flatMap(\.encoded)
    }()

    /// Feeds an archive in pieces and answers the blocks that came out.
    private func read(
        _ bytes: [UInt8], pieces: Int = 64, root: CID = file.root
    ) throws(Fault) -> [CID] {
        var intake = CARIntake(root: root)
        var blocks: [CID] = []
        var start = 0
        while start < bytes.count {
            let end = min(bytes.count, start + pieces)
            intake.feed(ByteBuffer(bytes: bytes[start..<end]))
            start = end
            reading: while true {
                switch try intake.next() {
                case .starved: break reading
                case .end: return blocks
                case .block(let block, _): blocks.append(block.cid)
                }
            }
        }
        try intake.finish()
        return blocks
    }

    @Test(arguments: [1, 7, 64, 1000, 100_000]) func pieces(_ count: Int) throws {
        #expect(try read(Self.archive, pieces: count).count == Self.file.blocks.count)
    }

    /// An archive that ends early is noticed, except between two sections, where the schedule
    /// notices that a wanted block did not come.
    @Test func truncations() throws {
        var whole = 0
        for count in 1..<Self.archive.count {
            do throws(Fault) {
                _ = try read(Array(Self.archive.prefix(count)))
                whole += 1
            } catch {
                guard case .truncated = error else {
                    Issue.record("\(count): \(error)")
                    return
                }
            }
        }
        #expect(whole <= Self.file.blocks.count)
    }

    /// Every changed byte is either refused or without effect on the blocks that come out.
    @Test func damage() {
        var generator = SeededGenerator(seed: 7)
        for _ in 0..<3000 {
            var bytes = Self.archive
            let place = Int.random(in: 0..<bytes.count, using: &generator)
            bytes[place] ^= UInt8.random(in: 1...255, using: &generator)
            // A block that comes out has been verified; that it ends is what is tested here.
            let blocks = try? read(bytes, pieces: 200)
            for cid in blocks ?? [] { #expect(Self.file.blocks[cid.hash] != nil) }
        }
    }

    /// A right block that nothing leads to is refused: it could fill our disk with anything.
    @Test func foreignBlocks() {
        let other = TestFile(leaves: 2, leafSize: 100, seed: 99)
        #expect(throws: Fault.self) { try read(Self.archive, root: other.root) }
    }

    /// The HTTP addresses in a router's answer that comes in pieces.
    private func providers(
        _ answer: some Sequence<UInt8>, isLines: Bool = false, pieces: Int = .max
    ) throws -> [String] {
        var reader = RoutingAnswer(isLines: isLines)
        var found: [String] = []
        var rest = ByteBuffer(bytes: answer)
        while let piece = rest.readSlice(length: min(pieces, rest.readableBytes)),
            piece.readableBytes > 0
        {
            try reader.take(piece) { found += $0.map(\.base) }
        }
        try reader.end { found += $0.map(\.base) }
        return found
    }

    /// Routers' answers: what is no provider is passed over, noise is refused.
    @Test func routing() throws {
        let answer = """
            {"Providers":[{"Schema":"peer","Addrs":\
            ["/dns/a.example/tcp/443/tls/http","/ip4/1.2.3.4/udp/1"]},\
            {"Schema":"other","Addrs":["/dns/b.example/tcp/443/tls/http"]},\
            {"Schema":"peer"},17,null]}
            """
        let bytes = Array(answer.utf8)
        #expect(try providers(bytes) == ["https://a.example"])
        #expect(try providers("{}".utf8).isEmpty)
        for count in 0..<bytes.count {
            #expect(throws: (any Error).self) { try providers(bytes.prefix(count)) }
        }
    }

    /// A line is a line however it is cut, the last one without its end too; too much is refused.
    @Test func routingLines() throws {
        let lines = ["a", "b", "c"].map { name in
            #"{"Schema":"peer","Addrs":["/dns/\#(name).example/tcp/443/tls/http"]}"#
        }
        let answer = lines.joined(separator: "\r\n\r\n")
        for pieces in 1...answer.utf8.count {
            #expect(
                try providers(answer.utf8, isLines: true, pieces: pieces)
                    == ["https://a.example", "https://b.example", "https://c.example"])
        }
        let long = repeatElement(UInt8(ascii: "\n"), count: RoutingAnswer.maxBytes + 1)
        #expect(throws: Fault.self) { try providers(long, isLines: true, pieces: 1 << 16) }
    }
}

@Suite struct FetchURLTests {
    @Test(arguments: [
        ("ipfs://bafkqaaa/a%20b?format=raw#x", "ipfs://bafkqaaa/a%20b?format=raw"),
        ("/ipfs/bafkqaaa/", "ipfs://bafkqaaa/"), ("IPNS://a.example", "ipns://a.example"),
        ("HTTPS://a.example/x?y#z", "https://a.example/x?y"),
    ])
    func urls(_ text: String, _ expected: String) throws {
        #expect(try FetchURL(text).text == expected)
    }

    @Test(arguments: [
        ("ipfs://bafkqaaa/dir", "/ipfs/bafkqaaa/dir/", "ipfs://bafkqaaa/dir/"),
        ("ipfs://bafkqaaa/dir", "/other", "ipfs://bafkqaaa/other"),
        ("https://a.example/x", "/y", "https://a.example/y"),
        ("https://a.example/x", "https://b.example/", "https://b.example/"),
    ])
    func redirects(_ text: String, _ location: String, _ expected: String) throws {
        #expect(try FetchURL(text).redirected(to: location).text == expected)
    }

    @Test(arguments: ["", "ipfs://", "ipfs://bafkqaaa/../x", "/x", "javascript://x"])
    func refused(_ text: String) {
        #expect(throws: FetchError.self) { try FetchURL(text) }
    }
}

@Suite struct IntegrityTests {
    /// The strongest function that is named counts, as in browsers.
    @Test func strongest() throws {
        let (one, two): ([UInt8], [UInt8]) = ([1], [2])
        let weak = Multibase.base64Pad.encode(SHA256.hash(one.span.bytes)).dropFirst()
        let strong = Multibase.base64Pad.encode(SHA512.hash(two.span.bytes)).dropFirst()
        let integrity = try Integrity("sha256-\(weak) sha512-\(strong) md5-x")
        guard case .hashes(let hashes) = integrity else {
            Issue.record("no hashes")
            return
        }
        #expect(hashes.map(\.function) == [.sha512])
        #expect(!hashes[0].matches(ByteBuffer(bytes: [1])))
        #expect(hashes[0].matches(ByteBuffer(bytes: [2])))
    }

    @Test(arguments: ["", "sha256-", "sha256-AAAA", "sha1-AAAA", "nonsense", "sha256-!!!"])
    func refused(_ text: String) {
        #expect(throws: FetchError.self) { try Integrity(text) }
    }
}
