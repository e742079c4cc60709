// path_gateway_ipns, trustless_gateway_ipns, the mutable half of path_gateway_unixfs and the
// dnslink_gateway tables of ipfs/gateway-conformance, restated: what names lead to.

import HTTPTypes
import IPLD
import Multiformats
import Testing
import Wire

@testable import Gateway

@Suite struct NameConformance {
    let fixtures: Fixtures
    let table: Table

    init() throws {
        fixtures = try Fixtures()
        table = Table(gateway: try fixtures.gateway())
    }

    private static let v1AndV2 = "k51qzi5uqu5dlkw8pxuw9qmqayfdeh4kfebhmreauqdc6a7c3y7d5i9fi8mk9w"
    private static let v2 = "k51qzi5uqu5dit2ku9mutlfgwyz8u730on38kd10m97m36bjt66my99hb6103f"

    @Test func records() async throws {
        let v1 = "k51qzi5uqu5dm4tm0wt8srkg9h9suud4wuiwjimndrkydqm81cqtlb5ak6p7ku"
        let brokenValue = "k51qzi5uqu5dlmit2tuwdvnx4sbnyqgmvbxftl0eo3f33wwtb9gr7yozae9kpw"
        let brokenV2 = "k51qzi5uqu5diamp7qnnvs1p1gzmku3eijkeijs3418j23j077zrkok63xdm8c"
        let brokenV1 = "k51qzi5uqu5dilgf7gorsh9vcqqq4myo6jd4zmqkuy9pxyxi5fua3uf7axph4y"
        func held(_ cid: String) throws -> [UInt8] { try CID(text: cid).hash.digest }
        await table.run([
            Case("V1 alone", "/ipns/\(v1)", [.statusIn(500...599)]),
            Case("V1 value differs", "/ipns/\(brokenValue)", [.statusIn(500...599)]),
            Case("V2 signature broken", "/ipns/\(brokenV2)", [.statusIn(500...599)]),
            Case(
                "V1 signature broken", "/ipns/\(brokenV1)",
                [
                    .status(200),
                    .body(try held("bafkqahtwgevxmmrao5uxi2bamjzg623fnyqhg2lhnzqxi5lsmuqhmmi")),
                ]),
            Case(
                "V1 and V2", "/ipns/\(Self.v1AndV2)",
                [.body(try held("bafkqaddwgevxmmraojswg33smq"))]),
            Case(
                "V2 alone", "/ipns/\(Self.v2)",
                [.body(try held("bafkqadtwgiww63tmpeqhezldn5zgi"))]),
        ])
    }

    @Test func canonicalForms() async throws {
        await table.run([
            Case(
                "Ed25519 in base58",
                "/ipns/12D3KooWRBy97UB99e3J6hiPesre1MZeuNQvfan4gBziswrRJsNK/root2/",
                [
                    .status(302),
                    .header(
                        "Location",
                        "/ipns/k51qzi5uqu5dlvj2baxnqndepeb86cbk3ng7n3i46uzyxzyqj2xjonzllnv0v8"
                            + "/root2/"),
                ]),
            Case(
                "RSA in base58", "/ipns/QmcJM7PRfkSbcM5cf1QugM5R37TLRKyJGgBEhXjLTB8uA2/root2/",
                [
                    .status(302),
                    .header(
                        "Location",
                        "/ipns/k2k4r8ol4m8kkcqz509c1rcjwunebj02gcnm5excpx842u736nja8ger/root2/"),
                ]),
        ])
    }

    @Test func verifiableRecords() async throws {
        let accept = [("Accept", "application/vnd.ipfs.ipns-record")]
        for name in [Self.v1AndV2, Self.v2] {
            let expected: [Check] = [
                .status(200), .headerHas("Content-Disposition", "attachment;"),
                .headerHas("Content-Type", "application/vnd.ipfs.ipns-record"),
                .headerHas("Cache-Control", "public, max-age=1800"),
            ]
            await table.run([
                Case("format", "/ipns/\(name)?format=ipns-record", expected),
                Case("Accept", "/ipns/\(name)", accept, expected),
            ])
            let answer = await table.answer(Case("", "/ipns/\(name)?format=ipns-record", []))
            let record = try IPNSRecord(decoding: answer.body.span.bytes)
            try record.validate(
                for: PeerID(text: name), at: Timestamp(seconds: 1_790_000_000))
        }
        await table.run([
            Case(
                "filename",
                "/ipns/\(Self.v1AndV2)?format=ipns-record"
                    + "&filename=test%D1%82%D0%B5%D1%81%D1%82.ipns-record",
                [
                    .headerHas(
                        "Content-Disposition",
                        "attachment; filename=\"test____.ipns-record\"; filename*="
                            + "UTF-8''test%D1%82%D0%B5%D1%81%D1%82.ipns-record")
                ])
        ])
    }

    @Test func mutablePaths() async throws {
        let archive = try fixtures.archive("gateway-cache/fixtures.car")
        let key = "k51qzi5uqu5dlxdsdu5fpuu7h69wu4ohp32iwm9pdt9nq3y5rpn3ln9j12zfhe"
        let below = "k51qzi5uqu5djokp3m1keo36hoxtd6u3a1d2rg1camf6al7p3huy63dojlm57c"
        let root = archive.root
        let two = try await archive.cid("root2")
        let three = try await archive.cid("root2", "root3")
        let four = try await archive.cid("root2", "root3", "root4")
        let index = try await archive.cid("root2", "root3", "root4", "index.html")
        let base = "/ipns/\(key)/root2/root3"
        let mutable = Check.headerHas("Cache-Control", "public, max-age=")
        let noLonger = Check.headerLacks("Cache-Control", "immutable")
        await table.run([
            Case(
                "listing", "\(base)/",
                [
                    .status(200), mutable, noLonger, .header("X-Ipfs-Path", "\(base)/"),
                    .header("X-Ipfs-Roots", "\(root),\(two),\(three)"),
                    .headerHas("Etag", "DirIndex-"), .headerHas("Etag", "_CID-\(three)"),
                ]),
            Case(
                "index page", "\(base)/root4/",
                [
                    .status(200), mutable, noLonger, .header("X-Ipfs-Path", "\(base)/root4/"),
                    .header("X-Ipfs-Roots", "\(root),\(two),\(three),\(four)"),
                    .header("Etag", "\"\(four)\""),
                ]),
            Case(
                "file", "\(base)/root4/index.html",
                [
                    .status(200), mutable, noLonger,
                    .header("X-Ipfs-Path", "\(base)/root4/index.html"),
                    .header("X-Ipfs-Roots", "\(root),\(two),\(three),\(four),\(index)"),
                    .header("Etag", "\"\(index)\""),
                ]),
            Case(
                "raw", "\(base)/root4/?format=raw",
                [
                    .status(200), mutable,
                    .body(try await archive.block("root2", "root3", "root4")),
                ]),
            Case(
                "known", "\(base)/root4/index.html", [("If-None-Match", "\"\(index)\"")],
                [.status(304)]),
            Case(
                "value with a path", "/ipns/\(below)/root3/root4/index.html",
                [.status(200), .text("hello\n")]),
        ])
    }

    @Test func domains() async throws {
        let archive = try fixtures.archive("dir_listing/fixtures.car")
        let file = try await archive.cid("ą", "ę", "file-źł.txt")
        let host = "dnslink-dir-listing.example.org"
        let hello = try await fixtures.archive("subdomain_gateway/fixtures.car")
            .block("hello-CIDv1")
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
                        "/ipns/<a href=\"//\(host)/\">\(host)</a>/<a href=\"//\(host)/%C4%85\">ą"
                            + "</a>/<a href=\"//\(host)/%C4%85/%C4%99\">ę</a>"),
                    .has("<a href=\"/%C4%85/%C4%99/file-%C5%BA%C5%82.txt\">file-źł.txt</a>"),
                    .has(
                        "<a class=\"ipfs-hash\" translate=\"no\" "
                            + "href=\"https://cid.ipfs.tech/#\(file)\" target=\"_blank\" "
                            + "rel=\"noreferrer noopener\">"),
                ]),
            Case(
                "value with a path", host: "dnslink-subpath.example.org",
                "/root3/root4/index.html", [.status(200), .text("hello\n")]),
            Case(
                "to a key in base58", host: "dnslink-over-ipns.example.org", "/",
                [.status(200), .body(hello)]),
            Case(
                "to a key as a CID", host: "dnslink-over-ipns-cidv1.example.org", "/",
                [.status(200), .body(hello)]),
        ])
    }
}
