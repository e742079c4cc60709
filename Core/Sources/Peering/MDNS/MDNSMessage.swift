// Packets of multicast DNS, as far as libp2p peers need them: who is there, and where one of them
// is (github.com/libp2p/specs, discovery/mdns.md; RFC 6762 and 6763).

public import Multiformats
public import Wire

/// What one packet says about peers.
public struct MDNSMessage: Hashable, Sendable {
    /// A peer that says where it is.
    public struct Announcement: Hashable, Sendable {
        /// The peer.
        public let peer: PeerID
        /// Its addresses, without the peer.
        public let addresses: [Multiaddr]
        /// Whether it says goodbye: none of that holds any longer (RFC 6762, section 10.1).
        public var isGoodbye = false
    }

    /// The longest packet (RFC 6762, section 17).
    public static let maxBytes = 9_000
    /// How many questions and how many records of a packet are read.
    public static let maxRecords = 128
    /// How many addresses of a packet are read.
    public static let maxAddresses = 64
    /// How many peers of a packet.
    public static let maxPeers = 16

    /// Whether it asks who is there.
    public var isQuestion = false
    /// Who says where they are.
    public var announcements: [Announcement] = []

    /// A message that says nothing.
    public init() {}

    /// `_p2p._udp.local`.
    static let service: [UInt8] = name("_p2p", "_udp", "local")

    static let pointer: UInt16 = 12
    static let text: UInt16 = 16
    static let any: UInt16 = 255

    /// Reads a packet. Records and addresses of other forms are passed over.
    public init(decoding bytes: RawSpan) throws(DecodeError) {
        var reader = ByteReader(bytes)
        guard bytes.byteCount <= Self.maxBytes else {
            throw reader.error(.overLimit, "mdns: a packet is too long")
        }
        try reader.skip(2)
        let flags = try reader.readBigEndian(UInt16.self)
        let questions = Int(try reader.readBigEndian(UInt16.self))
        var records = 0
        for _ in 0..<3 { records += Int(try reader.readBigEndian(UInt16.self)) }
        guard questions <= Self.maxRecords, records <= Self.maxRecords else {
            throw reader.error(.overLimit, "mdns: a packet has too many records")
        }
        let isAnswer = flags & 0x8000 != 0
        for _ in 0..<questions {
            let name = try DNSName.read(&reader)
            let type = try reader.readBigEndian(UInt16.self)
            try reader.skip(2)
            guard !isAnswer, name == Self.service else { continue }
            if type == Self.pointer || type == Self.any { isQuestion = true }
        }
        // What a question knows already is of no interest.
        guard isAnswer else { return }
        var addresses = 0
        for _ in 0..<records {
            let name = try DNSName.read(&reader)
            let type = try reader.readBigEndian(UInt16.self)
            try reader.skip(2)
            let lifetime = try reader.readBigEndian(UInt32.self)
            let length = Int(try reader.readBigEndian(UInt16.self))
            let data = try reader.readSpan(length)
            guard type == Self.text, name.count > Self.service.count,
                name.suffix(Self.service.count).elementsEqual(Self.service)
            else { continue }
            try readTexts(data, isGoodbye: lifetime == 0, &addresses)
        }
    }

    /// Reads the strings of a TXT record, `dnsaddr=…/p2p/PEER` each.
    private mutating func readTexts(
        _ bytes: RawSpan, isGoodbye: Bool, _ count: inout Int
    ) throws(DecodeError) {
        var reader = ByteReader(bytes)
        let prefix = Array("dnsaddr=".utf8)
        while !reader.isAtEnd {
            let length = Int(try reader.readByte())
            let text = try reader.readBytes(length)
            guard count < Self.maxAddresses, text.starts(with: prefix),
                // Whatever cannot be read is of a kind that is not known here.
                let address = try? Multiaddr(
                    text: String(decoding: text[prefix.count...], as: UTF8.self)),
                let peer = address.peer, let bare = address.bare(of: peer), bare != address
            else { continue }
            count += 1
            let known = announcements.firstIndex {
                $0.peer == peer && $0.isGoodbye == isGoodbye
            }
            if let known {
                announcements[known] = Announcement(
                    peer: peer, addresses: announcements[known].addresses + [bare],
                    isGoodbye: isGoodbye)
            } else if announcements.count < Self.maxPeers {
                announcements.append(
                    Announcement(peer: peer, addresses: [bare], isGoodbye: isGoodbye))
            }
        }
    }

    // MARK: Writing

    /// The packet that asks who is there.
    public static var question: [UInt8] {
        var out = header(flags: 0, questions: 1, answers: 0, additional: 0)
        out += service
        out.appendBigEndian(pointer)
        out.appendBigEndian(UInt16(1))
        return out
    }

    /// How long others may keep what a packet says, in seconds.
    public static let lifetime: UInt32 = 120
    /// How many bytes of addresses a packet has: with the rest it is no longer than what every
    /// link carries in one piece.
    static let maxTextBytes = 900
    /// How many host addresses a packet has.
    static let maxHosts = 8

    /// The packet by which a peer says where it is; empty if it says nothing. Besides what libp2p
    /// needs it has what general software for DNS service discovery insists on: a host and a port.
    ///
    /// - Parameters:
    ///   - label: what the packet calls the peer, up to 63 letters and digits.
    ///   - lifetime: how long others may keep what it says, in seconds; zero says goodbye.
    public static func announcement(
        of peer: PeerID, as label: [UInt8], at addresses: [Multiaddr],
        for lifetime: UInt32 = MDNSMessage.lifetime
    ) -> [UInt8] {
        var texts: [UInt8] = []
        var hosts: [[UInt8]] = []
        var port: [UInt8] = [0, 0]
        for address in addresses {
            let parts = ["dnsaddr=", address.description, "/p2p/", peer.description]
            let text = parts.flatMap { Array($0.utf8) }
            guard text.count <= 255, texts.count + text.count < maxTextBytes else { continue }
            texts.append(UInt8(text.count))
            texts += text
            if let tcp = address.first(.tcp) { port = tcp.value }
            guard let host = address.components.first,
                host.protocol == .ip4 || host.protocol == .ip6, hosts.count < maxHosts,
                !hosts.contains(host.value)
            else { continue }
            hosts.append(host.value)
        }
        guard !texts.isEmpty else { return [] }
        let instance = [UInt8(label.count)] + label + service
        let host = [UInt8(label.count)] + label + name("local")
        var out = header(
            flags: 0x8400, questions: 0, answers: 1, additional: UInt16(2 + hosts.count))
        // What several peers have is shared; what is this one's own replaces what was known of it.
        append(service, pointer, 1, instance, lifetime, to: &out)
        append(instance, 33, 0x8001, [0, 0, 0, 0] + port + host, lifetime, to: &out)
        append(instance, text, 0x8001, texts, lifetime, to: &out)
        for address in hosts {
            append(host, address.count == 4 ? 1 : 28, 0x8001, address, lifetime, to: &out)
        }
        return out
    }

    private static func header(
        flags: UInt16, questions: UInt16, answers: UInt16, additional: UInt16
    ) -> [UInt8] {
        var out: [UInt8] = [0, 0]
        for number in [flags, questions, answers, 0, additional] { out.appendBigEndian(number) }
        return out
    }

    private static func append(
        _ owner: [UInt8], _ type: UInt16, _ kind: UInt16, _ data: [UInt8], _ lifetime: UInt32,
        to out: inout [UInt8]
    ) {
        out += owner
        out.appendBigEndian(type)
        out.appendBigEndian(kind)
        out.appendBigEndian(lifetime)
        out.appendBigEndian(UInt16(data.count))
        out += data
    }

    private static func name(_ labels: StaticString...) -> [UInt8] {
        var out: [UInt8] = []
        for label in labels {
            let bytes = Array(label.description.utf8)
            out.append(UInt8(bytes.count))
            out += bytes
        }
        return out + [0]
    }
}
