import Multiformats
import Peering
import Testing
import Wire

func instant(_ seconds: Double) -> Instant { Instant(nanoseconds: UInt64(seconds * 1e9)) }

func address(_ text: String) throws -> Multiaddr { try Multiaddr(text: text) }

/// A peer id with a digest of its own.
func peer(_ number: UInt64) throws -> PeerID {
    var digest = [UInt8](repeating: 7, count: 24)
    digest.appendBigEndian(number)
    return try PeerID(Multihash(code: .sha2_256, digest: digest))
}

@Suite struct AddressTests {
    /// What is reachable from where decides what is dialled and what is told.
    @Test(arguments: [
        ("/ip4/8.8.8.8/tcp/1", AddressScope.world), ("/ip4/127.0.0.1/tcp/1", .host),
        ("/ip4/10.1.2.3/tcp/1", .site), ("/ip4/172.16.0.1/tcp/1", .site),
        ("/ip4/172.32.0.1/tcp/1", .world), ("/ip4/100.64.0.1/tcp/1", .site),
        ("/ip4/169.254.1.1/tcp/1", .link), ("/ip4/0.0.0.0/tcp/1", .nowhere),
        ("/ip4/224.0.0.1/udp/1", .nowhere), ("/ip4/203.0.113.1/tcp/1", .nowhere),
        ("/ip6/::1/tcp/1", .host), ("/ip6/::/tcp/1", .nowhere), ("/ip6/fe80::1/tcp/1", .link),
        ("/ip6/fd00::1/tcp/1", .site), ("/ip6/2a00:1450::1/tcp/1", .world),
        ("/ip6/2001:db8::1/tcp/1", .nowhere), ("/ip6/::ffff:192.168.1.1/tcp/1", .site),
        ("/ip6/64:ff9b::a00:1/tcp/1", .site), ("/ip6/ff02::1/udp/1", .nowhere),
        ("/ip6zone/eth0/ip6/fe80::1/tcp/1", .link), ("/dns4/example.org/tcp/1", .world),
        ("/dns/LOCALHOST/tcp/1", .host), ("/dns/printer.local/tcp/1", .link),
        ("/dns/router/tcp/1", .site), ("/unix/tmp/x", .host), ("/p2p-circuit", .nowhere),
    ])
    func scopes(text: String, scope: AddressScope) throws {
        #expect(try address(text).scope == scope)
    }

    /// What the internet says of private networks is neither dialled nor told on; the peer's own
    /// word over the private network is, but only to who is in it.
    @Test func scopesOfChannels() throws {
        var book = AddressBook(limits: .home)
        let someone = try peer(1)
        let near = try address("/ip4/192.168.1.5/tcp/4001")
        let far = try address("/ip4/8.8.8.8/tcp/4001")
        let now = instant(1)
        book.add([near, far], of: someone, from: .told, over: .world, for: .seconds(60), now: now)
        #expect(book.addresses(of: someone, now: now) == [far])
        book.add([near], of: someone, from: .itself, over: .site, for: .seconds(60), now: now)
        #expect(book.addresses(of: someone, now: now) == [near, far])
        #expect(book.addresses(of: someone, reaching: .world, now: now) == [far])
        #expect(book.addresses(of: someone, now: instant(62)).isEmpty)
    }

    /// A peer's book is bounded in addresses and bytes, and the best stay.
    @Test func boundsOfAPeer() throws {
        let limits = AddressBook.Limits(peers: 10, addressesPerPeer: 4, bytesPerPeer: 1_000)
        var book = AddressBook(limits: limits)
        let someone = try peer(1)
        let now = instant(1)
        let own = try address("/ip4/8.8.4.4/tcp/9")
        for port in 1...50 {
            book.add(
                [try address("/ip4/8.8.8.8/tcp/\(port)")], of: someone, from: .told, over: .world,
                for: .seconds(60), now: now)
        }
        book.add([own], of: someone, from: .signed, over: .world, for: .seconds(60), now: now)
        let known = book.addresses(of: someone, now: now)
        #expect(known.count == 4)
        #expect(known.first == own)
        let long = try address("/dns4/\(String(repeating: "a", count: 600)).example.org/tcp/1")
        let longer = try address("/dns4/\(String(repeating: "b", count: 600)).example.org/tcp/1")
        book.add(
            [long, longer], of: try peer(2), from: .told, over: .world, for: .seconds(60), now: now)
        #expect(book.addresses(of: try peer(2), now: now) == [long])
    }

    /// The number of peers is bounded, whoever floods it; connected peers stay.
    @Test func boundOfPeers() throws {
        let limits = AddressBook.Limits(peers: 100, addressesPerPeer: 4, bytesPerPeer: 1_000)
        var book = AddressBook(limits: limits)
        let friend = try peer(0)
        let far = try address("/ip4/8.8.8.8/tcp/4001")
        book.connected(to: friend, by: far, now: instant(0))
        for number in 1...5_000 as ClosedRange<UInt64> {
            book.add(
                [far], of: try peer(number), from: .told, over: .world, for: .seconds(60),
                now: instant(1))
            #expect(book.count <= 100)
        }
        #expect(book.addresses(of: friend, now: instant(9_999_999)) == [far])
        book.disconnected(from: friend, now: instant(2))
        #expect(book.addresses(of: friend, now: instant(3)) == [far])
        #expect(book.addresses(of: friend, now: instant(2 + 3_601)).isEmpty)
    }

    /// The peer id at an address's end is not kept, and another peer's id makes it useless.
    @Test func peerSuffix() throws {
        var book = AddressBook(limits: .home)
        let (one, two) = (try peer(1), try peer(2))
        let now = instant(1)
        let plain = try address("/ip4/8.8.8.8/tcp/1")
        book.add(
            [
                try address("/ip4/8.8.8.8/tcp/1/p2p/\(one)"),
                try address("/ip4/8.8.8.8/tcp/2/p2p/\(two)"),
            ],
            of: one, from: .told, over: .world, for: .seconds(60), now: now)
        #expect(book.addresses(of: one, now: now) == [plain])
    }

    /// A signed record replaces what was said without a signature, and an older record nothing.
    @Test func signedRecords() throws {
        var book = AddressBook(limits: .home)
        let one = try peer(1)
        let now = instant(1)
        let (old, new) = (try address("/ip4/8.8.8.8/tcp/1"), try address("/ip4/8.8.8.8/tcp/2"))
        book.add([old], of: one, from: .itself, over: .world, for: .seconds(60), now: now)
        let record = PeerRecord(peer: one, sequence: 5, addresses: [new])
        let isNew = book.add(record, over: .world, for: .seconds(60), now: now)
        #expect(isNew)
        #expect(book.addresses(of: one, now: now) == [new])
        let stale = PeerRecord(peer: one, sequence: 4, addresses: [old])
        let isNewer = book.add(stale, over: .world, for: .seconds(60), now: now)
        #expect(!isNewer)
        book.add([old], of: one, from: .told, over: .world, for: .seconds(60), now: now)
        #expect(book.addresses(of: one, now: now) == [new])
        // What the peer says with a provider record keeps the signed address known for as long as
        // the record is, and adds none.
        book.add([old, new], of: one, from: .itself, over: .world, for: .seconds(600), now: now)
        #expect(book.addresses(of: one, now: instant(500)) == [new])
        #expect(book.addresses(of: one, now: instant(700)).isEmpty)
    }
}
