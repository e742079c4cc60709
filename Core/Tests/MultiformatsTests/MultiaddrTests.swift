import Multiformats
import TestSupport
import Testing
import Wire

@Suite struct MultiaddrTests {
    private static let vectors = rows(of: "multiaddr.csv")

    /// Legal addresses survive both forms, and have the binary form that other peers expect.
    @Test func legal() throws {
        let good = Self.vectors.filter { $0[0] == "good" }
        #expect(good.count > 60)
        for vector in good {
            let address = try Multiaddr(text: vector[1])
            if !vector[2].isEmpty { #expect(hex(address.bytes) == vector[2], "\(vector[1])") }
            #expect(try Multiaddr(decoding: address.bytes.rawSpan) == address)
            #expect(try Multiaddr(text: address.description) == address, "\(address)")
        }
    }

    @Test func illegal() {
        let bad = Self.vectors.filter { $0[0] == "bad" }
        #expect(bad.count > 30)
        for vector in bad {
            #expect(throws: DecodeError.self, "\(vector[1])") { try Multiaddr(text: vector[1]) }
        }
    }

    /// Text in another spelling becomes the usual one.
    @Test(arguments: [
        ("/ip4/127.0.0.1/tcp/1234/", "/ip4/127.0.0.1/tcp/1234"),
        ("/ip6/0:0:0:0:0:0:0:1", "/ip6/::1"), ("/ip6/2001:DB8::", "/ip6/2001:db8::"),
        ("/ip6/1:0:0:2:0:0:0:3", "/ip6/1:0:0:2::3"), ("/ip6/1:0:2:3:4:5:6:7", nil),
        ("/ip6/1::2:3:4:5:6:7", "/ip6/1:0:2:3:4:5:6:7"),
        ("/ip6/::ffff:102:304", "/ip6/::ffff:1.2.3.4"), ("/ip6/::", nil), ("/ip6/1::", nil),
        ("/ip6/64:ff9b::192.0.2.1", "/ip6/64:ff9b::c000:201"),
        (
            "/ipfs/k2k4r8oqamigqdo6o7hsbfwd45y70oyynp98usk7zmyfrzpqxh1pohl7",
            "/p2p/QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC"
        ),
        ("/certhash/b2uaraocy6yrdblb4sfptaddgimjmmpy", "/certhash/u1QEQOFj2IjCsPJFfMAxmQxLGPw"),
        ("/http-path/a%2fb c", "/http-path/a%2Fb%20c"), ("/http-path/~-._%00", nil),
        ("/unix/a/b.sock", nil), ("/memory/18446744073709551615", nil),
    ])
    func spelling(text: String, usual: String?) throws {
        #expect(try Multiaddr(text: text).description == usual ?? text)
    }

    /// Each of these is almost an address.
    @Test(arguments: [
        "ip4/1.2.3.4", "//ip4/1.2.3.4", "/ip4/1.2.3", "/ip4/1.2.3.4.5", "/ip4/1.2.3.256",
        "/ip4/01.2.3.4", "/ip4/+1.2.3.4", "/ip4/1.2.3.", "/tcp/080", "/tcp/ 80", "/tcp/0x50",
        "/ip6/:::", "/ip6/1:2:3:4:5:6:7", "/ip6/1:2:3:4:5:6:7:8:9", "/ip6/::1::", "/ip6/12345::",
        "/ip6/1:2:3:4:5:6:7::8", "/ip6/:1", "/ip6/1:", "/ip6/1.2.3.4", "/ip6/::1.2.3.4:1",
        "/ip6/1:2:3:4:5:6:7:1.2.3.4", "/ip6/fe80::1%eth0", "/http-path/%", "/http-path/%4",
        "/http-path/%zz", "/dns", "/dns//tcp/1", "/unix/", "/P2P/1", "/ipcidr/-1", "/ws/x",
        "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:65536",
    ])
    func refused(text: String) {
        #expect(throws: DecodeError.self) { try Multiaddr(text: text) }
    }

    /// Binary values that have no text, or are not what their protocol says, are refused.
    @Test(arguments: [
        "", "04", "047f0000", "0601", "ff7f", "8400", "3600", "36012f", "3601ff", "9003012f",
        "9003022f2f", "900302612f", "9003022f61047f000001", "a50300", "a503020000", "d20301ff",
        "e10300", "bd03" + String(repeating: "00", count: 37), "36ffffff7f",
    ])
    func refusedBinary(bytes: String) {
        #expect(throws: DecodeError.self) { try Multiaddr(decoding: hex(bytes).rawSpan) }
    }

    /// What the dialler asks of an address.
    @Test func parts() throws {
        let relay = "12D3KooWCryG7Mon9orvQxcS1rYZjotPgpwoJNHHKcLLfE4Hf5mV"
        let peer = "QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC"
        let address = try Multiaddr(
            text: "/dns/a.example/tcp/1/p2p/\(relay)/p2p-circuit/p2p/\(peer)")
        #expect(address.peer?.description == peer)
        #expect(address.first(.dns)?.text == "a.example")
        #expect(address.first(.tcp)?.value == [0, 1])
        #expect(address.first(.udp) == nil)
        #expect(try Multiaddr(text: "/tcp/1").peer == nil)
        let long = "/dns/" + String(repeating: "a", count: Multiaddr.maxLength)
        #expect(throws: DecodeError.self) { try Multiaddr(text: long) }
    }

    /// However long its text, the longest address of each kind of part reads back; a longer one is
    /// refused in both forms.
    @Test(arguments: ["/ipcidr/128", "/webrtc-direct", "/p2p-circuit", "/tcp/65535", "/quic-v1"])
    func longest(part: String) throws {
        let size = try Multiaddr(text: part).bytes.count
        let count = Multiaddr.maxLength / size
        let longest = try Multiaddr(text: String(repeating: part, count: count))
        #expect(try Multiaddr(decoding: longest.bytes.rawSpan) == longest)
        #expect(try Multiaddr(text: longest.description) == longest)
        let longer = String(repeating: part, count: count + 1)
        #expect(throws: DecodeError.self) { try Multiaddr(text: longer) }
    }

    /// Every truncation is refused or ends at a protocol's end; mutations and noise are refused,
    /// or read as an address that encodes to the same bytes and to text that reads back.
    @Test func noise() throws {
        var noise = Noise(seed: 8)
        let texts = Self.vectors.filter { $0[0] == "good" }.map { $0[1] }
        for round in 0..<6000 {
            let text = texts[round % texts.count]
            let valid = try Multiaddr(text: text).bytes
            let bytes =
                switch round % 3 {
                case 0: noise.mutation(of: valid)
                case 1: Array(valid.prefix(Int.random(in: 0..<valid.count, using: &noise)))
                default: noise.bytes(upTo: 24)
                }
            // Refusal is as good an answer as any here.
            if let address = try? Multiaddr(decoding: bytes.rawSpan) {
                #expect(address.bytes == bytes)
                #expect(try Multiaddr(text: address.description) == address, "\(address)")
            }
            let changed = String(decoding: noise.mutation(of: Array(text.utf8)), as: UTF8.self)
            if let address = try? Multiaddr(text: changed) {
                #expect(try Multiaddr(decoding: address.bytes.rawSpan) == address)
            }
        }
    }
}
