// What is fuzzed of what peers say, and of what routers answer.

import Multiformats
import Wire

@testable import Peering

/// The parsers by name.
let peeringTargets: [String: Target] = [
    "identify": { bytes in
        guard let message = try? IdentifyMessage(decoding: bytes) else { return }
        if (try? IdentifyMessage(decoding: message.encoded.rawSpan)) != message {
            violated("what a peer says of itself round-trips")
        }
    },
    "kad": { bytes in
        guard let message = try? KadMessage(decoding: bytes) else { return }
        let again = try? KadMessage(decoding: message.encoded.rawSpan)
        if again?.kind != message.kind || again?.key != message.key {
            violated("a message of the DHT can be read again")
        }
    },
    "autonat": { bytes in
        if let message = try? AutoNATMessage(decoding: bytes),
            (try? AutoNATMessage(decoding: message.encoded.rawSpan)) != message
        {
            violated("a message of AutoNAT 2 round-trips")
        }
        _ = try? AutoNATv1Message(decoding: bytes)
    },
    "relay": { bytes in
        for dialect in [RelayMessage.Dialect.hop, .stop] {
            guard let message = try? RelayMessage(decoding: bytes, dialect) else { continue }
            if (try? RelayMessage(decoding: message.encoded(dialect).rawSpan, dialect)) != message {
                violated("a message of a relay round-trips")
            }
        }
    },
    "mdns": { bytes in
        guard let message = try? MDNSMessage(decoding: bytes) else { return }
        if message.announcements.count > MDNSMessage.maxPeers { violated("peers are limited") }
        for entry in message.announcements {
            if entry.addresses.isEmpty { violated("who is announced is somewhere") }
            let packet = MDNSMessage.announcement(
                of: entry.peer, as: Array("fuzz".utf8), at: entry.addresses)
            guard !packet.isEmpty else { continue }
            let again = try? MDNSMessage(decoding: packet.span.bytes)
            if again?.announcements.first?.peer != entry.peer {
                violated("an announcement can be read")
            }
        }
        let now = Instant(nanoseconds: 1_000_000_000)
        let own = PeerID(PrivateKey.generateEd25519().publicKey)
        var machine = MDNS(own: own, seed: 1, now: now)
        _ = try? machine.receive(bytes, now: now)
        machine.advance(to: now + .seconds(1))
    },
    "port-mapping": portMapping,
]

/// Lets a mapper hear datagrams as if its router had sent them: the input, cut into pieces. The
/// first byte says whether PCP has failed before.
@Sendable private func portMapping(_ bytes: RawSpan) {
    _ = try? PCPResponse(decoding: bytes)
    _ = try? NATPMP.Response(decoding: bytes)
    let input = [UInt8](bytes)
    guard let first = input.first else { return }
    let nonce = [UInt8](repeating: 7, count: 12)
    let network = PortMapper.Network(router: [10, 0, 0, 1], host: [10, 0, 0, 2])
    var now = Instant(nanoseconds: 1)
    var mapper = PortMapper(nonce: nonce, seed: 1)
    mapper.start(network, ports: [4_001, 4_002, 1, 2, 3, 4], now: now)
    if first & 1 == 1 { mapper.unreachable(now: now) }
    var rest = input[...]
    while !rest.isEmpty {
        // Three lengths are those of answers.
        let length = [60, 16, 12, 8][Int(rest[rest.startIndex] & 3)]
        let datagram = Array(rest.prefix(length))
        rest = rest.dropFirst(length)
        mapper.receive(datagram, from: network.router, port: PortMapper.routerPort, now: now)
        var orders = 0
        while mapper.nextTransmit() != nil { orders += 1 }
        if orders > 2 * PortMapper.maxPorts { violated("an answer leads to few requests") }
        while mapper.nextEvent() != nil {}
        if let deadline = mapper.deadline, datagram.last.map({ $0 & 1 == 0 }) == true {
            now = max(now, deadline)
            mapper.advance(to: now)
        }
    }
    if mapper.mappings.count > PortMapper.maxPorts { violated("no more ports than the limit") }
    mapper.stop()
    if mapper.deadline != nil { violated("nothing is done after the end") }
}
