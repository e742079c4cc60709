// Archives of both versions: published fixtures, round trips, and input that lies.

import Foundation
import IPLD
import Multiformats
import TestSupport
import Testing
import Wire

/// What a reader found in an archive.
private struct Contents {
    var roots: [CID] = []
    var blocks: [(cid: CID, bytes: [UInt8], offset: Int)] = []
    var v2Header: CARv2Header?
    /// The most bytes that were asked for at once.
    var mostAsked = 0

    /// Reads an archive, `piece` bytes at a time.
    init(
        of archive: [UInt8], piece: Int = .max, _ sections: CARReader.Sections = .whole
    ) throws {
        var reader = CARReader(sections)
        var start = 0
        var end = min(piece, archive.count)
        while true {
            switch try reader.next(archive.rawSpan.extracting(start..<end)) {
            case .needMore(let total):
                mostAsked = max(mostAsked, total)
                #expect(total > end - start)
                guard end < archive.count else {
                    try reader.finish(remaining: end - start)
                    v2Header = reader.v2Header
                    return
                }
                end = min(archive.count, end + min(piece, archive.count))
            case .header(let roots, let consumed):
                self.roots = roots
                start += consumed
            case .section(let cid, let payload, let consumed):
                let range = (start + payload.lowerBound)..<(start + payload.upperBound)
                guard range.upperBound <= archive.count else {
                    throw DecodeError(.truncated, "the archive ends within a block")
                }
                blocks.append((cid, Array(archive[range]), start))
                start += consumed
                end = max(end, start)
            case .skip(let count):
                start = Int(min(UInt64(archive.count), UInt64(start) + count))
                end = max(end, start)
            case .end:
                try reader.finish(remaining: end - start)
                v2Header = reader.v2Header
                return
            }
        }
    }
}

private func sampleBlocks(_ count: Int) -> [EncodedBlock] {
    var noise = Noise(seed: 7)
    return (0..<count).map { index in
        EncodedBlock(noise.bytes(upTo: index % 9 == 0 ? 3000 : 90), codec: .raw)
    }
}

private func archive(_ blocks: [EncodedBlock], roots: [CID]) -> [UInt8] {
    var out = CAR.header(roots: roots)
    for block in blocks {
        let before = out.count
        out += CAR.sectionHeader(block.cid, payloadLength: block.bytes.count)
        out += block.bytes
        let size = CAR.sectionSize(block.cid, payloadLength: block.bytes.count)
        #expect(UInt64(out.count - before) == size)
    }
    return out
}

@Suite struct CARFixtureTests {
    @Test("the published archives hold what their descriptions say", arguments: [1, 2])
    func basic(version: Int) throws {
        let bytes = try Vectors.bytes("car/carv\(version)-basic.car")
        let text = try Vectors.bytes("car/carv\(version)-basic.json")
        let description = try DagJSON.decode(text.rawSpan)
        let contents = try Contents(of: bytes)
        var roots: [CID] = []
        if case .list(let elements) = description["header"]?["roots"] {
            for case .link(let cid) in elements { roots.append(cid) }
        }
        #expect(contents.roots == roots)
        guard case .list(let blocks) = description["blocks"] else {
            Issue.record("no blocks in the description")
            return
        }
        #expect(contents.blocks.count == blocks.count)
        for (found, expected) in zip(contents.blocks, blocks) {
            #expect(expected["cid"] == .link(found.cid))
            #expect(expected["offset"] == .integer(Int128(found.offset)))
            #expect(expected["blockLength"] == .integer(Int128(found.bytes.count)))
            try found.cid.hash.verify(found.bytes.rawSpan)
            let value = try IPLDCodec.decode(found.bytes.rawSpan, codec: found.cid.codec)
            let content = try #require(expected["content"])
            #expect(try DagJSON.encode(value) == DagJSON.encode(content))
        }
        guard let header = contents.v2Header else { return }
        #expect(header.dataOffset == 51 && header.dataSize == 448 && header.indexOffset == 499)
        #expect(header.encoded() == Array(bytes.prefix(CARv2Header.size)))
        // The fixture's index is of a draft that had no format number.
        #expect(throws: DecodeError.self) {
            try CARIndex(decoding: Array(bytes.dropFirst(499)).rawSpan)
        }
    }

    @Test(
        "sections that are told by their heads are the same, and need only their heads",
        arguments: [1, 2, 40, 1000])
    func heads(piece: Int) throws {
        let blocks = sampleBlocks(20)
        let bytes = archive(blocks, roots: [blocks[0].cid])
        let contents = try Contents(of: bytes, piece: piece, .heads)
        #expect(contents.blocks.map(\.cid) == blocks.map(\.cid))
        #expect(contents.blocks.map(\.bytes) == blocks.map(\.bytes))
        #expect(contents.mostAsked < 100)
    }

    @Test(
        "an index finds every block of its archive",
        arguments: ["sample-rw-bs-v2.car", "sample-unixfs-v2.car"])
    func indexed(file: String) throws {
        let bytes = try Vectors.bytes("car/" + file)
        let contents = try Contents(of: bytes, piece: 50)
        let header = try #require(contents.v2Header)
        try header.check(fileSize: UInt64(bytes.count))
        let place = Int(try #require(header.indexOffset))
        let stored = Array(bytes[place...])
        let index = try CARIndex(decoding: stored.rawSpan)
        #expect(index.count == contents.blocks.count && index.count > 0)
        var entries: [CARIndex.Entry] = []
        for block in contents.blocks {
            let offset = UInt64(block.offset) - header.dataOffset
            #expect(index.offset(of: block.cid.hash, in: stored.rawSpan) == offset)
            entries.append(CARIndex.Entry(block.cid.hash, offset: offset))
        }
        #expect(CARIndex.encode(entries, as: index.format) == stored)
    }

    @Test("published index files are read whole")
    func indexFiles() throws {
        let sorted = try Vectors.bytes("car/sample-index.carindex")
        let grouped = try Vectors.bytes("car/sample-multihash-index-sorted.carindex")
        let sortedIndex = try CARIndex(decoding: sorted.rawSpan)
        let groupedIndex = try CARIndex(decoding: grouped.rawSpan)
        #expect(sortedIndex.format == .sorted && groupedIndex.format == .multihashSorted)
        // The older file also lists the identity CIDs.
        #expect(sortedIndex.count == 1049 && groupedIndex.count == 1043)
    }

    @Test(
        "an archive that lies is refused with its reason",
        arguments: [
            ("badheaderlength.car", DecodeError.Kind.overLimit),
            ("badsectionlength.car", .overLimit),
            ("sample-corrupt-pragma.car", .truncated),
            ("sample-rootless-v42.car", .unsupported),
            ("sample-v1-with-zero-len-section2.car", .malformed),
        ])
    func refused(file: String, kind: DecodeError.Kind) throws {
        let bytes = try Vectors.bytes("car/" + file)
        let error = #expect(throws: DecodeError.self) { _ = try Contents(of: bytes) }
        #expect(error?.kind == kind)
    }

    @Test func aSmallDirectoryIsReadWhole() throws {
        let contents = try Contents(of: try Vectors.bytes("car/simple-unixfs.car"), piece: 1)
        #expect(contents.blocks.contains { $0.cid == contents.roots.first })
        for block in contents.blocks { try block.cid.hash.verify(block.bytes.rawSpan) }
    }
}

@Suite struct CARRoundTripTests {
    @Test("the pieces in which an archive arrives make no difference", arguments: [1, 7, 64, 5000])
    func pieces(piece: Int) throws {
        let blocks = sampleBlocks(60)
        let roots = [blocks[3].cid, try #require(CID(v0: blocks[4].cid.hash))]
        let bytes = archive(blocks, roots: roots)
        let contents = try Contents(of: bytes, piece: piece)
        #expect(contents.roots == roots)
        #expect(contents.blocks.map(\.cid) == blocks.map(\.cid))
        #expect(contents.blocks.map(\.bytes) == blocks.map(\.bytes))
    }

    @Test(
        "a version 2 archive reads back, with padding and index",
        arguments: [CARIndex.Format.sorted, .multihashSorted])
    func version2(format: CARIndex.Format) throws {
        var blocks = sampleBlocks(30)
        blocks.append(try EncodedBlock([1, 2, 3], codec: .raw, hash: .sha2_512))
        blocks.append(try EncodedBlock([1, 2, 4], codec: .raw, hash: .sha1))
        let stream = archive(blocks, roots: [blocks[0].cid])
        let plain = try Contents(of: stream)
        let entries = plain.blocks.map {
            CARIndex.Entry($0.cid.hash, offset: UInt64($0.offset))
        }
        let index = CARIndex.encode(entries.shuffled(), as: format)
        var header = CARv2Header(dataSize: UInt64(stream.count), index: .withoutIdentity)
        header.dataOffset += 100
        header.indexOffset = header.indexOffset.map { $0 + 107 }
        let file =
            header.encoded() + [UInt8](repeating: 0xaa, count: 100) + stream
            + [UInt8](repeating: 0, count: 7) + index
        let contents = try Contents(of: file, piece: 33)
        #expect(contents.v2Header == header)
        #expect(contents.blocks.map(\.cid) == blocks.map(\.cid))
        let read = try CARIndex(decoding: index.rawSpan)
        for entry in entries {
            #expect(read.offset(of: entry.hash, in: index.rawSpan) == entry.offset)
        }
        let other = EncodedBlock([9, 9, 9], codec: .raw)
        #expect(read.offset(of: other.cid.hash, in: index.rawSpan) == nil)
    }

    @Test func anArchiveWithoutBlocksOrRootsIsRead() throws {
        let contents = try Contents(of: CAR.header(roots: []))
        #expect(contents.roots.isEmpty && contents.blocks.isEmpty)
    }
}

@Suite struct CARHostileInputTests {
    @Test("a header of 1 GiB is refused before anything is asked for")
    func hugeHeader() {
        var bytes: [UInt8] = []
        bytes.appendVarint(1 << 30)
        bytes += [0xa2, 0x65]
        var reader = CARReader()
        let error = #expect(throws: DecodeError.self) { _ = try reader.next(bytes.rawSpan) }
        #expect(error?.kind == .overLimit)
    }

    @Test("a block over 2 MiB is refused, one of 2 MiB is taken")
    func largeBlock() throws {
        let largest = EncodedBlock([UInt8](repeating: 1, count: BlockLimits.maxBytes), codec: .raw)
        let contents = try Contents(of: archive([largest], roots: [largest.cid]))
        #expect(contents.blocks.first?.bytes.count == BlockLimits.maxBytes)
        for excess in [1, 1000, 1 << 40] {
            let header = CAR.sectionHeader(
                largest.cid, payloadLength: BlockLimits.maxBytes + excess)
            let bytes =
                CAR.header(roots: []) + header
                + [UInt8](repeating: 0, count: BlockLimits.maxBytes + min(excess, 1000))
            let error = #expect(throws: DecodeError.self) { _ = try Contents(of: bytes) }
            #expect(error?.kind == .overLimit)
        }
    }

    @Test("sections and data outside of what a version 2 header says are refused")
    func lyingHeader() throws {
        let blocks = sampleBlocks(5)
        let stream = archive(blocks, roots: [])
        let size = UInt64(stream.count)
        for dataSize in [size - 1, size - 40, 3, 17] {
            let file = CARv2Header(dataSize: dataSize, index: nil).encoded() + stream
            #expect(throws: DecodeError.self) { _ = try Contents(of: file) }
        }
        var header = CARv2Header(dataSize: size, index: .full)
        #expect(throws: DecodeError.self) { try header.check(fileSize: size) }
        #expect(throws: DecodeError.self) { try header.check(fileSize: size + 51) }
        try header.check(fileSize: size + 52)
        for (offset, size, index) in [
            (UInt64.max, size, nil), (0, size, nil), (51, UInt64.max, nil), (51, 0, nil),
            (51, size, 51), (51, size, size + 50),
        ] as [(UInt64, UInt64, UInt64?)] {
            header.dataOffset = offset
            header.dataSize = size
            header.indexOffset = index
            let bytes = header.encoded()
            #expect(throws: DecodeError.self) { try CARv2Header(decoding: bytes.rawSpan) }
        }
    }

    @Test("an archive that ends early is refused, unless it ends between two blocks")
    func truncation() throws {
        let blocks = sampleBlocks(4)
        let bytes = archive(blocks, roots: [blocks[0].cid])
        let whole = try Contents(of: bytes)
        let boundaries = Set(whole.blocks.map(\.offset))
        for length in 0..<bytes.count {
            let prefix = Array(bytes.prefix(length))
            if boundaries.contains(length) {
                #expect(throws: Never.self) { _ = try Contents(of: prefix) }
            } else {
                #expect(throws: DecodeError.self) { _ = try Contents(of: prefix) }
            }
        }
    }

    @Test("no noise traps the reader, and it asks for no more than its limits", arguments: 0..<8)
    func noise(seed: UInt64) throws {
        let blocks = sampleBlocks(6)
        let stream = archive(blocks, roots: [blocks[0].cid])
        let entries = blocks.map { CARIndex.Entry($0.cid.hash, offset: 5) }
        let index = CARIndex.encode(entries, as: .multihashSorted)
        let file =
            CARv2Header(dataSize: UInt64(stream.count), index: .full).encoded() + stream + index
        expectNoTrap(on: file, seed: seed) { bytes in
            let contents = try? Contents(of: bytes)
            #expect((contents?.mostAsked ?? 0) <= CAR.maxSectionBytes + 4)
        }
        expectNoTrap(on: index, seed: seed) { bytes in
            guard let read = try? CARIndex(decoding: bytes.rawSpan) else { return }
            _ = read.offset(of: blocks[1].cid.hash, in: bytes.rawSpan)
        }
    }
}
