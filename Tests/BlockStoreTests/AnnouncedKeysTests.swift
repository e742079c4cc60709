// The list of keys to announce: sorted by place, bounded, and made anew when it is damaged.

import Cryptography
import Foundation
import Multiformats
import Testing
import Wire

@testable import BlockStore

@Suite struct AnnouncedKeysTests {
    private func hash(_ number: Int) -> Multihash {
        Multihash.sha2_256(of: Array("\(number)".utf8).rawSpan)
    }

    private func place(_ hash: Multihash) -> [UInt8] { SHA256.hash(hash.bytes.rawSpan) }

    private static let start = [UInt8](repeating: 0, count: 32)
    private static let end = [UInt8](repeating: 0xff, count: 32)

    private func withFile(
        _ body: (String) async throws -> Void
    ) async throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "weft-keys-\(UUID())")
            .path
        // A file that stays behind harms no test.
        defer { try? FileManager.default.removeItem(atPath: path) }
        try await body(path)
    }

    /// However much is announced, the file keeps to its part of the disk; one that was allowed more
    /// before is made anew.
    @Test("the file stays below its limit") func size() async throws {
        try await withFile { path in
            let limit: UInt64 = 2 << 20
            let keys = try AnnouncedKeys(at: path, maxBytes: limit)
            #expect(keys.maxKeys > 10_000)
            for round in 0..<2 {
                try await keys.removeAll()
                var count = 0
                for start in stride(from: 0, to: 20_000, by: 1_000) {
                    let part = (start..<start + 1_000).map { hash($0 + round * 100_000) }
                    count = try await keys.add(part, limit: 1_000_000)
                    for root in part.prefix(500) { try await keys.noteFetched(root) }
                }
                #expect(count == keys.maxKeys)
            }
            let size = { try FileManager.default.attributesOfItem(atPath: path)[.size] as? UInt64 }
            #expect(try #require(try size()) <= limit)
            #expect(try #require(try size()) > limit / 2)
            try keys.close()
            let smaller = try AnnouncedKeys(at: path, maxBytes: limit / 4)
            #expect(try await smaller.count() == 0)
            #expect(try #require(try size()) <= limit / 4)
            try smaller.close()
        }
    }

    @Test("keys come in the order of their places, in parts, and once") func order() async throws {
        try await withFile { path in
            let keys = try AnnouncedKeys(at: path, maxBytes: 64 << 20)
            let hashes = (0..<500).map(hash)
            #expect(try await keys.add(hashes + hashes.prefix(20), limit: 1_000) == 500)
            let sorted = hashes.sorted { place($0).lexicographicallyPrecedes(place($1)) }
            var found: [Multihash] = []
            var from = Self.start
            while true {
                let part = try await keys.keys(from: from, through: Self.end, limit: 64)
                guard let last = part.last else { break }
                found += part
                from = place(last) + []
                // The next place.
                for index in from.indices.reversed() {
                    from[index] &+= 1
                    if from[index] != 0 { break }
                }
            }
            #expect(found == sorted)
            let middle = place(sorted[250])
            let half = try await keys.keys(from: middle, through: middle, limit: 9)
            #expect(half == [sorted[250]])
            try keys.close()
            let again = try AnnouncedKeys(at: path, maxBytes: 64 << 20)
            #expect(try await again.count() == 500)
            try await again.removeAll()
            #expect(try await again.count() == 0)
            try again.close()
        }
    }

    @Test("there are never more keys than the limit") func limit() async throws {
        try await withFile { path in
            let keys = try AnnouncedKeys(at: path, maxBytes: 64 << 20)
            #expect(try await keys.add((0..<100).map(hash), limit: 30) == 30)
            #expect(try await keys.add((100..<200).map(hash), limit: 30) == 30)
            #expect(try await keys.count() == 30)
            #expect(try await keys.add([hash(500)], limit: 0) == 30)
            try keys.close()
        }
    }

    @Test("fetched roots are remembered in order, and forgotten one by one")
    func fetched() async throws {
        try await withFile { path in
            let keys = try AnnouncedKeys(at: path, maxBytes: 64 << 20)
            for number in [1, 2, 3, 1] { try await keys.noteFetched(hash(number)) }
            let all = try await keys.fetched(after: 0, limit: 10)
            #expect(all.map(\.root) == [hash(2), hash(3), hash(1)])
            let rest = try await keys.fetched(after: all[0].number, limit: 1)
            #expect(rest.map(\.root) == [hash(3)])
            try await keys.forgetFetched(all[1].number)
            #expect(try await keys.fetched(after: 0, limit: 10).count == 2)
            try keys.close()
        }
    }

    @Test("a file that is damaged is made anew") func damaged() async throws {
        try await withFile { path in
            try Data("this is no database, and quite long at that".utf8)
                .write(to: URL(filePath: path))
            let keys = try AnnouncedKeys(at: path, maxBytes: 64 << 20)
            #expect(try await keys.add([hash(1)], limit: 10) == 1)
            try keys.close()
        }
    }
}
