// What the published cases leave open: hosts, errors in the form a client takes, service workers,
// routing, and content that misbehaves.

import HTTPTypes
import IPLD
import Multiformats
import NIOCore
import Testing
import Weft
import Wire

@testable import Gateway

@Suite struct GatewayTests {
    private static let name = "k51qzi5uqu5dlkw8pxuw9qmqayfdeh4kfebhmreauqdc6a7c3y7d5i9fi8mk9w"
    private static let missing = "/ipfs/QmYzfKSE55XCjD1MW128RfciAf2DViABhEiXfgVFMabSjN"

    @Test(arguments: [
        ("127.0.0.1:8080", HostRoute.path), ("[::1]:8080", .path), ("nas", .path), ("", .path),
        ("localhost:8080", .gateway(host: "localhost:8080")),
        ("bafy.ipfs.localhost:80", .subdomain(.ipfs, label: "bafy", gateway: "localhost:80")),
        ("a-b.ipns.LocalHost", .subdomain(.ipns, label: "a-b", gateway: "localhost")),
        ("a.b.ipns.localhost", .subdomain(.ipns, label: "a.b", gateway: "localhost")),
        (".ipfs.localhost", .domain(".ipfs.localhost")),
        ("docs.example.org", .domain("docs.example.org")),
    ])
    func hosts(host: String, route: HostRoute) {
        #expect(HostRoute(host, gateways: ["localhost"]) == route)
    }

    @Test(arguments: ["a.b", "en.wiki-pedia.org", "a--b.c", "x"])
    func inlinedNames(name: String) {
        #expect(InlinedName.expanded(InlinedName.inlined(name)) == name)
        #expect(!InlinedName.inlined(name).contains("."))
    }

    /// Which address others are told; one that stands for all of a machine is not told.
    @Test(
        arguments: [
            ("http://127.0.0.1:8080", "/ip4/127.0.0.1/tcp/8080/http"),
            ("http://[::1]:80/", "/ip6/::1/tcp/80/http"), ("http://0.0.0.0:80", nil),
            ("http://[::]:80", nil), ("http://a.example:80", "/dns/a.example/tcp/80/http"),
            ("https://a.example:443", nil), ("http://a.example", nil),
        ] as [(String, String?)])
    func addresses(url: String, address: String?) {
        #expect(GatewayBackend.multiaddr(of: url) == address)
    }

    /// What a web page could know its visitor by, or what the visitor has read, is none of its
    /// business; content is, and so is everything to programs.
    @Test(
        "pages of others learn nothing of the node",
        arguments: [
            ("Sec-Fetch-Site", "none", false), ("Origin", "http://localhost:1", false),
            ("Origin", "https://evil.example", true), ("Sec-Fetch-Site", "cross-site", true),
            ("Host", "evil.example", true), ("Sec-Fetch-Site", "same-origin", true),
        ] as [(String, String, Bool)])
    func foreignPages(field: String, value: String, isForeign: Bool) async throws {
        var options = GatewayOptions()
        options.isPersonal = true
        var backend = try Fixtures().backend
        let id = PeerID(PrivateKey.generateEd25519().publicKey)
        backend.ownAddresses = { (id, ["/ip4/127.0.0.1/tcp/1/http"]) }
        backend.has = { _ in true }
        backend.exposition = { "weft_store_bytes 1\n" }
        let gateway = try Gateway(backend, options: options)
        for path in ["/metrics", "/routing/v1/providers/bafkqaaa", "/routing/v1/peers/\(id)"] {
            var head = HTTPRequest(
                method: .get, scheme: "http", authority: field == "Host" ? value : "127.0.0.1:8080",
                path: path)
            if field != "Host" {
                head.headerFields[try #require(HTTPField.Name(field))] = value
            }
            let response = await gateway.respond(to: Gateway.Incoming(head))
            let text = String(buffer: try await response.body.collect(upTo: 1 << 16))
            let isTold = text.contains("\(id)") || text.contains("weft_store_bytes")
            #expect(isTold == !isForeign, "\(path): \(text)")
            if path == "/metrics", !isForeign {
                #expect(response.headers[.accessControlAllowOrigin] == nil)
            }
        }
    }

    @Test func errorsAsClientsTakeThem() async throws {
        let table = Table(gateway: try Fixtures().gateway())
        await table.run([
            Case(
                "text", Self.missing,
                [.status(404), .header("Content-Type", "text/plain; charset=utf-8")]),
            Case(
                "page", Self.missing, [("Accept", "text/html,*/*")],
                [.status(404), .headerHas("Content-Type", "text/html"), .has("<h1>404")]),
            Case(
                "JSON", Self.missing, [("Accept", "application/json")],
                [.status(404), .has("{\"status\":404,\"message\":\"")]),
            Case("HEAD", .head, Self.missing, [.status(404), .body([])]),
            Case(
                "markup", "/ipfs/%3Cscript%3E", [("Accept", "text/html")],
                [.status(400), .lacks("<script>")]),
            Case("method", .delete, Self.missing, [.status(405), .headerExists("Allow")]),
            Case("format", "\(Self.missing)?format=zip", [.status(400)]),
            Case("nowhere", "/etc/passwd", [.status(404), .lacks("root")]),
            Case("up", "/ipfs/bafkqaaa/../../etc/passwd", [.status(400)]),
            Case("landing", "/", [.status(200), .has("Weft gateway")]),
            Case("empty", "/ipfs/bafkqaaa", [.status(200), .body([])]),
            Case(
                "service worker", "/ipfs/bafkqaaa", [("Service-Worker", "script")],
                [.status(400)]),
            Case(
                "range beyond", "/ipfs/bafkqabtimvwgy3yk", [("Range", "bytes=9-")],
                [.status(416), .header("Content-Range", "bytes */6")]),
            Case(
                "if-range of something else", "/ipfs/bafkqabtimvwgy3yk",
                [("Range", "bytes=1-2"), ("If-Range", "\"other\"")],
                [.status(200), .text("hello\n")]),
        ])
    }

    @Test func downloads() async throws {
        let table = Table(gateway: try Fixtures().gateway())
        let path = "/ipfs/bafkqabtimvwgy3yk"
        await table.run([
            Case("none", path, [.headerAbsent("Content-Disposition")]),
            Case(
                "name", "\(path)?filename=a.pdf",
                [
                    .header("Content-Disposition", "inline; filename=\"a.pdf\""),
                    .header("Content-Type", "application/pdf"),
                ]),
            Case(
                "download", "\(path)?download=true",
                [
                    .header(
                        "Content-Disposition",
                        "attachment; filename=\"bafkqabtimvwgy3yk\"")
                ]),
            Case(
                "location", path, [("Accept", "application/vnd.ipld.raw")],
                [.header("Content-Location", "\(path)?format=raw")]),
            Case("no location", "\(path)?format=raw", [.headerAbsent("Content-Location")]),
        ])
    }

    @Test func routing() async throws {
        let fixtures = try Fixtures()
        let archive = try fixtures.archive("gateway-cache/fixtures.car")
        let peer = try PeerID(text: "12D3KooWLQzUv2FHWGVPXTXSZpdHs7oHbXub2G5WC8Tx4NQhyd2d")
        var backend = fixtures.backend
        backend.ownAddresses = {
            (peer, ["/ip4/127.0.0.1/tcp/80/http", "/dns4/a.example/tcp/443/tls/http"])
        }
        let table = Table(gateway: try Gateway(backend))
        let providers = "/routing/v1/providers/\(archive.root)"
        let none = "{\"Providers\":[]}"
        await table.run([
            Case(
                "has it", providers,
                [
                    .status(200), .header("Content-Type", "application/json"),
                    .has("{\"Providers\":[{\"Schema\":\"peer\",\"ID\":\"\(peer)\""),
                    .has("/dns4/a.example/tcp/443/tls/http"),
                ]),
            Case(
                "as lines", providers, [("Accept", "application/x-ndjson")],
                [.header("Content-Type", "application/x-ndjson"), .has("}\n")]),
            Case(
                "addresses", "\(providers)?filter-addrs=tls,!ip4",
                [.has("a.example"), .lacks("127.0.0.1")]),
            Case(
                "protocols", "\(providers)?filter-protocols=transport-bitswap",
                [.text(none)]),
            Case(
                "has it not",
                "/routing/v1/providers/QmYzfKSE55XCjD1MW128RfciAf2DViABhEiXfgVFMabSjN",
                [.status(200), .text(none)]),
            Case("no CID", "/routing/v1/providers/nonsense", [.status(422)]),
            Case("no peer", "/routing/v1/peers/nonsense", [.status(422)]),
            Case(
                "how long it holds", providers,
                [
                    .headerHas("Cache-Control", "stale-if-error="), .headerExists("Last-Modified"),
                    .header("Vary", "Accept"),
                ]),
            // Names of protocols count, not what stands between them.
            Case("no protocol", "\(providers)?filter-addrs=a.example", [.text(none)]),
            Case("case", "\(providers)?filter-addrs=TLS", [.has("a.example")]),
            // Addresses that a filter removes are not unknown ones.
            Case("known", "\(providers)?filter-addrs=unknown,quic-v1", [.text(none)]),
            Case(
                "one of several protocols",
                "\(providers)?filter-protocols=unknown,Transport-IPFS-Gateway-HTTP",
                [.has("transport-ipfs-gateway-http")]),
            Case("itself", "/routing/v1/peers/\(peer)", [.status(200), .has("\(peer)")]),
            Case("others", "/routing/v1/peers/\(Self.name)", [.text("{\"Peers\":[]}")]),
        ])
    }

    @Test func routingOfNames() async throws {
        let table = Table(gateway: try Gateway(try Fixtures().backend))
        let stranger = PeerID(PrivateKey.generateEd25519().publicKey)
        let name = Self.name
        await table.run([
            Case(
                "record", "/routing/v1/ipns/\(name)",
                [.status(200), .header("Content-Type", "application/vnd.ipfs.ipns-record")]),
            Case("no name", "/routing/v1/ipns/\(stranger.ipnsName)x", [.status(400)]),
            // The specification's "no record found".
            Case(
                "no record", "/routing/v1/ipns/\(stranger.ipnsName)",
                [.status(200), .header("Content-Type", "text/plain; charset=utf-8")]),
            Case(
                "another form", "/routing/v1/ipns/\(name)", [("Accept", "text/html")],
                [.status(406), .has("application/vnd.ipfs.ipns-record")]),
            Case("elsewhere", "/routing/v1/nonsense/a", [.status(400)]),
            Case("nothing", "/routing/v1/providers", [.status(400)]),
            Case("DHT", "/routing/v1/dht/closest/peers/\(name)", [.status(501)]),
            Case("no key", "/routing/v1/dht/closest/peers/nonsense", [.status(422)]),
            Case("method", .put, "/routing/v1/providers/\(name)", [.status(501)]),
            Case("publishing", .put, "/routing/v1/ipns/\(name)", [.status(501)]),
        ])
    }

    /// A folder of thousands of entries, sharded: all are listed, by name as long as sorting them
    /// needs little memory.
    @Test(arguments: [10_000, 20_500]) func largeListing(count: Int) async throws {
        var blocks = MemoryBlocks()
        let leaf = blocks.add(Array("x".utf8), .raw)
        var builder = DirectoryBuilder(.v1_2025)
        for index in 0..<count {
            let name = Array("file-\(100_000 + index)-that-takes-some-room.txt".utf8)
            try builder.add(name, DAGEntry(cid: leaf, tsize: 1, contentSize: 1))
        }
        let entry = try builder.finish()
        while let block = builder.nextBlock() { blocks.add(block) }
        let frozen = blocks
        let gateway = try Gateway(
            GatewayBackend(
                source: { _, _, _ in frozen },
                resolve: { _, _, _ in throw FetchError(.notFound, "no names here") }))
        let answer = await Table(gateway: gateway).answer(
            Case("", "/ipfs/\(entry.cid)/", []))
        #expect(answer.status == 200)
        let page = String(decoding: answer.body, as: UTF8.self)
        let numbers = page.utf8.split(separator: Array(">file-".utf8)).dropFirst()
            .map { String(decoding: $0.prefix(6), as: UTF8.self) }
        #expect(numbers.count == count)
        #expect(Set(numbers).count == count)
        #expect((numbers == numbers.sorted()) == (count <= 20_000))
        #expect(page.hasSuffix("</html>\n"))
    }

    /// What a person sees of names that are made to mislead, and what a screen reader needs.
    @Test func listingForPeople() async throws {
        var blocks = MemoryBlocks()
        let leaf = blocks.add(Array("x".utf8), .raw)
        let inner = blocks.add([0x0a, 0x02, 0x08, 0x01], .dagPB)
        var builder = DirectoryBuilder(.v1_2025)
        for name in ["a\u{202e}txt.exe", "<b>.txt", "Ελληνικά 🎉", "line\nbreak"] {
            try builder.add(Array(name.utf8), DAGEntry(cid: leaf, tsize: 1, contentSize: 1))
        }
        let folder = DAGEntry(cid: inner, tsize: 1, contentSize: 0)
        try builder.add(Array("v1.2 of the folder".utf8), folder)
        let entry = try builder.finish()
        while let block = builder.nextBlock() { blocks.add(block) }
        let frozen = blocks
        let gateway = try Gateway(
            GatewayBackend(
                source: { _, _, _ in frozen },
                resolve: { _, _, _ in throw FetchError(.notFound, "no names here") }))
        await Table(gateway: gateway).run([
            Case(
                "listing", "/ipfs/\(entry.cid)/",
                [
                    .has("<html lang=\"en\">"), .has("<title>Index of /ipfs/\(entry.cid)</title>"),
                    .has("name=\"viewport\""), .has("<th scope=\"col\">Name</th>"),
                    .has(">a\u{fffd}txt.exe</a>"), .has("/a%E2%80%AEtxt.exe\""),
                    .has(">line\u{fffd}break</a>"), .has(">&lt;b&gt;.txt</a>"),
                    .has(">Ελληνικά 🎉</a>"), .lacks("\u{202e}"),
                    .has("<use href=\"#dir\"/></svg></td><td><a href=\"/ipfs/\(entry.cid)/v1.2"),
                ])
        ])
    }

    /// Blocks that break their format are errors of the content, never of the process.
    @Test func damagedContent() async throws {
        var blocks = MemoryBlocks()
        let noise = blocks.add([0x0a, 0x80, 0x01], .dagPB)
        let bareNode = blocks.add([], .dagPB)
        let cbor = blocks.add([0xff, 0x00], .dagCBOR)
        let odd = blocks.add([1, 2, 3], Codec(rawValue: 0x78))
        let frozen = blocks
        let gateway = try Gateway(
            GatewayBackend(
                source: { _, _, _ in frozen },
                resolve: { _, _, _ in throw FetchError(.notFound, "no names here") }))
        let table = Table(gateway: gateway)
        await table.run([
            Case("dag-pb", "/ipfs/\(noise)", [.statusIn(400...599)]),
            Case("dag-pb, below", "/ipfs/\(noise)/a", [.statusIn(400...599)]),
            Case("dag-pb, tar", "/ipfs/\(noise)?format=tar", [.statusIn(400...599)]),
            Case("dag-pb, raw", "/ipfs/\(noise)?format=raw", [.status(200)]),
            Case("no UnixFS", "/ipfs/\(bareNode)", [.statusIn(400...599)]),
            Case("dag-cbor", "/ipfs/\(cbor)", [("Accept", "text/html")], [.status(500)]),
            Case("dag-cbor, checked", "/ipfs/\(cbor)?format=dag-cbor", [.status(500)]),
            Case("unknown codec", "/ipfs/\(odd)", [.status(406)]),
            Case("unknown codec, raw", "/ipfs/\(odd)?format=raw", [.status(200)]),
            Case("unknown codec, below", "/ipfs/\(odd)/a", [.status(501)]),
        ])
    }
}
