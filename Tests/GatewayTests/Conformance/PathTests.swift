// path_gateway_unixfs, path_gateway_raw, path_gateway_tar and path_gateway_cors of
// ipfs/gateway-conformance, restated: what a path gateway answers for files and directories.

import HTTPTypes
import IPLD
import Multiformats
import Testing

@testable import Gateway

@Suite struct PathConformance {
    let fixtures: Fixtures
    let table: Table

    init() throws {
        fixtures = try Fixtures()
        table = Table(gateway: try fixtures.gateway())
    }

    @Test func listings() async throws {
        let archive = try fixtures.archive("dir_listing/fixtures.car")
        let root = archive.root
        let file = try await archive.cid("ą", "ę", "file-źł.txt")
        await table.run([
            Case(
                "no link above the root", "/ipfs/\(root)/",
                [.has("Index of"), .lacks("<a href=\"/ipfs/\(root)/\">..</a>")]),
            Case(
                "redirect to the slash", "/ipfs/\(root)/ą/ę",
                [.status(301), .header("Location", "/ipfs/\(root)/%C4%85/%C4%99/")]),
            Case(
                "listing", "/ipfs/\(root)/ą/ę/",
                [
                    .headerHas("Etag", "\"DirIndex-"), .has("Index of"),
                    .has(
                        "/ipfs/<a href=\"/ipfs/\(root)\">\(root)</a>/<a href=\"/ipfs/\(root)"
                            + "/%C4%85\">ą</a>/<a href=\"/ipfs/\(root)/%C4%85/%C4%99\">ę</a>"),
                    .has("<a href=\"/ipfs/\(root)/%C4%85/%C4%99/..\">..</a>"),
                    .has(
                        "<a href=\"/ipfs/\(root)/%C4%85/%C4%99/file-%C5%BA%C5%82.txt\">"
                            + "file-źł.txt</a>"),
                    .has(
                        "<a class=\"ipfs-hash\" translate=\"no\" href=\"/ipfs/\(file)"
                            + "?filename=file-%25C5%25BA%25C5%2582.txt\">"),
                ]),
            Case("no such file", "/ipfs/\(root)/i-do-not-exist", [.status(404)]),
        ])
    }

    @Test func caching() async throws {
        let archive = try fixtures.archive("gateway-cache/fixtures.car")
        let root = archive.root
        let two = try await archive.cid("root2")
        let three = try await archive.cid("root2", "root3")
        let four = try await archive.cid("root2", "root3", "root4")
        let index = try await archive.cid("root2", "root3", "root4", "index.html")
        let immutable = Check.header("Cache-Control", "public, max-age=29030400, immutable")
        let base = "/ipfs/\(root)/root2/root3"
        let missing = "/ipfs/QmYzfKSE55XCjD1MW128RfciAf2DViABhEiXfgVFMabSjN"
        let local = [("Cache-Control", "only-if-cached")]
        func known(_ tag: String) -> [(String, String)] { [("If-None-Match", tag)] }
        await table.run([
            Case(
                "listing", "\(base)/",
                [
                    .status(200), .header("X-Ipfs-Path", "\(base)/"),
                    .header("X-Ipfs-Roots", "\(root),\(two),\(three)"),
                    .headerHas("Etag", "DirIndex-"), .headerHas("Etag", "_CID-\(three)"),
                    .header(
                        "Cache-Control",
                        "public, max-age=604800, stale-while-revalidate=2678400"),
                ]),
            Case(
                "index page", "\(base)/root4/",
                [
                    .status(200), immutable, .header("X-Ipfs-Path", "\(base)/root4/"),
                    .header("X-Ipfs-Roots", "\(root),\(two),\(three),\(four)"),
                    .header("Etag", "\"\(four)\""),
                ]),
            Case(
                "file", "\(base)/root4/index.html",
                [
                    .status(200), immutable,
                    .header("X-Ipfs-Path", "\(base)/root4/index.html"),
                    .header("X-Ipfs-Roots", "\(root),\(two),\(three),\(four),\(index)"),
                    .header("Etag", "\"\(index)\""),
                ]),
            Case(
                "directory as a block", "\(base)/root4/?format=raw",
                [
                    .status(200), immutable,
                    .body(try await archive.block("root2", "root3", "root4")),
                ]),
            Case("HEAD only-if-cached", .head, "\(base)/root4/?format=raw", local, [.status(200)]),
            Case("HEAD only-if-cached, missing", .head, missing, local, [.status(412)]),
            Case("only-if-cached", "\(base)/root4/?format=raw", local, [.status(200)]),
            Case("only-if-cached, missing", missing, local, [.status(412)]),
            Case("known file", "\(base)/root4/index.html", known("\"\(index)\""), [.status(304)]),
            Case("known index page", "\(base)/root4/", known("\"\(four)\""), [.status(304)]),
            Case(
                "third tag", "\(base)/root4/index.html",
                known("\"fakeEtag1\", \"fakeEtag2\", \"\(index)\""), [.status(304)]),
            Case("weak tag", "\(base)/root4/index.html", known("W/\"\(index)\""), [.status(304)]),
            Case("any tag", "\(base)/root4/index.html", known("*"), [.status(304)]),
        ])
        let listing = await table.answer(Case("listing", "\(base)/", []))
        let tag = try #require(listing.headers[.eTag])
        await table.run([
            Case("known listing", "\(base)/", known(tag), [.status(304)]),
            Case("known listing, weakly", "\(base)/", known("W/\(tag)"), [.status(304)]),
        ])
    }

    @Test func symbolicLinks() async throws {
        let archive = try fixtures.archive("path_gateway_unixfs/symlink.car")
        await table.run([
            Case("listing", "/ipfs/\(archive.root)/", [.has(">foo<"), .has(">bar<")]),
            Case(
                "raw", "/ipfs/\(archive.root)?format=raw",
                [.status(200), .body(try await archive.block())]),
            Case("link", "/ipfs/\(archive.root)/bar", [.status(200), .text("foo")]),
        ])
    }

    @Test func ranges() async throws {
        let archive = try fixtures.archive("path_gateway_unixfs/dir-with-files.car")
        let path = "/ipfs/\(archive.root)/ascii.txt"
        let text = try await archive.block("ascii.txt")
        let holey = try fixtures.archive(
            "trustless_gateway_car/file-3k-and-3-blocks-missing-block.car")
        func range(_ value: String) -> [(String, String)] { [("Range", value)] }
        await table.run([
            Case("whole", path, [.status(200), .header("Accept-Ranges", "bytes"), .body(text)]),
            Case(
                "middle", path, range("bytes=6-16"),
                [
                    .status(206), .header("Content-Range", "bytes 6-16/31"),
                    .body(Array(text[6...16])),
                ]),
            Case(
                "suffix", path, range("bytes=-3"),
                [
                    .status(206), .header("Content-Range", "bytes 28-30/31"),
                    .body(Array(text[28...30])),
                ]),
            Case(
                "several", path, range("bytes=6-16,0-4"),
                [
                    .status(206), .headerHas("Content-Type", "multipart/byteranges"),
                    .has("Content-Range: bytes 6-16/31"), .has("Content-Range: bytes 0-4/31"),
                    .has(String(decoding: text[6...16], as: UTF8.self)),
                    .has(String(decoding: text[0...4], as: UTF8.self)),
                ]),
            Case(
                "block missing behind", "/ipfs/\(holey.root)", range("bytes=997-1000"),
                [.status(206), .header("Content-Range", "bytes 997-1000/3072")]),
            Case(
                "block missing before", "/ipfs/\(holey.root)", range("bytes=2200-2201"),
                [.status(206), .header("Content-Range", "bytes 2200-2201/3072")]),
        ])
    }

    @Test func escapedNames() async throws {
        let archive = try fixtures.archive(
            "path_gateway_unixfs/dir-with-percent-encoded-filename.car")
        let text = try await archive.block("Portugal%2C+España=Peninsula Ibérica.txt")
        await table.run([
            Case(
                "percent-encoded name",
                "/ipfs/\(archive.root)/Portugal%252C+España=Peninsula%20Ibérica.txt",
                [.body(text)])
        ])
    }

    @Test func rawBlocks() async throws {
        let archive = try fixtures.archive("gateway-raw-block.car")
        let root = archive.root
        let folder = try await archive.block("dir")
        let file = try await archive.block("dir", "ascii.txt")
        let fileCID = try await archive.cid("dir", "ascii.txt")
        let folderCID = try await archive.cid("dir")
        let raw = ("Accept", "application/vnd.ipld.raw")
        let headers: [Check] = [
            .status(200), .header("Content-Type", "application/vnd.ipld.raw"),
            .header("Content-Length", "\(file.count)"),
            .headerHas("Content-Disposition", "attachment;"),
            .header("X-Content-Type-Options", "nosniff"), .body(file),
        ]
        let named: [Check] = [
            .status(200), .headerHas("Content-Disposition", "attachment;"),
            .headerHas("Content-Disposition", "filename=\"foobar.bin"),
        ]
        func caching(_ path: String, _ root: CID) -> [Check] {
            [
                .status(200), .headerExists("Etag"), .header("X-Ipfs-Path", path),
                .headerHas("X-Ipfs-Roots", "\(root)"),
                .header("Cache-Control", "public, max-age=29030400, immutable"),
            ]
        }
        let path = "/ipfs/\(root)/dir/ascii.txt"
        await table.run([
            Case("format, path", "/ipfs/\(root)/dir?format=raw", [.status(200), .body(folder)]),
            Case("Accept, path", "/ipfs/\(root)/dir", [raw], [.status(200), .body(folder)]),
            Case(
                "range", "/ipfs/\(root)/dir", [raw, ("Range", "bytes=6-16")],
                [
                    .status(206), .header("Content-Type", "application/vnd.ipld.raw"),
                    .header("Content-Range", "bytes 6-16/\(folder.count)"),
                    .body(Array(folder[6...16])),
                ]),
            Case("headers, path", path, [raw], headers),
            Case("filename, path", path + "?filename=foobar.bin", [raw], named),
            Case("caching, path", path, [raw], caching(path, root)),
            Case(
                "format", "/ipfs/\(folderCID)?format=raw", [.status(200), .body(folder)]),
            Case("Accept", "/ipfs/\(folderCID)", [raw], [.status(200), .body(folder)]),
            Case("headers", "/ipfs/\(fileCID)", [raw], headers),
            Case("filename", "/ipfs/\(fileCID)?filename=foobar.bin", [raw], named),
            Case("caching", "/ipfs/\(fileCID)", [raw], caching("/ipfs/\(fileCID)", fileCID)),
        ])
        await table.run(
            Ranges.cases(
                "raw", "/ipfs/\(fileCID)", [raw], file, type: "application/vnd.ipld.raw"))
    }

    @Test func tar() async throws {
        let archive = try fixtures.archive("path_gateway_tar/fixtures.car")
        let outside = try fixtures.archive("path_gateway_tar/outside-root.car").root
        let inside = try fixtures.archive("path_gateway_tar/inside-root.car").root
        let root = archive.root
        let file = try await archive.cid("ą", "ę", "file-źł.txt")
        let text = "I am a txt file on path with utf8\n"
        let headers: [Check] = [
            .status(200), .headerHas("Content-Disposition", "attachment;"),
            .headerHas("Etag", "W/\"\(file).x-tar"),
            .headerHas("Content-Type", "application/x-tar"), .tar("\(file)", text),
        ]
        await table.run([
            Case("format", "/ipfs/\(file)?format=tar", headers),
            Case("Accept", "/ipfs/\(file)", [("Accept", "application/x-tar")], headers),
            Case(
                "directory", "/ipfs/\(root)?format=tar",
                [.status(200), .tar("\(root)/ą/ę/file-źł.txt", text)]),
            Case(
                "filename",
                "/ipfs/\(root)?filename=test%D1%82%D0%B5%D1%81%D1%82.tar&format=tar",
                [
                    .status(200),
                    .headerHas(
                        "Content-Disposition",
                        "attachment; filename=\"test____.tar\"; "
                            + "filename*=UTF-8''test%D1%82%D0%B5%D1%81%D1%82.tar"),
                ]),
            Case("names outside the root", "/ipfs/\(outside)?format=tar", [.statusIn(400...599)]),
            Case(
                "names inside the root", "/ipfs/\(inside)?format=tar",
                [.status(200), .tar("\(inside)/foobar/file", nil)]),
        ])
    }

    @Test func crossOrigin() async throws {
        let allowed: [Check] =
            [.header("Access-Control-Allow-Origin", "*")]
            + ["GET", "HEAD", "OPTIONS"].map { .headerHas("Access-Control-Allow-Methods", $0) }
            + ["Content-Type", "Range", "User-Agent", "X-Requested-With"]
            .map { .headerHas("Access-Control-Allow-Headers", $0) }
            + [
                "Content-Range", "Content-Length", "X-Ipfs-Path", "X-Ipfs-Roots",
                "X-Chunked-Output", "X-Stream-Output",
            ].map { .headerHas("Access-Control-Expose-Headers", $0) }
        await table.run([
            Case("GET", "/ipfs/bafkqabtimvwgy3yk/", [.status(200), .text("hello\n")] + allowed),
            Case("OPTIONS", .options, "/ipfs/bafkqabtimvwgy3yk/", allowed),
        ])
    }
}

/// The two requests for ranges that the suite adds to many cases.
enum Ranges {
    static func cases(
        _ name: String, _ target: String, _ headers: [(String, String)], _ data: [UInt8],
        type: String
    ) -> [Case] {
        [
            Case(
                "\(name), one range", target, headers + [("Range", "bytes=7-9")],
                [
                    .status(206), .header("Content-Range", "bytes 7-9/\(data.count)"),
                    .header("Content-Type", type), .body(Array(data[7...9])),
                ]),
            Case(
                "\(name), two ranges", target, headers + [("Range", "bytes=7-9,1-3")],
                [
                    .status(206), .headerHas("Content-Type", "multipart/byteranges"),
                    .has("Content-Type: \(type)"), .has("Content-Range: bytes 7-9/\(data.count)"),
                    .has("Content-Range: bytes 1-3/\(data.count)"),
                ]),
        ]
    }
}
