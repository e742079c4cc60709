// Pages that meet at a node: what they ask whom, and what those that mean harm can do.

import IPLD
import Multiformats
import Peering
import Testing
import Wire

@testable import BrowserCore

@Suite struct PageMeetingTests {
    /// Blocks by their hashes, of a folder of pictures of so many bytes: its CID, and them.
    private static func folder(
        _ count: Int, of size: Int
    ) throws -> (cid: CID, blocks: [Multihash: [UInt8]], pictures: [[UInt8]]) {
        var blocks: [Multihash: [UInt8]] = [:]
        var pictures: [[UInt8]] = []
        var builder = DirectoryBuilder(.v1_2025)
        for number in 0..<count {
            let picture = content(size, seed: UInt64(number))
            let leaf = Profile.v1_2025.leaf(of: picture)
            blocks[leaf.block.cid.hash] = leaf.block.bytes
            try builder.add(Array("\(number)".utf8), leaf.entry)
            pictures.append(picture)
        }
        let root = try builder.finish()
        while let block = builder.nextBlock() { blocks[block.cid.hash] = block.bytes }
        return (root.cid, blocks, pictures)
    }

    private static func content(_ size: Int, seed: UInt64) -> [UInt8] {
        var noise = SeededGenerator(seed: seed + 77)
        return noise.bytes(size)
    }

    /// Has a page say that it has something, whether or not that is so.
    private func claim(_ hash: Multihash, at page: Int, in town: Town) throws {
        town.pages[page].peer.visitors?.guest.have(hash)
        town.pages[page].peer.reserve()
        try town.run()
    }

    /// Small pictures come from the node, which is near, as long as it is there; who reads them
    /// knows meanwhile who else has them.
    @Test("pages with small pictures of one folder know each other when their node is gone")
    func pictures() throws {
        let (folder, blocks, pictures) = try Self.folder(30, of: 3000)
        let town = try Town(blocks: blocks)
        for page in 0..<2 {
            try town.arrive()
            for number in pictures.indices {
                #expect(try town.read(folder, ["\(number)"], at: page) == pictures[number])
            }
        }
        try town.arrive()
        try town.wait(most: .seconds(2)) { false }
        let before = town.node.questions
        for number in 0..<10 {
            #expect(try town.read(folder, ["\(number)"], at: 2) == pictures[number])
        }
        // One question is enough for all of the folder, and none is asked in the first second.
        #expect(town.node.questions == before)
        try town.wait(most: .seconds(2)) { false }
        #expect(town.node.questions.hashes == before.hashes + 1)
        #expect(town.node.questions.messages == before.messages + 1)
        let asked = town.node.asked
        #expect(try town.read(folder, ["10"], at: 2) == pictures[10])
        try town.wait(most: .seconds(5)) { town.pages[2].visitors.count == 2 }
        #expect(town.pages[2].visitors.count == 2)
        #expect(town.node.asked <= asked + 1)
        town.node.stop()
        try town.run()
        for number in 11..<30 {
            #expect(try town.read(folder, ["\(number)"], at: 2) == pictures[number], "\(number)")
        }
    }

    @Test("a page that is alone asks once, and connects with nobody") func alone() throws {
        let (folder, blocks, pictures) = try Self.folder(20, of: 500)
        let town = try Town(blocks: blocks)
        try town.arrive()
        for number in pictures.indices {
            #expect(try town.read(folder, ["\(number)"], at: 0) == pictures[number])
        }
        try town.wait(most: .seconds(2)) { false }
        #expect(town.node.questions == (1, 1) && town.pages[0].calls == 0)
        // What is here is asked of nobody.
        let asked = town.node.asked
        for number in pictures.indices {
            #expect(try town.read(folder, ["\(number)"], at: 0) == pictures[number])
        }
        try town.wait(most: .seconds(20)) { false }
        #expect(town.node.questions == (1, 1) && town.node.asked == asked)
    }

    /// docs/limits.md: what a page has of a stream that the browser is to hash.
    @Test("a node that sends faster than the browser hashes is held back") func unhashed() throws {
        let content = Self.content(9 << 20, seed: 1)
        let blocks = try Self.file(content)
        let town = try Town(blocks: blocks.all)
        try town.arrive(hangs: true)
        let reading = try town.begin(blocks.root, at: 0)
        try town.wait(most: .milliseconds(200)) { false }
        let held = town.pages[0].hashing.orders.reduce(0) { $0 + $1.bytes.count }
        #expect(held > 0 && held <= PageChannel.maxUnhashed + 2 << 20, "\(held)")
        try town.wait(most: .milliseconds(200)) { false }
        #expect(town.pages[0].hashing.orders.reduce(0) { $0 + $1.bytes.count } == held)
        #expect(
            town.pages[0].peer.channels.values.allSatisfy { channel in
                channel.streams.values.allSatisfy { $0.unhashedBytes <= 6 << 20 }
            })
        // It goes on when the browser does.
        try town.wait(most: .seconds(20)) {
            try? town.hash(at: 0)
            return town.pages[0].finished.contains(reading)
        }
        let isRight = town.pages[0].content[reading] == content
        #expect(isRight, "\(town.pages[0].failures)")
    }

    private static func file(
        _ content: [UInt8]
    ) throws -> (root: CID, all: [Multihash: [UInt8]]) {
        var all: [Multihash: [UInt8]] = [:]
        var putting = Putting()
        putting.add(content.rawSpan) { all[$0.cid.hash] = $0.bytes }
        let root = putting.finish { all[$0.cid.hash] = $0.bytes }
        return (root, all)
    }

    /// A visitor with a film, and pages that say that they have it, too; another page reads it.
    private func read(
        _ size: Int, with liars: Int, _ harm: (TownPage) -> Void
    ) throws -> (town: Town, isRight: Bool) {
        let town = try Town()
        let film = Self.content(size, seed: 5)
        let owner = try town.arrive()
        let cid = try town.put(film, at: owner)
        for _ in 0..<liars {
            let liar = try town.arrive()
            harm(town.pages[liar])
            try claim(cid.hash, at: liar, in: town)
        }
        let reader = try town.arrive()
        let got = try town.read(cid, at: reader)
        return (town, got == film)
    }

    @Test("pages that say they have what they have not cost time alone") func boasters() throws {
        let (town, isRight) = try read(2 << 20, with: 5) { _ in }
        #expect(isRight, "\(town.pages.last?.failures ?? [:])")
    }

    @Test("pages that answer no offer are passed over") func silent() throws {
        let (town, isRight) = try read(2 << 20, with: 5) { $0.answersNoOffer = true }
        #expect(isRight, "\(town.pages.last?.failures ?? [:])")
        #expect(town.pages.dropFirst().prefix(5).allSatisfy { $0.offers <= 1 })
    }

    @Test("pages whose associations are not what they agreed on are passed over")
    func wrongFingerprints() throws {
        let (town, isRight) = try read(2 << 20, with: 5) { $0.answersWrongly = true }
        #expect(isRight, "\(town.pages.last?.failures ?? [:])")
    }

    @Test("pages that send wrong bytes are left, and not met again") func liars() throws {
        let (town, isRight) = try read(2 << 20, with: 3) { $0.sendsWrongBytes = true }
        #expect(isRight, "\(town.pages.last?.failures ?? [:])")
        let liars = town.pages.dropFirst().prefix(3).map { $0.peer.peer }
        let reader = try #require(town.pages.last)
        #expect(reader.visitors.allSatisfy { !liars.contains($0) })
    }

    /// One that fills the place with what it says, and calls everybody without end.
    @Test("a page that floods loses its stream, and the others go on") func flood() throws {
        let town = try Town()
        let film = Self.content(2 << 20, seed: 5)
        let owner = try town.arrive()
        let cid = try town.put(film, at: owner)
        let flooder = try town.arrive()
        for round in 0..<10 {
            for number in 0..<300 {
                let bytes = [UInt8(number & 255), UInt8(number >> 8), UInt8(round)]
                let hash = Multihash.sha2_256(of: bytes.rawSpan)
                town.pages[flooder].peer.visitors?.guest.have(hash)
                _ = town.pages[flooder].peer.visitors?.guest.ask(hash, now: town.now)
            }
            town.pages[flooder].peer.settle(now: town.now)
            try town.run()
        }
        #expect(town.pages[flooder].peer.visitors?.guest.welcomes.isEmpty == true)
        let reader = try town.arrive()
        #expect(try town.read(cid, at: reader) == film)
    }

    /// Others may begin so many associations with a page, and it has its own for what it wants.
    @Test("pages that call without end leave a page what it wants for itself") func callers()
        throws
    {
        let town = try Town()
        let film = Self.content(1 << 20, seed: 5)
        let owner = try town.arrive()
        let cid = try town.put(film, at: owner)
        let reader = try town.arrive()
        let song = try town.put(Self.content(100_000, seed: 6), at: reader)
        // They all want what the page has.
        for _ in 0..<20 {
            let caller = try town.arrive()
            _ = try town.begin(song, at: caller)
        }
        try town.wait(most: .seconds(2)) { false }
        #expect(town.pages[reader].visitors.count <= Visitors.maxCallers)
        #expect(town.pages[reader].offers <= Visitors.maxCallersAssociations)
        #expect(try town.read(cid, at: reader) == film)
    }
}
