// How much comes of what nobody has taken yet: on a phone it is paid for.

import IPLD
import Multiformats
import TestSupport
import Testing
import Wire

@testable import BrowserCore

@Suite struct ReadAheadTests {
    /// docs/browser.md says how far.
    @Test(
        "a page reads only so far ahead, whatever a file's blocks are like",
        arguments: [Profile.v1_2025, .v0_2015])
    func bound(profile: Profile) throws {
        var noise = SeededGenerator(seed: 3)
        let content = noise.bytes(12 << 20)
        let film = Self.file(content, profile)
        let readings: [(wanted: EntityBytes?, most: Int)] = [
            (nil, 8 << 20), (EntityBytes(from: 0, to: nil), 2 << 20),
            (EntityBytes(from: 5 << 20, to: nil), 2 << 20),
        ]
        for (wanted, most) in readings {
            let town = try Town(blocks: film.all)
            let page = town.pages[try town.arrive()]
            page.isPaused = true
            let reading = try town.begin(film.root, wanted: wanted, at: 0)
            try town.wait(most: .milliseconds(100)) { false }
            // Blocks have frames, and those above the others are no content.
            let given = town.node.given[0] ?? 0
            #expect(given > most / 2 && given < most + 128 << 10, "\(given)")
            // What is taken makes room for as much.
            page.isPaused = false
            page.peer.took(page.content[reading]?.count ?? 0, of: reading, now: town.now)
            try town.wait(most: .seconds(20)) { page.finished.contains(reading) }
            let rest = content.dropFirst(Int(wanted?.from ?? 0))
            let isRight = page.content[reading]?.elementsEqual(rest) == true
            #expect(isRight, "\(page.failures)")
        }
    }

    /// Its length is told by the first block, and its type by the next one.
    @Test("a page that asks what there is reads nothing ahead") func head() throws {
        var noise = SeededGenerator(seed: 4)
        let film = Self.file(noise.bytes(4 << 20), .v1_2025)
        let town = try Town(blocks: film.all)
        let page = try town.arrive()
        town.pages[page].isPaused = true
        try town.begin(film.root, isHead: true, at: page)
        try town.wait(most: .milliseconds(100)) { false }
        #expect(town.node.asked == 2)
    }

    private static func file(
        _ content: [UInt8], _ profile: Profile
    ) -> (root: CID, all: [Multihash: [UInt8]]) {
        var all: [Multihash: [UInt8]] = [:]
        var builder = FileBuilder(profile)
        let size = profile.cidVersion == .v0 ? 256 << 10 : 1 << 20
        for start in stride(from: 0, to: content.count, by: size) {
            let leaf = profile.leaf(of: Array(content[start..<(start + size)]))
            all[leaf.block.cid.hash] = leaf.block.bytes
            builder.add(leaf.entry)
        }
        let root = builder.finish()
        while let block = builder.nextBlock() { all[block.cid.hash] = block.bytes }
        return (root.cid, all)
    }
}
