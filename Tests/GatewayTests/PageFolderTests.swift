// The program's own pages on the gateway: where they are served, and what browsers are told.

import Foundation
import HTTPTypes
import IPLD
import Testing

@testable import Gateway

@Suite struct PageFolderTests {
    /// A gateway with two pages, and things beside them that must not come out.
    private static func gateway(
        _ change: (inout GatewayOptions) -> Void = { _ in }
    ) throws -> Gateway {
        let root = FileManager.default.temporaryDirectory.appending(path: "pages-\(UUID())")
        for (name, text) in [
            ("site/index.html", "<h1>Start</h1>"), ("site/gallery/index.html", "<h1>Gallery</h1>"),
            ("site/weft-sw.js", "worker"), ("site/secret.txt", "secret"),
            ("site/.hidden.js", "secret"),
            ("dashboard/index.html", "<h1>Dashboard</h1>"), ("outside.html", "secret"),
        ] {
            let file = root.appending(path: name)
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: file)
        }
        var options = GatewayOptions()
        options.pages = PageFolder(at: root.path)
        change(&options)
        var backend = try Fixtures().backend
        backend.facts = { .object(["peer": .string("somebody")]) }
        return try Gateway(backend, options: options)
    }

    /// Pages are where each root has an origin of its own, on this machine, and nowhere else.
    @Test func hosts() async throws {
        let table = Table(gateway: try Self.gateway())
        let isPage: [Check] = [.status(200), .text("<h1>Start</h1>")]
        let isLanding: [Check] = [.status(200), .has("Weft gateway")]
        await table.run([
            Case("localhost", host: "localhost:8080", "/", isPage),
            Case("without a port", host: "localhost", "/", isPage),
            Case("content's origin", host: "127.0.0.1:8080", "/", isLanding),
            Case(
                "leads to the pages", host: "127.0.0.1:8080", "/",
                [.has("href=\"http://localhost:8080/\"")]),
            Case("IPv6", host: "[::1]:80", "/", [.has("href=\"http://localhost:80/\"")]),
            Case("another machine", host: "192.0.2.7:8080", "/", isLanding + [.lacks("localhost")]),
            Case("the worker there", host: "127.0.0.1:8080", "/weft-sw.js", [.status(404)]),
            Case("the facts there", host: "127.0.0.1:8080", "/node.json", [.status(404)]),
            Case("a root's origin", host: "bafkqaaa.ipfs.localhost", "/weft-sw.js", [.status(404)]),
            // What a page says to its own origin of another one makes it no page of this program.
            Case(
                "said of a path", host: "127.0.0.1:8080", "/node.json",
                [("X-Forwarded-Host", "localhost:8080")], [.status(404)]),
            Case(
                "said of a root", host: "bafkqaaa.ipfs.localhost:8080", "/node.json",
                [("X-Forwarded-Host", "localhost:8080")], [.lacks("somebody")]),
            Case(
                "said of a rebound name", host: "evil.example", "/node.json",
                [("X-Forwarded-Host", "localhost:8080")], [.lacks("somebody")]),
            Case(
                "asked across", host: "localhost:8080", "/node.json",
                [("Sec-Fetch-Site", "same-site")], [.status(404)]),
        ])
        let proxied = Table(gateway: try Self.gateway { $0.subdomainHosts = ["gateway.example"] })
        await proxied.run([
            Case("a public host", host: "gateway.example", "/", isLanding),
            Case("no such origins", host: "localhost:8080", "/", isLanding + [.lacks("localhost")]),
        ])
        #expect(try Self.gateway().pagesURL(of: "http://0.0.0.0:80") == "http://localhost:80/")
        #expect(try Self.gateway().pagesURL(of: "http://192.0.2.7:80") == nil)
        #expect(try Self.gateway().pagesURL(of: "http://127.0.0.2:80") == nil)
    }

    @Test func files() async throws {
        let table = Table(gateway: try Self.gateway())
        let host = "localhost:8080"
        await table.run([
            Case("folder", host: host, "/gallery/", [.status(200), .text("<h1>Gallery</h1>")]),
            Case("facts", host: host, "/node.json", [.status(200), .has("somebody")]),
            Case("query", host: host, "/?a=b", [.text("<h1>Start</h1>")]),
            Case("another kind", host: host, "/secret.txt", [.status(404)]),
            Case("hidden", host: host, "/.hidden.js", [.status(404)]),
            Case("above", host: host, "/../outside.html", [.status(404)]),
            Case("encoded", host: host, "/%2e%2e/outside.html", [.status(404)]),
            Case("the dashboard", host: host, "/../dashboard/index.html", [.status(404)]),
            Case("HEAD", .head, host: host, "/", [], [.status(200), .body([])]),
            Case("known", host: host, "/", [("If-None-Match", "*")], [.status(304), .body([])]),
            Case("POST", .post, host: host, "/", [], [.lacks("<h1>Start</h1>")]),
        ])
    }

    /// Other pages may read content, and not what is about this node; nor can they frame a page.
    @Test func headers() async throws {
        let table = Table(gateway: try Self.gateway())
        for path in ["/", "/node.json", "/weft-sw.js"] {
            await table.run([
                Case(
                    path, host: "localhost:8080", path,
                    [
                        .headerAbsent("Access-Control-Allow-Origin"),
                        .headerHas("Content-Security-Policy", "default-src 'none'"),
                        .headerHas("Content-Security-Policy", "frame-ancestors 'none'"),
                        .header("Cross-Origin-Resource-Policy", "same-origin"),
                        .header("Cross-Origin-Opener-Policy", "same-origin"),
                        .header("X-Content-Type-Options", "nosniff"),
                    ])
            ])
        }
        await table.run([
            Case(
                "content still is everybody's", host: "127.0.0.1:8080", "/ipfs/bafkqabtimvwgy3yk",
                [.header("Access-Control-Allow-Origin", "*")])
        ])
    }

    @Test func keys() throws {
        let keys = DashboardKeys()
        let now = ContinuousClock.now
        let invitation = keys.invite(now: now)
        #expect(keys.accept("something", now: now) == .unknown)
        #expect(!keys.isValid(invitation, now: now), "an invitation is no key")
        guard case .key(let key) = keys.accept(invitation, now: now) else {
            Issue.record("an invitation gives a key")
            return
        }
        #expect(keys.isValid(key, now: now) && !keys.isValid(key + "a", now: now))
        // It lasts from its last use on.
        let later = now + DashboardKeys.lifetime - .seconds(1)
        #expect(keys.isValid(key, now: later) && keys.isValid(key, now: later + .seconds(60)))
        #expect(!keys.isValid(key, now: later + .seconds(60) + DashboardKeys.lifetime))
        let old = keys.invite(now: now)
        #expect(keys.accept(old, now: now + DashboardKeys.patience) == .unknown)
        // Who comes second with an invitation takes the key of the first away.
        let seen = keys.invite(now: now)
        guard case .key(let stolen) = keys.accept(seen, now: now) else {
            Issue.record("an invitation gives a key")
            return
        }
        #expect(keys.accept(seen, now: now) == .used && !keys.isValid(stolen, now: now))
        // There are no more of them than so many; the oldest go.
        let first = keys.invite(now: now)
        for _ in 0..<DashboardKeys.most { _ = keys.invite(now: now) }
        #expect(keys.accept(first, now: now) == .unknown)
    }
}
