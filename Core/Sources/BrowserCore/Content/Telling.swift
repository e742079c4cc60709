// What happened, in the numbers and words that a page is told.

import Exchange
import IPLD
import Multiformats
import Wire

extension ContentPeer.ReadingFault {
    /// Its number, and what is wrong.
    var told: (code: Double, text: String) {
        switch self {
        case .content(.notFound(let error)): (1, error.description)
        case .content(.directory): (2, "this is a directory without index.html")
        case .content(.tooManyNames): (3, "the directory has too many names")
        case .content(.unreadable(let error)): (3, error.description)
        case .content(.value): (4, "the path ends within a block")
        case .content(.emptyRange(let size)): (5, String(size))
        case .unavailable(let cid, .absent): (6, "nobody has the block " + cid.description)
        case .unavailable(let cid, .unreachable):
            (7, "nobody who has the block " + cid.description + " can be reached")
        case .unavailable(let cid, .unverifiable):
            (8, "who has the block " + cid.description + " sent wrong bytes")
        case .unavailable(let cid, .deadline):
            (9, "the block " + cid.description + " did not come in time")
        }
    }
}

extension BlockExchange.News {
    /// What became of the peer. It is put together as bytes: what appends to texts is long.
    var told: [UInt8] {
        let (words, cid): (String, CID?) =
            switch self {
            case .asked(let cid): ("was asked for ", cid)
            case .lacks(let cid, .answer): ("does not have ", cid)
            case .lacks(let cid, .silence): ("did not answer about ", cid)
            case .busy: ("asks to be left alone for a while", nil)
            case .unreachable(let fault): (fault.description, nil)
            case .brokeRules(.unaskedBlock): ("sent a block that it was not asked for", nil)
            case .brokeRules(.malformed(let error)):
                ("broke the rules: " + error.description, nil)
            }
        return Array(words.utf8) + (cid.map { Array($0.description.utf8) } ?? [])
    }
}

extension Multiaddr {
    /// The URL of the WebSocket that the address leads to; nil if it leads to none.
    var webSocketURL: [UInt8]? {
        guard components.count >= 3, components[1].protocol == .tcp else { return nil }
        let upper = components[2...].map { $0.protocol }
        var url: [UInt8]
        if upper.starts(with: [.ws]) {
            url = Array("ws://".utf8)
        } else if upper.starts(with: [.wss]) || upper.starts(with: [.tls, .ws])
            || upper.starts(with: [.tls, .sni, .ws])
        {
            url = Array("wss://".utf8)
        } else {
            return nil
        }
        let host = Array(components[0].text.utf8)
        switch components[0].protocol {
        case .ip4, .dns, .dns4, .dns6: url += host
        case .ip6: url += [UInt8(ascii: "[")] + host + [UInt8(ascii: "]")]
        default: return nil
        }
        return url + [UInt8(ascii: ":")] + Array(components[1].text.utf8)
    }

    /// The IP address, the port and the certificate's fingerprint of the WebRTC listener that the
    /// address leads to, each in a line; nil if it leads to none.
    var webRTCListener: [UInt8]? {
        guard components.count >= 4, components[1].protocol == .udp,
            components[2].protocol == .webrtcDirect, let fingerprint
        else { return nil }
        switch components[0].protocol {
        case .ip4, .ip6: break
        default: return nil
        }
        var line = Array((components[0].text + "\n" + components[1].text + "\n").utf8)
        let digits = Array("0123456789ABCDEF".utf8)
        for (index, byte) in fingerprint.enumerated() {
            if index > 0 { line.append(UInt8(ascii: ":")) }
            line += [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
        }
        return line
    }

    /// The peer through which the address leads, and how that is reached, with the peer at its end;
    /// nil if it leads through none. An address of a node that is behind a router has `/webrtc` at
    /// its end, which pages may leave out: they have no other way.
    var pageRelay: (peer: PeerID, address: Multiaddr)? {
        guard let end = components.firstIndex(where: { $0.protocol == .p2pCircuit }),
            let way = try? Multiaddr(Array(components[..<end])), let relay = way.peer,
            components[(end + 1)...].allSatisfy({ $0.protocol == .webrtc || $0.protocol == .p2p })
        else { return nil }
        return (relay, way)
    }

    /// The SHA2-256 of the certificate that the address names.
    var fingerprint: [UInt8]? {
        guard let value = first(.certhash)?.value, value.count == 34, value[0] == 0x12,
            value[1] == 0x20
        else { return nil }
        return Array(value[2...])
    }
}
