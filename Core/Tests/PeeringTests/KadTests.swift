import IPLD
import Multiformats
import TestSupport
import Testing
import Wire

@testable import Peering

#if HostCrypto
    /// A record that holds for a year from the time of the tests.
    func ipnsRecord(signedWith key: PrivateKey, sequence: UInt64) throws -> [UInt8] {
        try IPNSRecord(
            value: "/ipfs/bafkqaaa", sequence: sequence,
            validUntil: Timestamp(seconds: 1_830_000_000), ttlNanoseconds: 0, signingWith: key
        ).encoded
    }
#endif

@Suite struct KadTests {
    /// Places of the specification's examples.
    @Test func places() throws {
        let id = try PeerID(text: "12D3KooWLU2znyJMtDiHArqAGbZn8CgUGp92kxDBtefftEEaHSZS")
        #expect(
            hex(KadID(id).bytes)
                == "e43d28f0996557c0d5571d75c62a57a59d7ac1d30a51ecedcdb9d5e4afa56100")
        let cid = try CID(text: "bafybeihfg3d7rdltd43u3tfvncx7n5loqofbsobojcadtmokrljfthuc7y")
        #expect(
            hex(KadID(of: cid.hash.bytes).bytes)
                == "d623250f3f660ab4c3a53d3c97b3f6a0194c548053488d093520206248253bcb")
    }

    /// The distance is a metric, and as many bits are shared as it has zeros in front.
    @Test func distances() {
        var random = SeededGenerator(seed: 1)
        for _ in 0..<200 {
            let ids = (0..<3).map { _ in KadID(digest: random.bytes(32)) }
            #expect(ids[0].distance(to: ids[1]) == ids[1].distance(to: ids[0]))
            #expect(ids[0].distance(to: ids[0]).leadingZeroBits == 256)
            let shared = ids[0].commonPrefix(with: ids[1])
            let (a, b) = (ids[0].bytes, ids[1].bytes)
            let bits = (0..<256).first { (bit: Int) -> Bool in
                let differing: UInt8 = a[bit / 8] ^ b[bit / 8]
                return differing & (0x80 >> UInt8(bit % 8)) != 0
            }
            #expect(bits == shared)
        }
    }

    static func message() throws -> KadMessage {
        var message = KadMessage(.getProviders, key: [1, 2, 3])
        message.record = KadRecord(key: [1, 2, 3], value: [4], timeReceived: Array("now".utf8))
        message.closerPeers = [
            KadPeer(try peer(1), [try address("/ip4/8.8.8.8/tcp/1"), try address("/dns/x/tcp/2")])
        ]
        message.providers = [KadPeer(try peer(2), [])]
        return message
    }

    /// Messages read as they were written, and noise crashes nothing.
    @Test func codec() throws {
        let message = try Self.message()
        let bytes = message.encoded
        #expect(try KadMessage(decoding: bytes.rawSpan) == message)
        for length in 0..<bytes.count {
            let part = Array(bytes[..<length])
            _ = try? KadMessage(decoding: part.rawSpan)
        }
        var noise = Noise(seed: 5)
        for _ in 0..<3_000 {
            let changed = noise.mutation(of: bytes)
            guard let read = try? KadMessage(decoding: changed.rawSpan) else { continue }
            #expect(try KadMessage(decoding: read.encoded.rawSpan) == read)
        }
    }

    /// Unknown address protocols and peers without readable ids do not spoil a message; a flood of
    /// peers and addresses is cut off.
    @Test func tolerance() throws {
        var body: [UInt8] = []
        body.appendField(1, bytes: try peer(1).bytes)
        body.appendField(2, bytes: [0xff, 0x7f, 1])
        for port in 0..<100 as Range<UInt8> {
            body.appendField(2, bytes: [4, 8, 8, 8, 8, 6, 1, port])
        }
        body.appendField(3, varint: 1)
        var bytes: [UInt8] = []
        bytes.appendField(1, varint: 4)
        bytes.appendField(10, varint: 1)
        bytes.appendField(8, bytes: [10, 2, 9, 9])
        for _ in 0..<200 { bytes.appendField(8, bytes: body) }
        let message = try KadMessage(decoding: bytes.rawSpan)
        #expect(message.kind == .findNode)
        #expect(message.closerPeers.count == KadMessage.maxPeers)
        #expect(message.closerPeers[0].addresses.count == KadPeer.maxAddresses)
    }

    /// The table gives the same nearest peers as sorting everybody it holds.
    @Test func nearest() throws {
        var random = SeededGenerator(seed: 2)
        let own = KadID(digest: random.bytes(32))
        var table = RoutingTable(own: own, diversity: nil)
        for _ in 0..<500 {
            let id = try peer(random.next())
            table.answered(id, KadID(id), group: 0, now: instant(1))
        }
        #expect(table.buckets.allSatisfy { $0.count <= Kad.bucketSize })
        #expect(table.buckets.reduce(0) { $0 + $1.count } == table.count)
        let all = table.buckets.flatMap { $0 }
        for _ in 0..<100 {
            let target = KadID(digest: random.bytes(32))
            let sorted = all.sorted { $0.id.distance(to: target) < $1.id.distance(to: target) }
            for count in [1, 20, 60] {
                #expect(
                    table.nearest(to: target, count: count).map(\.peer)
                        == sorted.prefix(count).map(\.peer))
            }
        }
    }

    /// Peers of one network get two places in a bucket and three in all; peers that failed twice
    /// go; who is silent for long gives way, who answers does not.
    @Test func admission() throws {
        var random = SeededGenerator(seed: 3)
        let own = KadID(digest: random.bytes(32))
        var table = RoutingTable(own: own, diversity: .init(overall: 3, perBucket: 2))
        for _ in 0..<300 {
            let id = try peer(random.next())
            table.answered(id, KadID(id), group: 77, now: instant(1))
        }
        #expect(table.count == 3)
        #expect(table.buckets.allSatisfy { $0.count <= 2 })

        table = RoutingTable(own: own, diversity: nil)
        var far: [PeerID] = []
        while far.count < 25 {
            let id = try peer(random.next())
            if own.commonPrefix(with: KadID(id)) == 0 { far.append(id) }
        }
        for id in far { table.answered(id, KadID(id), group: 0, now: instant(1)) }
        #expect(table.buckets[0].map(\.peer) == Array(far[..<20]))
        table.failed(KadID(far[3]))
        #expect(table.contains(KadID(far[3])))
        table.answered(far[20], KadID(far[20]), group: 0, now: instant(2))
        #expect(!table.contains(KadID(far[3])))
        for id in far[..<20] { table.answered(id, KadID(id), group: 0, now: instant(3_000)) }
        table.answered(far[21], KadID(far[21]), group: 0, now: instant(3_700))
        #expect(table.contains(KadID(far[21])))
        #expect(!table.contains(KadID(far[20])))
        for _ in 0..<2 { table.failed(KadID(far[21])) }
        #expect(!table.contains(KadID(far[21])))
    }

    /// The stores hold their limits, keep what is near, and forget what has expired.
    @Test func stores() throws {
        let own = KadID(try peer(0))
        var store = ProviderStore(own: own, limit: 1_000)
        for number in 0..<5_000 as Range<UInt64> {
            let key = KadNetworkTests.hash(number).bytes
            store.add(try peer(number), for: key, until: instant(100), now: instant(1))
            #expect(store.count <= 1_000)
        }
        let key = KadNetworkTests.hash(7_777).bytes
        for number in 0..<200 as Range<UInt64> {
            store.add(try peer(number), for: key, until: instant(200), now: instant(1))
        }
        #expect(store.providers(of: key, now: instant(150)).count <= ProviderStore.maxPerKey)
        #expect(store.providers(of: key, now: instant(200)).isEmpty)
        store.removeExpired(now: instant(300))
        #expect(store.count == 0)
    }

    /// A server answers what the specification says, keeps only what the sender may say, and drops
    /// the streams of those that break the rules.
    @Test func serving() throws {
        var server = Kad(
            own: try peer(0), configuration: .wide(.server, storage: .home),
            clock: WallClock(Timestamp(seconds: 1_800_000_000), at: instant(0)), seed: 1)
        server.ownAddresses = [
            try address("/ip4/8.8.4.4/tcp/1"), try address("/ip4/10.0.0.1/tcp/1"),
        ]
        var book = AddressBook(limits: .home)
        let asker = try peer(1)
        let stream = StreamID(connection: 1, stream: 1)
        server.receive(
            .accepted(stream, asker, PeerProtocols.kad), addresses: &book, now: instant(1))
        func ask(_ message: KadMessage) throws -> KadMessage? {
            server.receive(.message(stream, message.encoded), addresses: &book, now: instant(1))
            guard case .send(_, let bytes) = server.nextTransmit() else { return nil }
            return try KadMessage(decoding: bytes.rawSpan)
        }
        // Itself, with public addresses alone, to who looks for it.
        let own = try ask(KadMessage(.findNode, key: server.own.bytes))
        #expect(own?.closerPeers == [KadPeer(server.own, [server.ownAddresses[0]])])
        #expect(try ask(KadMessage(.ping))?.kind == .ping)
        // A record about somebody else does not count, nor does one without addresses.
        let key = KadNetworkTests.hash(1).bytes
        var record = KadMessage(.addProvider, key: key)
        record.providers = [KadPeer(try peer(2), [try address("/ip4/9.9.9.9/tcp/1")])]
        #expect(try ask(record) == nil)
        record.providers = [KadPeer(asker, [try address("/ip4/192.168.0.1/tcp/1")])]
        #expect(try ask(record) == nil)
        #expect(try ask(KadMessage(.getProviders, key: key))?.providers == [])
        record.providers = [KadPeer(asker, [try address("/ip4/9.9.9.9/tcp/1")])]
        #expect(try ask(record) == nil)
        #expect(try ask(KadMessage(.getProviders, key: key))?.providers == record.providers)
        // Rules.
        server.receive(
            .message(stream, KadMessage(.findNode).encoded), addresses: &book, now: instant(1))
        #expect(server.nextTransmit() == .reset(stream))
        #expect(server.nextEvent() == .violation(asker, .badKey))
    }

    /// A client answers nobody, and a peer may not hold all streams.
    @Test func streamLimits() throws {
        var server = Kad(
            own: try peer(0), configuration: .wide(.server, storage: .home),
            clock: WallClock(Timestamp(seconds: 1_800_000_000), at: instant(0)), seed: 1)
        var book = AddressBook(limits: .home)
        for index in 0..<40 as Range<UInt32> {
            server.receive(
                .accepted(StreamID(connection: 1, stream: index), try peer(1), PeerProtocols.kad),
                addresses: &book, now: instant(1))
        }
        var resets = 0
        while let order = server.nextTransmit() {
            if case .reset = order { resets += 1 }
        }
        #expect(resets == 40 - Kad.maxIncomingPerPeer)
        // Silence ends them all.
        server.advance(to: instant(62), addresses: &book)
        #expect(server.incoming.isEmpty && server.incomingCounts.isEmpty)
        server.mode = .client
        let late = StreamID(connection: 2, stream: 1)
        server.receive(
            .accepted(late, try peer(1), PeerProtocols.kad), addresses: &book, now: instant(63))
        var last: StreamOrder?
        while let order = server.nextTransmit() { last = order }
        #expect(last == .reset(late))
    }

    /// A question that a limit of this node holds back is tried again, and nobody is asked in the
    /// place of the peer, who is not to blame.
    @Test func held() throws {
        var (kad, book, other) = (try client(), AddressBook(limits: .home), try peer(1))
        kad.join(by: [other], addresses: &book, now: instant(1))
        var now = instant(1)
        var tries = 0
        while now < instant(4) {
            kad.advance(to: now, addresses: &book)
            while let order = kad.nextTransmit() {
                guard case .open(other, let names, let request) = order else { continue }
                tries += 1
                guard tries == 8 else {
                    kad.receive(.refused(request: request, .overLimit), addresses: &book, now: now)
                    continue
                }
                let stream = StreamID(connection: 1, stream: 1)
                kad.receive(
                    .opened(request: request, stream, names[0]), addresses: &book, now: now)
                kad.receive(
                    .message(stream, KadMessage(.findNode, key: [1]).encoded), addresses: &book,
                    now: now)
            }
            now = now + .milliseconds(50)
        }
        #expect(tries == 8)
        #expect(kad.knownPeers == [other])
    }

    /// Dials are few: a peer that is not reached within the patience is given up, and so is one
    /// that a cancelled command waits for.
    @Test func withdrawn() throws {
        var (kad, book, other) = (try client(), AddressBook(limits: .home), try peer(1))
        kad.join(by: [other], addresses: &book, now: instant(1))
        guard case .open(other, _, let first)? = kad.nextTransmit() else { throw Nothing() }
        kad.advance(to: instant(3), addresses: &book)
        #expect(kad.nextTransmit() == nil)
        kad.advance(to: instant(4), addresses: &book)
        #expect(kad.nextTransmit() == .withdraw(other, request: first))

        kad.join(by: [other], addresses: &book, now: instant(5))
        guard case .open(other, let names, let request)? = kad.nextTransmit() else {
            throw Nothing()
        }
        let stream = StreamID(connection: 1, stream: 1)
        kad.receive(.opened(request: request, stream, names[0]), addresses: &book, now: instant(5))
        guard case .send? = kad.nextTransmit() else { throw Nothing() }
        kad.receive(
            .message(stream, KadMessage(.findNode, key: [1]).encoded), addresses: &book,
            now: instant(5))
        kad.advance(to: instant(20), addresses: &book)
        while kad.nextTransmit() != nil {}
        let command = kad.findClosest(to: [1], addresses: &book, now: instant(20))
        guard case .open(other, _, let last)? = kad.nextTransmit() else { throw Nothing() }
        kad.cancel(command)
        #expect(kad.nextTransmit() == .withdraw(other, request: last))
    }

    private struct Nothing: Error {}

    private func client() throws -> Kad {
        Kad(
            own: try peer(0), configuration: .wide(.client, storage: .home),
            clock: WallClock(Timestamp(seconds: 1_800_000_000), at: instant(0)), seed: 1)
    }

    /// A node that has lost everyone joins again by the peers it knows, and one that nobody can
    /// reach announces nothing.
    @Test func loneliness() throws {
        var kad = Kad(
            own: try peer(0), configuration: .wide(.client, storage: .home),
            clock: WallClock(Timestamp(seconds: 1_800_000_000), at: instant(0)), seed: 1)
        var book = AddressBook(limits: .home)
        let number = kad.provide(KadNetworkTests.hash(1), addresses: &book, now: instant(1))
        var refusal = KadResult()
        refusal.end = .noAddress
        #expect(kad.nextEvent() == .finished(command: number, refusal))

        kad.join(by: [try peer(1)], addresses: &book, now: instant(1))
        var opened: [Instant] = []
        var now = instant(1)
        while now < instant(1_300) {
            kad.advance(to: now, addresses: &book)
            while let order = kad.nextTransmit() {
                guard case .open(let seed, _, let request) = order else { continue }
                #expect(seed == (try peer(1)))
                opened.append(now)
                kad.receive(.refused(request: request, .unreachable), addresses: &book, now: now)
            }
            now = now + .seconds(1)
        }
        #expect(opened.count == 4)
        #expect(kad.nextEvent() == nil)
        #expect(kad.commandCount == 0)
    }

    /// Noise on streams of both directions crashes nothing and leaves nothing behind.
    @Test func noisyPeers() throws {
        var kad = Kad(
            own: try peer(0), configuration: .wide(.server, storage: .home),
            clock: WallClock(Timestamp(seconds: 1_800_000_000), at: instant(0)), seed: 1)
        var book = AddressBook(limits: .home)
        var noise = Noise(seed: 9)
        let valid = try Self.message().encoded
        for round in 0..<300 as Range<UInt32> {
            let other = try peer(UInt64(round) + 1)
            book.add(
                [try address("/ip4/8.8.8.8/tcp/1")], of: other, from: .told, over: .world,
                for: .seconds(10), now: instant(Double(round)))
            kad.join(by: [other], addresses: &book, now: instant(Double(round)))
            let stream = StreamID(connection: 1, stream: round)
            while let order = kad.nextTransmit() {
                guard case .open(_, let names, let request) = order else { continue }
                kad.receive(
                    .opened(request: request, stream, names[0]), addresses: &book,
                    now: instant(Double(round)))
            }
            kad.receive(
                .message(stream, noise.mutation(of: valid)), addresses: &book,
                now: instant(Double(round)))
            let second = StreamID(connection: 2, stream: round)
            kad.receive(
                .accepted(second, other, PeerProtocols.kad), addresses: &book,
                now: instant(Double(round)))
            for _ in 0..<5 {
                kad.receive(
                    .message(second, noise.mutation(of: valid)), addresses: &book,
                    now: instant(Double(round)))
            }
            kad.receive(.finished(second), addresses: &book, now: instant(Double(round)))
        }
        var now = instant(400)
        for _ in 0..<2_000 {
            kad.advance(to: now, addresses: &book)
            while let order = kad.nextTransmit() {
                guard case .open(_, _, let request) = order else { continue }
                kad.receive(.refused(request: request, .unreachable), addresses: &book, now: now)
            }
            now = now + .seconds(1)
        }
        #expect(kad.requests.isEmpty)
        #expect(kad.waiting.isEmpty)
        #expect(kad.operations.isEmpty)
        #expect(kad.incoming.isEmpty)
    }
}
