// Where a peer can be reached, in its own words (github.com/libp2p/specs, RFC 0003). The domain is
// the one that deployed peers use; the text of the specification names another.

public import Cryptography
public import Wire

/// A peer's statement of its addresses. The one with the highest sequence number counts.
public struct PeerRecord: Hashable, Sendable {
    /// The purpose that its envelope is signed for.
    public static let domain: StaticString = "libp2p-peer-record"
    /// The type of its envelope's payload: these two bytes, not 0x0301 as a varint.
    public static let payloadType: [UInt8] = [3, 1]
    /// How many addresses of a record are read; more are passed over.
    public static let maxAddresses = 64

    /// Whose addresses they are.
    public let peer: PeerID
    /// Counts the versions; Unix time is usual.
    public let sequence: UInt64
    /// The addresses that could be read.
    public let addresses: [Multiaddr]

    /// A statement of these addresses.
    public init(peer: PeerID, sequence: UInt64, addresses: [Multiaddr]) {
        self.peer = peer
        self.sequence = sequence
        self.addresses = addresses
    }

    /// Decodes the payload of an envelope. Addresses of unknown protocols are passed over.
    public init(decoding bytes: RawSpan) throws(DecodeError) {
        var reader = ByteReader(bytes)
        var peer: PeerID?
        var sequence: UInt64 = 0
        var addresses: [Multiaddr] = []
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .bytes): peer = try PeerID(decoding: try reader.readDelimited())
            case (2, .varint): sequence = try reader.readProtobufVarint()
            case (3, .bytes):
                let info = try reader.readDelimited()
                guard addresses.count < Self.maxAddresses else { continue }
                if let address = try Self.readAddress(info) { addresses.append(address) }
            default: try reader.skipValue(of: tag.wireType)
            }
        }
        guard let peer else {
            throw reader.error(.malformed, "the peer record does not say whose it is")
        }
        self.init(peer: peer, sequence: sequence, addresses: addresses)
    }

    private static func readAddress(_ info: RawSpan) throws(DecodeError) -> Multiaddr? {
        var reader = ByteReader(info)
        var address: Multiaddr?
        while let tag = try reader.readTag() {
            guard tag == ProtobufTag(1, .bytes) else {
                try reader.skipValue(of: tag.wireType)
                continue
            }
            let bytes = try reader.readDelimited()
            // An address that this version cannot read is of no use, and no fault.
            address = try? Multiaddr(decoding: bytes)
        }
        return address
    }

    /// The payload of an envelope.
    public var encoded: [UInt8] {
        var out: [UInt8] = []
        out.appendField(1, bytes: peer.bytes)
        out.appendField(2, varint: sequence)
        for address in addresses {
            var info: [UInt8] = []
            info.appendField(1, bytes: address.bytes)
            out.appendField(3, bytes: info)
        }
        return out
    }

    /// Signs the record. The key must be the peer's own.
    public func sealed(with key: PrivateKey) throws(SigningError) -> SignedEnvelope {
        try SignedEnvelope(
            encoded, type: Self.payloadType, domain: Self.domain, signingWith: key)
    }

    /// The record in an envelope, if the peer that it is about signed it.
    public init(verifying envelope: SignedEnvelope) throws(DecodeError) {
        guard envelope.payloadType == Self.payloadType else {
            throw DecodeError(.malformed, "the envelope does not hold a peer record")
        }
        try self.init(decoding: envelope.payload.rawSpan)
        guard PeerID(envelope.publicKey) == peer else {
            throw DecodeError(.mismatch, "the peer record is signed by another peer")
        }
        guard envelope.isValid(in: Self.domain) else {
            throw DecodeError(.mismatch, "the peer record's signature is not valid")
        }
    }
}
