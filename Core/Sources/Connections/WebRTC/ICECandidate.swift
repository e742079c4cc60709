// One way to a peer, as the sides of a connection tell it to each other (RFC 8839, section 5.1),
// and as browsers write that into JSON (RTCIceCandidateInit).

import Multiformats
import Wire

/// A way to a peer over UDP.
public struct ICECandidate: Hashable, Sendable {
    /// Where the address comes from.
    public enum Kind: Hashable, Sendable {
        /// A socket of the peer.
        case host
        /// A server saw the peer there.
        case reflexive
        /// Anything else, of which it makes no difference what it is.
        case other

        /// The preferences that RFC 8445 recommends, of the first and only component.
        fileprivate var priority: UInt32 {
            switch self {
            case .host: 126 << 24 | 0xffff << 8 | 255
            case .reflexive: 100 << 24 | 0xffff << 8 | 255
            case .other: 0xffff << 8 | 255
            }
        }
    }

    /// The longest text that is read, in bytes.
    static let maxLength = 1024

    /// Where the peer is.
    public let address: UDPAddress
    /// How it knows.
    public let kind: Kind

    /// A way to an address.
    public init(_ kind: Kind, _ address: UDPAddress) {
        self.kind = kind
        self.address = address
    }

    /// Reads `candidate:…`; nil for what is not of UDP, or is a name, which is not looked up.
    public init?(text: ArraySlice<UInt8>) {
        let words = text.split(separator: UInt8(ascii: " "))
        guard text.count <= Self.maxLength, words.count >= 8,
            words[0].starts(with: "candidate:".utf8), words[1].elementsEqual("1".utf8),
            words[2].map({ $0 | 0x20 }).elementsEqual("udp".utf8),
            words[6].elementsEqual("typ".utf8), let port = Self.number(words[5]), port > 0,
            let address = Self.address(words[4], port)
        else { return nil }
        self.address = address
        kind =
            words[7].elementsEqual("host".utf8)
            ? .host : words[7].elementsEqual("srflx".utf8) ? .reflexive : .other
    }

    /// Reads the text out of an object in JSON, in which nothing of it has to be escaped.
    public init?(json: [UInt8]) {
        guard json.count <= 4 * Self.maxLength else { return nil }
        let key = Array("\"candidate\"".utf8)
        guard let place = json.indices.first(where: { json[$0...].starts(with: key) }) else {
            return nil
        }
        let isBlank: (UInt8) -> Bool = { $0 == 0x20 || $0 == 0x09 || $0 == 0x0a || $0 == 0x0d }
        var rest = json[(place + key.count)...].drop(while: isBlank)
        guard rest.popFirst() == UInt8(ascii: ":") else { return nil }
        rest = rest.drop(while: isBlank)
        guard rest.popFirst() == UInt8(ascii: "\"") else { return nil }
        self.init(text: rest.prefix { $0 != UInt8(ascii: "\"") })
    }

    private static func number(_ text: ArraySlice<UInt8>) -> UInt16? {
        var value: UInt32 = 0
        for byte in text {
            guard case UInt8(ascii: "0")...UInt8(ascii: "9") = byte else { return nil }
            value = value * 10 + UInt32(byte - UInt8(ascii: "0"))
            guard value <= UInt32(UInt16.max) else { return nil }
        }
        return text.isEmpty ? nil : UInt16(value)
    }

    private static func address(_ text: ArraySlice<UInt8>, _ port: UInt16) -> UDPAddress? {
        let kind = text.contains(UInt8(ascii: ":")) ? "/ip6/" : "/ip4/"
        guard !text.contains(UInt8(ascii: "/")),
            let ip = try? Multiaddr(text: kind + String(decoding: text, as: UTF8.self)),
            ip.components.count == 1
        else { return nil }
        let bytes = ip.components[0].value
        return UDPAddress(ip: bytes.rawSpan, port: port)
    }

    /// `candidate:…`, as the other side reads it.
    public var text: String {
        let ip = address.isIPv6 ? MultiaddrProtocol.ip6 : MultiaddrProtocol.ip4
        // Its length is that of its kind.
        let host = (try? Multiaddr.Component(ip, address.ip))?.text ?? ""
        let number = kind == .host ? "1" : "2"
        var text = "candidate:" + number + " 1 udp " + kind.priority.description + " " + host
        text += " " + address.port.description + " typ "
        guard kind != .host else { return text + "host" }
        // Where its socket is, is nobody's business.
        return text + "srflx raddr " + (address.isIPv6 ? "::" : "0.0.0.0") + " rport 9"
    }

    /// The same as browsers write it, for the part of a description that `mid` names.
    public func json(mid: String) -> [UInt8] {
        let text = "{\"candidate\":\"" + text + "\",\"sdpMid\":\"" + mid
        return Array((text + "\",\"sdpMLineIndex\":0}").utf8)
    }
}
