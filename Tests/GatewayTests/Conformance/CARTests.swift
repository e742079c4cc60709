// trustless_gateway_car of ipfs/gateway-conformance, restated: which blocks a CAR has, and in
// which order.

import IPLD
import Multiformats
import Testing

@testable import Gateway

@Suite struct CARConformance {
    let fixtures: Fixtures
    let table: Table

    init() throws {
        fixtures = try Fixtures()
        table = Table(gateway: try fixtures.gateway())
    }

    private static let headers: [Check] = [
        .status(200), .header("X-Content-Type-Options", "nosniff"),
        .header("Accept-Ranges", "none"), .headerHas("Content-Type", "application/vnd.ipld.car"),
        .headerHas("Content-Disposition", "attachment; filename=\""),
        .headerHas("Content-Disposition", ".car\""), .headerExists("Etag"),
    ]

    /// The same request with the form in the URL and in the header.
    private func both(
        _ name: String, _ path: String, _ query: [String] = [], _ expect: [Check]
    ) -> [Case] {
        let plain = query.joined(separator: "&")
        let named = (["format=car"] + query).joined(separator: "&")
        return [
            Case("\(name), format", "\(path)?\(named)", expect),
            Case(
                "\(name), Accept", plain.isEmpty ? path : "\(path)?\(plain)",
                [("Accept", "application/vnd.ipld.car")], expect),
        ]
    }

    @Test func paths() async throws {
        let two = try fixtures.archive(
            "trustless_gateway_car/subdir-with-two-single-block-files.car")
        let hamt = try fixtures.archive(
            "trustless_gateway_car/single-layer-hamt-with-multi-block-files.car")
        let cbor = try fixtures.archive(
            "trustless_gateway_car/dir-with-dag-cbor-with-links.car")
        let folder = try await two.cid("subdir")
        let document = try await cbor.cid("document")
        await table.run(
            both(
                "file", "/ipfs/\(two.root)/subdir/ascii.txt", [],
                Self.headers
                    + [.car([two.root, folder, try await two.cid("subdir", "ascii.txt")])])
                + both(
                    "file in shards", "/ipfs/\(hamt.root)/685.txt", [],
                    Self.headers + [
                        .car(
                            [hamt.root] + (try await hamt.shards(to: "685.txt"))
                                + [try await hamt.cid("685.txt")]
                                + (try await hamt.below("685.txt")))
                    ])
                + both(
                    "file behind dag-cbor", "/ipfs/\(document)/files/single", [],
                    Self.headers + [
                        .car([document, try await cbor.cid("document", "files", "single")])
                    ])
                + both(
                    "no such file", "/ipfs/\(two.root)/subdir/i-do-not-exist", [],
                    [.status(404)]))
    }

    @Test func blockScope() async throws {
        let two = try fixtures.archive(
            "trustless_gateway_car/subdir-with-two-single-block-files.car")
        let hamt = try fixtures.archive(
            "trustless_gateway_car/single-layer-hamt-with-multi-block-files.car")
        let folder = try await two.cid("subdir")
        let scope = ["dag-scope=block"]
        await table.run(
            both(
                "directory", "/ipfs/\(two.root)/subdir", scope,
                Self.headers + [.car([two.root, folder])])
                + both(
                    "file", "/ipfs/\(two.root)/subdir/ascii.txt", scope,
                    Self.headers
                        + [.car([two.root, folder, try await two.cid("subdir", "ascii.txt")])])
                + both(
                    "file in shards", "/ipfs/\(hamt.root)/1.txt", scope,
                    Self.headers + [
                        .car(
                            [hamt.root] + (try await hamt.shards(to: "1.txt"))
                                + [try await hamt.cid("1.txt")])
                    ]))
    }

    @Test func entityScope() async throws {
        let two = try fixtures.archive(
            "trustless_gateway_car/subdir-with-two-single-block-files.car")
        let hamt = try fixtures.archive(
            "trustless_gateway_car/single-layer-hamt-with-multi-block-files.car")
        let mixed = try fixtures.archive(
            "trustless_gateway_car/subdir-with-mixed-block-files.car")
        let cbor = try fixtures.archive(
            "trustless_gateway_car/dir-with-dag-cbor-with-links.car")
        let folder = try await mixed.cid("subdir")
        let scope = ["dag-scope=entity"]
        await table.run(
            both("directory", "/ipfs/\(two.root)", scope, Self.headers + [.car([two.root])])
                + both(
                    "sharded directory", "/ipfs/\(hamt.root)", scope,
                    Self.headers + [.car([hamt.root] + (try await hamt.shards()))])
                + both(
                    "file", "/ipfs/\(mixed.root)/subdir/ascii.txt", scope,
                    Self.headers + [
                        .car([mixed.root, folder, try await mixed.cid("subdir", "ascii.txt")])
                    ])
                + both(
                    "file of many blocks", "/ipfs/\(mixed.root)/subdir/multiblock.txt", scope,
                    Self.headers + [
                        .car(
                            [mixed.root, folder, try await mixed.cid("subdir", "multiblock.txt")]
                                + (try await mixed.below("subdir", "multiblock.txt")))
                    ])
                + both(
                    "dag-cbor", "/ipfs/\(cbor.root)/document", scope,
                    Self.headers + [.car([cbor.root, try await cbor.cid("document")])]))
    }

    @Test func wholeScope() async throws {
        let mixed = try fixtures.archive(
            "trustless_gateway_car/subdir-with-mixed-block-files.car")
        let folder = try await mixed.cid("subdir")
        let scope = ["dag-scope=all"]
        await table.run(
            both(
                "directory", "/ipfs/\(mixed.root)/subdir", scope,
                Self.headers
                    + [.car([mixed.root, folder] + (try await mixed.below("subdir")))])
                + both(
                    "file", "/ipfs/\(mixed.root)/subdir/multiblock.txt", scope,
                    Self.headers + [
                        .car(
                            [mixed.root, folder, try await mixed.cid("subdir", "multiblock.txt")]
                                + (try await mixed.below("subdir", "multiblock.txt")))
                    ]))
    }

    @Test func entityBytes() async throws {
        let hamt = try fixtures.archive(
            "trustless_gateway_car/single-layer-hamt-with-multi-block-files.car")
        let mixed = try fixtures.archive(
            "trustless_gateway_car/subdir-with-mixed-block-files.car")
        let holey = try fixtures.archive(
            "trustless_gateway_car/file-3k-and-3-blocks-missing-block.car")
        let file = try await mixed.cid("subdir", "multiblock.txt")
        let parts = try await mixed.below("subdir", "multiblock.txt")
        let folder = try await mixed.cid("subdir")
        func bytes(_ name: String, _ root: CID, _ range: String, _ check: Check) -> [Case] {
            both(
                name, "/ipfs/\(root)", ["dag-scope=entity", "entity-bytes=\(range)"],
                Self.headers + [check])
        }
        let first = try CID(text: "QmPKt7ptM2ZYSGPUc8PmPT2VBkLDK3iqpG9TBJY7PCE9rF")
        let third = try CID(text: "QmWXY482zQdwecnfBsj78poUUuPXvyw2JAFAEMw4tzTavV")
        var cases = bytes(
            "block missing behind", holey.root, "0:1000", .carSet([holey.root, first]))
        cases += bytes("block missing before", holey.root, "2200:*", .carSet([holey.root, third]))
        cases += both(
            "whole file", "/ipfs/\(mixed.root)/subdir/multiblock.txt",
            ["dag-scope=entity", "entity-bytes=0:*"],
            Self.headers + [.car([mixed.root, folder, file] + parts)])
        cases += bytes(
            "directory", hamt.root, "0:*", .car([hamt.root] + (try await hamt.shards())))
        cases += bytes("to the end", file, "512:*", .car([file] + parts[2...]))
        cases += bytes("middle", file, "512:1023", .car([file] + parts[2..<4]))
        cases += bytes("end from the end", file, "512:-256", .car([file] + parts[2..<4]))
        cases += bytes("suffix", file, "-5:*", .car([file] + parts[3...]))
        cases += bytes("longer suffix", file, "-9999:*", .car([file] + parts))
        cases += bytes("longer than the file", file, "-9999:-3", .car([file] + parts[..<4]))
        cases += bytes("first byte", file, "0:0", .car([file, parts[0]]))
        await table.run(cases)
    }

    @Test func orderAndDuplicates() async throws {
        let archive = try fixtures.archive(
            "trustless_gateway_car/dir-with-duplicate-files.car")
        let root = archive.root
        let ascii = try await archive.cid("ascii.txt")
        let hello = try await archive.cid("hello.txt")
        let file = try await archive.cid("multiblock.txt")
        let parts = try await archive.below("multiblock.txt")
        let path = "/ipfs/\(root)"
        func accept(_ parameters: String) -> [(String, String)] {
            [("Accept", "application/vnd.ipld.car; \(parameters)")]
        }
        func type(_ parts: String...) -> [Check] {
            [.status(200), .headerHas("Content-Type", "application/vnd.ipld.car")]
                + parts.map { .headerHas("Content-Type", $0) }
        }
        let all = [root, ascii, ascii, hello, file] + parts
        await table.run([
            Case(
                "dups=y", path, accept("version=1; order=dfs; dups=y"),
                type("order=dfs", "dups=y") + [.car(all)]),
            Case(
                "dups=n", path, accept("version=1; order=dfs; dups=n"),
                type("order=dfs", "dups=n") + [.car([root, ascii, hello, file] + parts)]),
            Case(
                "order=unk", path, accept("version=1; order=unk"),
                type("order=") + [.carHas(all)]),
            Case(
                "identity", "/ipfs/bafkqaf3imvwgy3zaneqgc3janfxgy2lomvscay3jmqfa",
                accept("dups=y"), type("dups=y") + [.car([])]),
            Case(
                "format with parameters", "\(path)?format=car",
                accept("version=1; order=dfs; dups=y"),
                type("order=dfs", "dups=y") + [.car(all)]),
            Case(
                "car-order beats Accept", "\(path)?format=car&car-order=dfs", accept("order=unk"),
                type("order=dfs")),
            Case(
                "car-dups beats Accept", "\(path)?format=car&car-dups=y", accept("dups=n"),
                type("dups=y")),
        ])
    }

    @Test func formatBeatsAccept() async throws {
        let folder = try await fixtures.archive("gateway-raw-block.car").cid("dir")
        await table.run([
            Case(
                "car", "/ipfs/\(folder)?format=car", [("Accept", "application/vnd.ipld.raw")],
                [.status(200), .headerHas("Content-Type", "application/vnd.ipld.car")]),
            Case(
                "raw", "/ipfs/\(folder)?format=raw", [("Accept", "application/vnd.ipld.car")],
                [.status(200), .header("Content-Type", "application/vnd.ipld.raw")]),
        ])
    }
}
