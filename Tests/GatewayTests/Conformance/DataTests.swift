// path_gateway_dag of ipfs/gateway-conformance, restated: blocks of dag-json, dag-cbor, json and
// cbor, paths through them, and what is refused because it would be a conversion (IPIP-524).

import HTTPTypes
import IPLD
import Multiformats
import Testing

@testable import Gateway

@Suite struct DataConformance {
    let fixtures: Fixtures
    let table: Table

    init() throws {
        fixtures = try Fixtures()
        table = Table(gateway: try fixtures.gateway())
    }

    @Test func jsonFiles() async throws {
        let archive = try fixtures.archive("path_gateway_dag/gateway-json-cbor.car")
        let cid = try await archive.cid("ą", "ę", "t.json")
        let data = try await archive.block("ą", "ę", "t.json")
        let expected: [Check] = [
            .status(200), .header("Content-Type", "application/json"), .body(data),
        ]
        await table.run([
            Case("plain", "/ipfs/\(cid)", expected),
            Case("Accept", "/ipfs/\(cid)", [("Accept", "application/json")], expected),
            Case(
                "format beats Accept", "/ipfs/\(cid)?format=json",
                [("Accept", "application/vnd.ipld.raw")], expected),
        ])
    }

    @Test func mismatchesAreRefused() async throws {
        let file = try await fixtures.archive("path_gateway_dag/gateway-json-cbor.car")
            .cid("ą", "ę", "file-źł.txt")
        let json = try fixtures.archive("path_gateway_dag/dag-json-traversal.car").root
        let cbor = try fixtures.archive("path_gateway_dag/dag-cbor-traversal.car").root
        let acceptJSON = [("Accept", "application/vnd.ipld.dag-json")]
        await table.run([
            Case("file as dag-json", "/ipfs/\(file)?format=dag-json", [.status(406)]),
            Case("file as dag-cbor", "/ipfs/\(file)?format=dag-cbor", [.status(406)]),
            Case("file, Accept", "/ipfs/\(file)", acceptJSON, [.status(406)]),
            Case("dag-json as dag-cbor", "/ipfs/\(json)?format=dag-cbor", [.status(406)]),
            Case("dag-cbor as dag-json", "/ipfs/\(cbor)?format=dag-json", [.status(406)]),
            Case("dag-cbor, Accept", "/ipfs/\(cbor)", acceptJSON, [.status(406)]),
        ])
    }

    @Test(arguments: [("json", "inline"), ("cbor", "attachment")])
    func plainCodecs(format: String, disposition: String) async throws {
        let archive = try fixtures.archive("path_gateway_dag/plain-\(format).car")
        let cid = archive.root
        let data = try await archive.block()
        let type = "application/\(format)"
        let expected: [Check] = [
            .status(200),
            .headerHas("Content-Disposition", "\(disposition); filename=\"\(cid).\(format)\""),
            .header("Content-Type", type), .body(data),
        ]
        let accept = [("Accept", type)]
        await table.run([
            Case("plain", "/ipfs/\(cid)", expected),
            Case("format", "/ipfs/\(cid)?format=\(format)", expected),
            Case("Accept", "/ipfs/\(cid)", accept, expected),
        ])
        await table.run(
            Ranges.cases("plain", "/ipfs/\(cid)", [], data, type: type)
                + Ranges.cases("format", "/ipfs/\(cid)?format=\(format)", [], data, type: type)
                + Ranges.cases("Accept", "/ipfs/\(cid)", accept, data, type: type))
    }

    @Test func paths() async throws {
        let json = try fixtures.archive("path_gateway_dag/dag-json-traversal.car").root
        let cbor = try fixtures.archive("path_gateway_dag/dag-cbor-traversal.car").root
        await table.run([
            Case("value in dag-json", "/ipfs/\(json)/foo?format=dag-json", [.status(501)]),
            Case(
                "links in dag-json", "/ipfs/\(json)/foo/link/bar?format=dag-json",
                [.status(200), .text("{\"hello\":\"this is not a link\"}")]),
            Case("missing in dag-json", "/ipfs/\(json)/foo/i-do-not-exist", [.status(404)]),
            Case("value in dag-cbor", "/ipfs/\(cbor)/foo?format=dag-cbor", [.status(501)]),
            Case(
                "links in dag-cbor", "/ipfs/\(cbor)/foo/link/bar?format=dag-cbor",
                [
                    .status(200),
                    .body(
                        [0xa1, 0x65] + Array("hello".utf8) + [0x72]
                            + Array("this is not a link".utf8)),
                ]),
            Case("missing in dag-cbor", "/ipfs/\(cbor)/foo/i-do-not-exist", [.status(404)]),
        ])
    }

    @Test(arguments: [("json", "inline"), ("cbor", "attachment")])
    func nativeData(format: String, disposition: String) async throws {
        let archive = try fixtures.archive("path_gateway_dag/dag-\(format)-traversal.car")
        let cid = archive.root
        let data = try await archive.block()
        let path = "/ipfs/\(cid)"
        let type = "application/vnd.ipld.dag-\(format)"
        let plain = "application/\(format)"
        let accept = [("Accept", type)]
        let missing = "/ipfs/bafkreihfp4zqvnkznczrwfp3q6vzsv4ymevvxckzw6pbwmoqsbbjeirsmi"
        await table.run([
            Case("plain", path, [.status(200), .body(data)]),
            Case("format", "\(path)?format=dag-\(format)", [.status(200), .body(data)]),
            Case("Accept", path, accept, [.status(200), .body(data)]),
            Case(
                "plain format", "\(path)?format=\(format)",
                [.status(200), .header("Content-Type", plain), .body(data)]),
            Case(
                "plain Accept", path, [("Accept", plain)],
                [.status(200), .header("Content-Type", plain), .body(data)]),
            Case(
                "headers", path, accept,
                [
                    .header("Content-Type", type), .header("Content-Length", "\(data.count)"),
                    .headerHas(
                        "Content-Disposition", "\(disposition); filename=\"\(cid).\(format)\""),
                ]),
            Case(
                "filename", "\(path)?filename=foobar.\(format)", accept,
                [
                    .headerHas(
                        "Content-Disposition", "\(disposition); filename=\"foobar.\(format)\"")
                ]),
            Case(
                "download", "\(path)?filename=foobar.\(format)&download=true", accept,
                [.headerHas("Content-Disposition", "attachment; filename=\"foobar.\(format)\"")]),
            Case(
                "caching", path, accept,
                [
                    .headerHas("Etag", "\(cid).dag-\(format)"), .headerExists("X-Ipfs-Path"),
                    .headerExists("X-Ipfs-Roots"),
                    .headerHas("Cache-Control", "public, max-age=29030400, immutable"),
                ]),
            Case(
                "HEAD", .head, path,
                [
                    .status(200), .headerHas("Content-Type", type),
                    .headerExists("Content-Length"), .body([]),
                ]),
            Case(
                "HEAD, format", .head, "\(path)?format=dag-\(format)",
                [
                    .status(200), .headerHas("Etag", "\(cid).dag-\(format)"),
                    .headerHas("Content-Type", type), .headerExists("Content-Length"),
                ]),
            Case(
                "HEAD only-if-cached, missing", .head, missing,
                [("Cache-Control", "only-if-cached")], [.status(412)]),
            Case(
                "page", "\(path)/", [("Accept", "text/html")],
                [
                    .status(200), .headerHas("Etag", "DagIndex-"),
                    .headerHas("Content-Type", "text/html"),
                    .headerAbsent("Content-Disposition"), .has("</html>"),
                    .header(
                        "Cache-Control",
                        "public, max-age=604800, stale-while-revalidate=2678400"),
                ]),
        ])
    }

    @Test(arguments: ["json", "cbor"])
    func nativeRanges(format: String) async throws {
        let archive = try fixtures.archive("path_gateway_dag/dag-\(format)-traversal.car")
        let data = try await archive.block()
        let path = "/ipfs/\(archive.root)/"
        let type = "application/vnd.ipld.dag-\(format)"
        let plain = "application/\(format)"
        await table.run(
            Ranges.cases("plain", path, [], data, type: type)
                + Ranges.cases("Accept", path, [("Accept", type)], data, type: type)
                + Ranges.cases("plain Accept", path, [("Accept", plain)], data, type: plain))
    }

    @Test(arguments: [
        ("json", "k51qzi5uqu5dhjghbwdvbo6mi40htrq6e2z4pwgp15pgv3ho1azvidttzh8yy2"),
        ("cbor", "k51qzi5uqu5dghjous0agrwavl8vzl64xckoqzwqeqwudfr74kfd11zcyk3b7l"),
    ])
    func dataBehindNames(format: String, key: String) async throws {
        let archive = try fixtures.archive("path_gateway_dag/dag-\(format)-traversal.car")
        let data = try await archive.block()
        let type = "application/vnd.ipld.dag-\(format)"
        await table.run([
            Case("plain", "/ipns/\(key)", [.status(200), .body(data)]),
            Case("format", "/ipns/\(key)?format=dag-\(format)", [.status(200), .body(data)]),
            Case(
                "headers", "/ipns/\(key)", [("Accept", type)],
                [
                    .header("Content-Type", type),
                    .header("Etag", "\"\(archive.root).dag-\(format)\""),
                    .headerExists("X-Ipfs-Path"), .headerExists("X-Ipfs-Roots"),
                ]),
            Case(
                "page", "/ipns/\(key)/", [("Accept", "text/html")],
                [
                    .headerHas("Etag", "DagIndex-"), .headerHas("Content-Type", "text/html"),
                    .headerAbsent("Content-Disposition"), .has("</html>"),
                    .headerHas("Cache-Control", "public, max-age="),
                ]),
        ])
    }
}
