// Pages, and a node at which they meet, in one process: the pages are those that browsers run, and
// what browsers do for them is done here.

import Connections
import IPLD
import Multiformats
import Peering
import TestSupport
import Testing
import Wire

@testable import BrowserCore

/// A page, and what its script knows.
final class TownPage {
    /// What the browser was asked to hash and has not.
    final class Hashing {
        var orders: [(number: UInt32, bytes: [UInt8])] = []
    }

    let peer: ContentPeer
    let hashing = Hashing()
    /// What was read, by reading; those that are over, and those that failed, with the reason.
    var content: [UInt32: [UInt8]] = [:]
    var finished: Set<UInt32> = []
    var failures: [UInt32: String] = [:]
    /// Where associations lead to, by their channels.
    var associations: [UInt32: (page: Int, channel: UInt32)] = [:]
    /// With whom it is connected.
    var connected: [UInt32: PeerID] = [:]
    /// How often it was offered an association, and began one.
    var offers = 0
    var calls = 0
    /// What it means to do wrong.
    var sendsWrongBytes = false
    var answersNoOffer = false
    var answersWrongly = false
    /// Whether nothing comes to it on its associations, of whose end nobody hears either.
    var isDeaf = false
    /// Whether its script takes nothing more of what it reads.
    var isPaused = false

    /// A page whose browser hashes blocks itself, if it is so said, and never tells.
    init(seed: UInt64, hangs: Bool) throws {
        var noise = SeededGenerator(seed: seed)
        let hashing = self.hashing
        peer = try ContentPeer(
            secret: noise.bytes(64), agent: Array("test".utf8), cacheLimit: 64 << 20
        ) { number, bytes in
            if hangs { hashing.orders.append((number, Array(bytes))) }
            return hangs
        }
        peer.isServing = true
    }

    var visitors: [PeerID] {
        connected.filter { $0.key >= Town.firstAssociation }.map { $0.value }
    }
}

/// Some pages and a node.
final class Town {
    static let firstAssociation: UInt32 = 100
    /// The channel of a page that leads to the node.
    private static let toNode: UInt32 = 1

    let node: TownNode
    var pages: [TownPage] = []
    private(set) var now = Instant(nanoseconds: 1_000_000_000)
    private var nextChannel = Town.firstAssociation
    private var reading: UInt32 = 0

    init(blocks: [Multihash: [UInt8]] = [:]) throws {
        node = try TownNode(blocks: blocks, now: now)
    }

    /// A page comes, is connected with the node, and meets others there. Answers its number.
    @discardableResult
    func arrive(hangs: Bool = false) throws -> Int {
        let number = pages.count
        let page = try TownPage(seed: UInt64(number + 1), hangs: hangs)
        pages.append(page)
        var noise = SeededGenerator(seed: UInt64(number + 1000))
        let address = try Multiaddr(text: "/ip4/127.0.0.1/tcp/1/ws/p2p/\(node.peer)")
        try node.accept(number, secrets: ConnectionSecrets(noise.bytes(56)), now: now)
        try page.peer.opened(
            Self.toNode, to: address, random: noise.bytes(ConnectionSecrets.byteCount), now: now)
        page.peer.meet(
            clock: WallClock(Timestamp(seconds: 1_700_000_000, nanoseconds: 0), at: now), now: now)
        try run()
        return number
    }

    /// A page adds content; answers its CID.
    func put(_ content: [UInt8], at page: Int) throws -> CID {
        let peer = pages[page].peer
        let hasRoom = peer.put(1, content.rawSpan, now: now)
        let cid = peer.endPutting(1, now: now)
        try run()
        return try #require(hasRoom ? cid : nil)
    }

    /// A page begins to read; answers the reading.
    @discardableResult
    func begin(
        _ cid: CID, _ path: [String] = [], wanted: EntityBytes? = nil, isHead: Bool = false,
        at page: Int
    ) throws -> UInt32 {
        reading += 1
        pages[page].content[reading] = []
        pages[page].peer.read(
            reading, Reading(root: cid, path: path, wanted: wanted, isListing: false),
            isHead: isHead, isLocal: false, isSecret: false, patience: .seconds(30), now: now)
        try run()
        return reading
    }

    /// A page reads all; answers what came, and nil if it failed.
    func read(_ cid: CID, _ path: [String] = [], at page: Int) throws -> [UInt8]? {
        let reading = try begin(cid, path, at: page)
        try wait(most: .seconds(40)) {
            let page = self.pages[page]
            return page.finished.contains(reading) || page.failures[reading] != nil
        }
        return pages[page].finished.contains(reading) ? pages[page].content[reading] : nil
    }

    /// The browser has hashed what it was asked to.
    func hash(at page: Int) throws {
        let orders = pages[page].hashing.orders
        pages[page].hashing.orders = []
        for (number, bytes) in orders {
            pages[page].peer.hashed(number, Multihash.sha2_256(of: bytes.rawSpan).digest, now: now)
        }
        try run()
    }

    /// Time passes until something is so, at the most so long.
    func wait(most: Duration, until isSo: () -> Bool) throws {
        let end = now + most
        while !isSo(), now < end {
            let due = pages.map { $0.peer.deadline }.reduce(node.deadline) { $0.earlier($1) }
            now = min(end, max(due ?? end, now + .milliseconds(1)))
            for page in pages { page.peer.advance(to: now) }
            node.advance(to: now)
            try run()
        }
    }

    // MARK: What is on its way

    /// Carries what all have to say, until nobody says anything.
    func run() throws {
        var isBusy = true
        var steps = 0
        while isBusy {
            isBusy = false
            steps += 1
            try #require(steps < 100_000, "they never stop")
            for page in pages.indices {
                if try carry(from: page) { isBusy = true }
                while let event = pages[page].peer.nextEvent() {
                    isBusy = true
                    try take(event, of: page)
                }
                if node.carry(to: page, pages[page].peer, Self.toNode, now: now) { isBusy = true }
            }
        }
    }

    private func carry(from number: Int) throws -> Bool {
        let page = pages[number].peer
        var hasSent = false
        let leaving = page.leaving
        page.leaving = []
        for channel in page.channelOrder.compactMap({ page.channels[$0] }) + leaving
        where channel.carrier == nil {
            while channel.number == Self.toNode {
                let bytes = page.transmit(on: channel)
                guard !bytes.isEmpty else { break }
                hasSent = true
                node.receive(bytes, from: number, now: now)
            }
            guard let (other, far) = pages[number].associations[channel.number] else { continue }
            while let order = channel.nextOrder(now: now) {
                hasSent = true
                if pages[other].isDeaf { continue }
                switch order {
                case .send(var bytes, let kind, let stream):
                    if pages[number].sendsWrongBytes, bytes.count > 1000 { bytes[900] ^= 1 }
                    pages[other].peer.receive(bytes, kind, on: stream, of: far, now: now)
                case .close(let stream):
                    pages[other].peer.closed(stream, byPeer: true, of: far, now: now)
                    page.closed(stream, byPeer: false, of: channel.number, now: now)
                }
            }
        }
        if hasSent { page.settle(now: now) }
        return hasSent
    }

    private func take(_ event: ContentPeer.Event, of number: Int) throws {
        let page = pages[number]
        switch event {
        case .ready(let channel, let peer): page.connected[channel] = peer
        case .ended(let channel, _):
            page.connected[channel] = nil
            guard let (other, far) = page.associations.removeValue(forKey: channel) else { return }
            pages[other].associations[far] = nil
            pages[other].peer.closed(far, now: now)
        case .bytes(let reading, let bytes):
            page.content[reading, default: []] += bytes
            if !page.isPaused { page.peer.took(bytes.count, of: reading, now: now) }
        case .finished(let reading): page.finished.insert(reading)
        case .failed(let reading, let fault): page.failures[reading] = fault.told.text
        case .signal(let call, let step, let text): signal(call, step, text, of: number)
        default: break
        }
    }

    /// What a script does about associations. An offer and an answer name the page and its call.
    private func signal(_ call: UInt64, _ step: SignalStep, _ text: [UInt8], of number: Int) {
        let page = pages[number]
        switch step {
        case .wanted:
            page.calls += 1
            page.peer.say(.offer, [UInt8(number), UInt8(call)], in: call, now: now)
        case .offer:
            page.offers += 1
            guard !page.answersNoOffer else { return }
            page.peer.say(.answer, [UInt8(number), UInt8(call)], in: call, now: now)
        case .answer:
            // What has another fingerprint than was agreed on, the browser lets nobody have.
            guard text.count == 2, !pages[Int(text[0])].answersWrongly else {
                return page.peer.say(.failed, [], in: call, now: now)
            }
            associate((number, call), (Int(text[0]), UInt64(text[1])))
        case .candidate: break
        case .failed: page.peer.say(.failed, [], in: call, now: now)
        }
    }

    private func associate(
        _ caller: (page: Int, call: UInt64), _ callee: (page: Int, call: UInt64)
    ) {
        let channels = (nextChannel, nextChannel + 1)
        nextChannel += 2
        pages[caller.page].associations[channels.0] = (callee.page, channels.1)
        pages[callee.page].associations[channels.1] = (caller.page, channels.0)
        let isMet = pages[caller.page].peer.met(caller.call, channels.0, isServer: true, now: now)
        let isMetThere = pages[callee.page].peer.met(
            callee.call, channels.1, isServer: false, now: now)
        guard !isMet || !isMetThere else { return }
        pages[caller.page].associations[channels.0] = nil
        pages[callee.page].associations[channels.1] = nil
        if isMet { pages[caller.page].peer.closed(channels.0, now: now) }
        if isMetThere { pages[callee.page].peer.closed(channels.1, now: now) }
    }
}
