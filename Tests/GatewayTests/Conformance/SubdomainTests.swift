// subdomain_gateway_ipfs, subdomain_gateway_ipns and subdomain_gateway_proxy of
// ipfs/gateway-conformance, restated: content roots with origins of their own.

import IPLD
import Multiformats
import Testing

@testable import Gateway

@Suite struct SubdomainConformance {
    let fixtures: Fixtures
    let table: Table

    init() throws {
        fixtures = try Fixtures()
        table = Table(gateway: try fixtures.gateway())
    }

    @Test func listings() async throws {
        let archive = try fixtures.archive("dir_listing/fixtures.car")
        let file = try await archive.cid("ą", "ę", "file-źł.txt")
        let root = archive.root
        let host = "\(root).ipfs.example.com"
        await table.run([
            Case(
                "no link above the root", host: host, "/",
                [.has("Index of"), .lacks("<a href=\"/\">..</a>")]),
            Case(
                "redirect to the slash", host: host, "/ą/ę",
                [.status(301), .header("Location", "/%C4%85/%C4%99/")]),
            Case(
                "listing", host: host, "/ą/ę/",
                [
                    .headerHas("Etag", "\"DirIndex-"), .has("Index of"),
                    .has("<a href=\"/%C4%85/%C4%99/..\">..</a>"),
                    .has(
                        "/ipfs/<a href=\"//example.com/ipfs/\(root)\">\(root)</a>/"
                            + "<a href=\"//example.com/ipfs/\(root)/%C4%85\">ą</a>/"
                            + "<a href=\"//example.com/ipfs/\(root)/%C4%85/%C4%99\">ę</a>"),
                    .has("<a href=\"/%C4%85/%C4%99/file-%C5%BA%C5%82.txt\">file-źł.txt</a>"),
                    .has(
                        "<a class=\"ipfs-hash\" translate=\"no\" href=\"//example.com/ipfs/"
                            + "\(file)?filename=file-%25C5%25BA%25C5%2582.txt\">"),
                ]),
        ])
    }

    @Test func redirects() async throws {
        let archive = try fixtures.archive("subdomain_gateway/fixtures.car")
        let folder = try await archive.cid("testdirlisting")
        let v1 = try await archive.cid("hello-CIDv1")
        let v0 = try await archive.cid("hello-CIDv0")
        let long = try await archive.cid("hello-CIDv1_TOO_LONG")
        let escaped = try fixtures.archive(
            "path_gateway_unixfs/dir-with-percent-encoded-filename.car"
        ).root
        let wikipedia = "QmXoypizjW3WknFiJnKLwHCnL72vedxjQkDDP1mXWo6uco"
        func moved(_ location: String) -> [Check] {
            [.status(301), .header("Location", location)]
        }
        func forwarded(_ host: String?, _ scheme: String?) -> [(String, String)] {
            (host.map { [("X-Forwarded-Host", $0)] } ?? [])
                + (scheme.map { [("X-Forwarded-Proto", $0)] } ?? [])
        }
        let home = "example.com"
        let here = moved("http://\(v1).ipfs.example.com/")
        let secure = moved("https://\(v1).ipfs.example.com/")
        await table.run([
            Case("CIDv1", host: home, "/ipfs/\(v1)/", here),
            Case(
                "escaped path", host: home,
                "/ipfs/\(escaped)/Portugal%252C+España=Peninsula%20Ibérica.txt",
                moved(
                    "http://\(escaped).ipfs.example.com/"
                        + "Portugal%252C+Espa%C3%B1a=Peninsula%20Ib%C3%A9rica.txt")),
            Case(
                "directory", host: home, "/ipfs/\(folder)/",
                moved("http://\(folder).ipfs.example.com/")),
            Case(
                "CIDv0", host: home, "/ipfs/\(v0)/",
                moved("http://\(v0.text(in: .base32)).ipfs.example.com/")),
            Case(
                "invalid CID", host: home, "/ipfs/QmInvalidCID",
                [.status(400), .has("invalid path \"/ipfs/QmInvalidCID\"")]),
            Case(
                "forwarded https", host: home, "/ipfs/\(v1)/", forwarded(nil, "https"), secure),
            Case("forwarded http", host: home, "/ipfs/\(v1)/", forwarded(nil, "http"), here),
            Case(
                "uri", host: home,
                "/ipfs/?uri=ipfs%3A%2F%2F\(wikipedia)%2Fwiki%2FDiego_Maradona.html",
                moved("/ipfs/\(wikipedia)/wiki/Diego_Maradona.html")),
            Case(
                "too long", host: home, "/ipfs/\(long)/",
                [.status(400), .has("CID incompatible with DNS label length limit of 63")]),
            Case(
                "too long, subdomain", host: "\(long).ipfs.example.com", "/",
                [.status(400), .has("CID incompatible with DNS label length limit of 63")]),
            Case("other host", host: "fake.domain.com", "/ipfs/\(v1)", [.status(200)]),
            Case(
                "forwarded host", host: "fake.domain.com", "/ipfs/\(v1)", forwarded(home, nil),
                here),
            Case(
                "forwarded host, https", host: "fake.domain.com", "/ipfs/\(v1)",
                forwarded(home, "https"), secure),
            Case(
                "forwarded host, http", host: "fake.domain.com", "/ipfs/\(v1)",
                forwarded(home, "http"), here),
        ])
    }

    @Test func content() async throws {
        let archive = try fixtures.archive("subdomain_gateway/fixtures.car")
        let folder = try await archive.cid("testdirlisting")
        let file = try await archive.cid("hello-CIDv1")
        let hello = try await archive.block("hello-CIDv1")
        let v0 = try await archive.cid("hello-CIDv0")
        let inFile = "\(file).ipfs.example.com"
        let inFolder = "\(folder).ipfs.example.com"
        await table.run([
            Case("file", host: inFile, "/", [.status(200), .body(hello)]),
            Case("no path gateway below", host: inFile, "/ipfs/\(file)/", [.status(404)]),
            Case(
                "folder named ipfs", host: inFolder, "/ipfs/file.txt",
                [.status(200), .has("I am a txt file")]),
            Case(
                "listing", host: inFolder, "/",
                [
                    .status(200), .has("<a href=\"/hello\">hello</a>"),
                    .has("<a href=\"/ipfs\">ipfs</a>"),
                ]),
            Case(
                "deep listing", host: inFolder, "/ipfs/ipns/",
                [
                    .status(200), .has("<a href=\"/ipfs/ipns/..\">..</a>"),
                    .has("<a href=\"/ipfs/ipns/bar\">bar</a>"), .has("Index of"),
                    .has(
                        "/ipfs/<a href=\"//example.com/ipfs/\(folder)\">\(folder)</a>/"
                            + "<a href=\"//example.com/ipfs/\(folder)/ipfs\">ipfs</a>/"
                            + "<a href=\"//example.com/ipfs/\(folder)/ipfs/ipns\">ipns</a>"),
                ]),
            Case(
                "deep file", host: inFolder, "/ipfs/ipns/bar",
                [.status(200), .has("text-file-content")]),
            Case(
                "as a proxy", host: "127.0.0.1:8080", "http://\(inFile)",
                [.status(200), .body(hello)]),
            Case(
                "as a proxy, redirect", host: "127.0.0.1:8080",
                "http://example.com/ipfs/\(v0)/",
                [
                    .status(301),
                    .header("Location", "http://\(v0.text(in: .base32)).ipfs.example.com/"),
                ]),
            Case(
                "as a proxy, folder named ipfs", host: "127.0.0.1:8080",
                "http://\(inFolder)/ipfs/file.txt", [.status(200), .has("I am a txt file")]),
        ])
    }

    @Test(arguments: [
        "QmVujd5Vb7moysJj8itnGufN7MEtPRCNHkKpNuA4onsRa3",
        "12D3KooWLQzUv2FHWGVPXTXSZpdHs7oHbXub2G5WC8Tx4NQhyd2d",
    ])
    func keys(name: String) async throws {
        let hello = try await fixtures.archive("subdomain_gateway/fixtures.car")
            .block("hello-CIDv1")
        let peer = try PeerID(text: name)
        let canonical = peer.ipnsName
        let dagPB = CID(.dagPB, peer.hash).text(in: .base36)
        let moved: [Check] = [
            .status(301), .header("Location", "http://\(canonical).ipns.example.com/"),
        ]
        await table.run([
            Case("base58", host: "example.com", "/ipns/\(name)", moved),
            Case("base36", host: "example.com", "/ipns/\(canonical)", moved),
            Case(
                "content", host: "\(canonical).ipns.example.com", "/",
                [.status(200), .body(hello)]),
            Case("as dag-pb", host: "\(dagPB).ipns.example.com", "/", moved),
        ])
    }

    @Test func domains() async throws {
        let hello = try await fixtures.archive("subdomain_gateway/fixtures.car")
            .block("hello-CIDv1")
        let wikipedia = "en.wikipedia-on-ipfs.example.org"
        let inlined = "en-wikipedia--on--ipfs-example-org"
        let home = "example.com"
        var cases = [
            Case(
                "inlined", host: home, "/ipns/\(wikipedia)/wiki/",
                [.header("Location", "http://\(inlined).ipns.example.com/wiki/")]),
            Case(
                "inlined, https", host: home, "/ipns/\(wikipedia)/wiki/",
                [("X-Forwarded-Proto", "https")],
                [.header("Location", "https://\(inlined).ipns.example.com/wiki/")]),
            Case(
                "uri", host: home, "/ipns/?uri=ipns%3A%2F%2F\(wikipedia)",
                [.header("Location", "/ipns/\(wikipedia)")]),
        ]
        for domain in [
            "dnslink-test.example.org", "dnslink-over-ipns.example.org",
            "dnslink-over-ipns-cidv1.example.org",
        ] {
            let label = InlinedName.inlined(domain)
            cases += [
                Case(
                    domain, host: "\(domain).ipns.example.com", "/",
                    [.status(200), .body(hello)]),
                Case(
                    label, host: "\(label).ipns.example.com", "/", [.status(200), .body(hello)]),
            ]
        }
        await table.run(cases)
    }
}
