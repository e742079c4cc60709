// redirects_file of ipfs/gateway-conformance, restated: what a site's `_redirects` file does.

import HTTPTypes
import IPLD
import Multiformats
import Testing

@testable import Gateway

@Suite struct RedirectConformance {
    let fixtures: Fixtures
    let table: Table

    init() throws {
        fixtures = try Fixtures()
        table = Table(gateway: try fixtures.gateway())
    }

    private func host(_ folder: String) async throws -> String {
        let cid = try await fixtures.archive("redirects_file/redirects.car").cid(folder)
        return "\(cid.text(in: .base32)).ipfs.example.com"
    }

    @Test func rules() async throws {
        let archive = try fixtures.archive("redirects_file/redirects.car")
        let host = try await host("examples")
        func moved(_ status: Int, _ location: String) -> [Check] {
            [.status(status), .header("Location", location)]
        }
        var cases = [
            Case("default", host: host, "/redirect-one", moved(301, "/one.html")),
            Case("301", host: host, "/301-redirect-one", moved(301, "/one.html")),
            Case("302", host: host, "/302-redirect-two", moved(302, "/two.html")),
            Case("200", host: host, "/200-index", [.status(200), .has("my index")]),
            Case(
                "placeholders", host: host, "/posts/2022/01/01/hello-world",
                moved(301, "/articles/2022/01/01/hello-world")),
            Case(
                "splat", host: host, "/splat/one.html", moved(301, "/redirected-splat/one.html")),
            Case("catch-all", host: host, "/catch-all", [.status(200), .has("my index")]),
        ]
        for (folder, status) in [("not-found", 404), ("gone", 410), ("unavail", 451)] {
            let page = try await archive.cid("examples", "\(status).html")
            cases.append(
                Case(
                    "custom \(status)", host: host, "/\(folder)/has-no-redirects-entry",
                    [
                        .status(status), .header("Etag", "\"\(page)\""),
                        .header("Cache-Control", "public, max-age=29030400, immutable"),
                        .has("my \(status)"),
                    ]))
        }
        await table.run(cases)
    }

    @Test func files() async throws {
        await table.run([
            Case(
                "unknown status", host: try await host("forced"), "/not-found",
                [.status(500), .has("could not parse _redirects:")]),
            Case(
                "too large", host: try await host("too-large"), "/not-found",
                [
                    .status(500), .has("could not parse _redirects:"),
                    .has("redirects file size cannot exceed"),
                ]),
            Case(
                "CRLF", host: try await host("newlines"), "/redirect-one",
                [.status(301), .header("Location", "/one.html")]),
            Case(
                "good codes", host: try await host("good-codes"), "/a301",
                [.status(301), .header("Location", "/b301")]),
            Case(
                "bad codes do not matter to what exists", host: try await host("bad-codes"),
                "/found.html",
                [.status(200), .has("my found"), .lacks("unsupported redirect status")]),
        ])
    }

    @Test func domains() async throws {
        let host = "dnslink-redirects-examples.example.org"
        await table.run([
            Case(
                "redirect", host: host, "/redirect-one",
                [.status(301), .header("Location", "/one.html")]),
            Case(
                "custom 404", host: host, "/not-found/has-no-redirects-entry",
                [
                    .status(404),
                    .header("Etag", "\"Qmd9GD7Bauh6N2ZLfNnYS3b7QVAijbud83b8GE8LPMNBBP\""),
                    .headerLacks("Cache-Control", "immutable"), .has("my 404"),
                ]),
        ])
    }

    @Test func knownPages() async throws {
        let archive = try fixtures.archive("redirects_file/redirects-spa.car")
        let index = try await archive.block("index.html")
        let domain = "dnslink-enabled-with-spa.example.org"
        for host in [
            "\(archive.root.text(in: .base32)).ipfs.example.com",
            "\(InlinedName.inlined(domain)).ipns.example.com", domain,
        ] {
            let html = ("Accept", "text/html")
            let item = Case("", host: host, "/missing-page", [html], [])
            let tag = try #require(await table.answer(item).headers[.eTag])
            await table.run([
                Case("page", host: host, "/missing-page", [html], [.status(200), .body(index)]),
                Case(
                    "known page", host: host, "/missing-page", [html, ("If-None-Match", tag)],
                    [.status(304)]),
            ])
        }
    }
}
