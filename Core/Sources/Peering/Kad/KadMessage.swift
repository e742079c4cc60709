// The one message of the DHT, asked and answered (specs.ipfs.tech/routing/kad-dht, "Protobuf").

public import Multiformats
public import Wire

/// A peer in a message, with addresses.
public struct KadPeer: Hashable, Sendable {
    /// How many addresses of a peer are read and written; more are passed over.
    public static let maxAddresses = 32
    /// How many bytes of a peer's addresses are read and written; more are passed over.
    public static let maxAddressBytes = 8 << 10

    /// Who it is.
    public let peer: PeerID
    /// The addresses that could be read.
    public let addresses: [Multiaddr]

    /// A peer at these addresses.
    public init(_ peer: PeerID, _ addresses: [Multiaddr]) {
        self.peer = peer
        self.addresses = addresses
    }
}

/// A value under a key.
public struct KadRecord: Hashable, Sendable {
    /// With its namespace, such as `/ipns/`.
    public var key: [UInt8]
    /// What the namespace prescribes; unverified.
    public var value: [UInt8]
    /// When the sender received it, RFC 3339; only for people to look at.
    public var timeReceived: [UInt8]

    /// A record of this value.
    public init(key: [UInt8], value: [UInt8], timeReceived: [UInt8] = []) {
        self.key = key
        self.value = value
        self.timeReceived = timeReceived
    }
}

/// A question or an answer.
public struct KadMessage: Hashable, Sendable {
    /// What a message is about. An answer has the kind of its question.
    public enum Kind: UInt64, Hashable, Sendable, CaseIterable {
        case putValue = 0
        case getValue = 1
        case addProvider = 2
        case getProviders = 3
        case findNode = 4
        /// No longer asked; answered for old peers.
        case ping = 5
    }

    /// The longest message, in bytes.
    public static let maxBytes = 4 << 20
    /// How many peers of each list are read; more are passed over.
    public static let maxPeers = 128
    /// The longest key of any kind, in bytes.
    public static let maxKeyBytes = 256
    /// The longest key that providers can be found under, in bytes.
    public static let maxProviderKeyBytes = 80

    /// What is asked or answered.
    public var kind: Kind
    /// What it is about: a record's key, a multihash, or a peer.
    public var key: [UInt8]
    /// The value that is put or was found.
    public var record: KadRecord?
    /// Peers nearer to the key.
    public var closerPeers: [KadPeer] = []
    /// Who has what the key names.
    public var providers: [KadPeer] = []

    /// A message about a key.
    public init(_ kind: Kind, key: [UInt8] = []) {
        self.kind = kind
        self.key = key
    }

    /// Decodes a message. Peers whose id cannot be read, and addresses of unknown protocols, are
    /// passed over: newer peers know more kinds.
    public init(decoding bytes: RawSpan) throws(DecodeError) {
        guard bytes.byteCount <= Self.maxBytes else {
            throw DecodeError(.overLimit, "kad: the message is larger than 4 MiB")
        }
        // A message without a kind is one of kind 0, as protobuf has it.
        self.init(.putValue)
        var reader = ByteReader(bytes)
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .varint):
                guard let known = Kind(rawValue: try reader.readProtobufVarint()) else {
                    throw reader.error(.unsupported, "kad: the message is of an unknown kind")
                }
                kind = known
            case (2, .bytes):
                let span = try reader.readDelimited()
                guard span.byteCount <= Self.maxKeyBytes else {
                    throw reader.error(.overLimit, "kad: the key is too long")
                }
                key = [UInt8](span)
            case (3, .bytes): record = try Self.readRecord(try reader.readDelimited())
            case (8, .bytes):
                try Self.readPeer(try reader.readDelimited(), into: &closerPeers)
            case (9, .bytes): try Self.readPeer(try reader.readDelimited(), into: &providers)
            default: try reader.skipValue(of: tag.wireType)
            }
        }
    }

    private static func readRecord(_ body: RawSpan) throws(DecodeError) -> KadRecord {
        var reader = ByteReader(body)
        var record = KadRecord(key: [], value: [])
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .bytes): record.key = [UInt8](try reader.readDelimited())
            case (2, .bytes): record.value = [UInt8](try reader.readDelimited())
            case (5, .bytes): record.timeReceived = [UInt8](try reader.readDelimited())
            default: try reader.skipValue(of: tag.wireType)
            }
        }
        return record
    }

    private static func readPeer(
        _ body: RawSpan, into peers: inout [KadPeer]
    ) throws(DecodeError) {
        guard peers.count < maxPeers else { return }
        var reader = ByteReader(body)
        var peer: PeerID?
        var addresses: [Multiaddr] = []
        var size = 0
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .bytes):
                // An unreadable id is one of a kind that this version does not know.
                peer = try? PeerID(decoding: try reader.readDelimited())
            case (2, .bytes):
                let span = try reader.readDelimited()
                size += span.byteCount
                guard addresses.count < KadPeer.maxAddresses, size <= KadPeer.maxAddressBytes
                else { continue }
                // As above.
                if let address = try? Multiaddr(decoding: span) { addresses.append(address) }
            default: try reader.skipValue(of: tag.wireType)
            }
        }
        if let peer { peers.append(KadPeer(peer, addresses)) }
    }

    /// The wire form.
    public var encoded: [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(64 + key.count + (closerPeers.count + providers.count) * 128)
        out.appendField(1, varint: kind.rawValue)
        if !key.isEmpty { out.appendField(2, bytes: key) }
        if let record {
            var body: [UInt8] = []
            body.appendField(1, bytes: record.key)
            body.appendField(2, bytes: record.value)
            if !record.timeReceived.isEmpty { body.appendField(5, bytes: record.timeReceived) }
            out.appendField(3, bytes: body)
        }
        for peer in closerPeers { Self.append(peer, field: 8, to: &out) }
        for peer in providers { Self.append(peer, field: 9, to: &out) }
        return out
    }

    private static func append(_ peer: KadPeer, field: UInt64, to out: inout [UInt8]) {
        var body: [UInt8] = []
        body.appendField(1, bytes: peer.peer.bytes)
        var size = 0
        for address in peer.addresses.prefix(KadPeer.maxAddresses) {
            let bytes = address.bytes
            size += bytes.count
            guard size <= KadPeer.maxAddressBytes else { break }
            body.appendField(2, bytes: bytes)
        }
        out.appendField(field, bytes: body)
    }
}
