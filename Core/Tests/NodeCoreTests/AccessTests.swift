// Whom a node has to do with: ranges, lists, reach.

import Multiformats
import NodeCore
import Testing

struct AccessTests {
    @Test("A range holds the addresses of its prefix and no others, to the bit")
    func ranges() throws {
        let range = try #require(AddressRange(Multiaddr(text: "/ip4/10.1.192.0/ipcidr/18")))
        #expect(range.contains(ip: [10, 1, 192, 0]))
        #expect(range.contains(ip: [10, 1, 255, 255]))
        #expect(!range.contains(ip: [10, 1, 191, 255]))
        #expect(!range.contains(ip: [11, 1, 192, 0]))
        let everything = try #require(AddressRange(Multiaddr(text: "/ip4/0.0.0.0/ipcidr/0")))
        #expect(everything.contains(ip: [255, 255, 255, 255]))
        #expect(!everything.contains(ip: Array(repeating: 0, count: 16)))
        let single = try #require(AddressRange(Multiaddr(text: "/ip6/2001:db8::1")))
        #expect(single.contains(ip: [0x20, 1, 0xd, 0xb8] + Array(repeating: 0, count: 11) + [1]))
        #expect(AddressRange(try Multiaddr(text: "/ip4/10.0.0.0/ipcidr/33")) == nil)
        #expect(AddressRange(try Multiaddr(text: "/dns4/example.org")) == nil)
        #expect(AddressRange(try Multiaddr(text: "/ip4/10.0.0.0/tcp/1")) == nil)
    }

    @Test("Denied addresses are denied in every way of writing them")
    func mapped() throws {
        var rules = AccessRules()
        rules.deniedAddresses = [
            try #require(AddressRange(Multiaddr(text: "/ip4/203.0.0.0/ipcidr/8")))
        ]
        #expect(!rules.admits(try Multiaddr(text: "/ip4/203.1.2.3/tcp/4001")))
        #expect(!rules.admits(try Multiaddr(text: "/ip6/::ffff:cb01:203/tcp/4001")))
        #expect(rules.admits(try Multiaddr(text: "/ip4/204.1.2.3/tcp/4001")))
    }

    @Test("An allow list shuts out everybody else, and local reach the internet")
    func allow() throws {
        var rules = AccessRules()
        rules.allowedAddresses = [
            try #require(AddressRange(Multiaddr(text: "/ip4/192.168.0.0/ipcidr/16")))
        ]
        #expect(rules.admits(try Multiaddr(text: "/ip4/192.168.7.1/tcp/4001")))
        #expect(!rules.admits(try Multiaddr(text: "/ip4/8.8.8.8/tcp/4001")))
        var local = AccessRules()
        local.reach = .local
        #expect(local.admits(try Multiaddr(text: "/ip4/192.168.7.1/tcp/4001")))
        #expect(local.admits(try Multiaddr(text: "/ip4/127.0.0.1/tcp/4001")))
        #expect(!local.admits(try Multiaddr(text: "/ip4/8.8.8.8/tcp/4001")))
        #expect(!local.admits(try Multiaddr(text: "/dns4/example.org/tcp/4001")))
    }
}
