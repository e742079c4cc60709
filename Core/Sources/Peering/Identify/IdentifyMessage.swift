// What a peer says of itself (github.com/libp2p/specs, identify). The same message is the answer to
// a question and the news of a change.

public import Multiformats
public import Wire

/// What a peer says of itself. Fields that are absent are nil or empty.
public struct IdentifyMessage: Hashable, Sendable {
    /// The longest message that is read, in bytes.
    public static let maxBytes = 8 << 10
    /// The longest message that is written, in bytes: what the strictest deployed peers read.
    public static let maxOwnBytes = 4 << 10
    /// How many messages may follow each other on a stream, each adding to the ones before.
    public static let maxMessages = 10
    /// How many protocols are read; more are passed over.
    public static let maxProtocols = 256
    /// How many addresses are read; more are passed over.
    public static let maxAddresses = 64

    /// The key that the peer is named by.
    public var publicKey: PublicKey?
    /// Where the peer listens, as far as the addresses could be read.
    public var listenAddresses: [Multiaddr] = []
    /// The protocols that it answers to.
    public var protocols: [ProtocolName] = []
    /// From where the peer sees this connection come.
    public var observedAddress: Multiaddr?
    /// Which network it belongs to; `ipfs/0.1.0` in the public one. UTF-8.
    public var protocolVersion: [UInt8] = []
    /// Which software it runs. UTF-8, to be shown with care.
    public var agentVersion: [UInt8] = []
    /// Its addresses with its signature; unverified.
    public var signedPeerRecord: [UInt8] = []

    /// A message that says nothing yet.
    public init() {}

    /// Decodes one message.
    public init(decoding bytes: RawSpan) throws(DecodeError) {
        guard bytes.byteCount <= Self.maxBytes else {
            throw DecodeError(.overLimit, "identify: the message is larger than 8 KiB")
        }
        var reader = ByteReader(bytes)
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .bytes): publicKey = try PublicKey(decoding: try reader.readDelimited())
            case (2, .bytes):
                let address = try reader.readDelimited()
                guard listenAddresses.count < Self.maxAddresses else { continue }
                // Other versions have protocols that this one does not know.
                if let known = try? Multiaddr(decoding: address) { listenAddresses.append(known) }
            case (3, .bytes):
                let name = try reader.readDelimited()
                guard protocols.count < Self.maxProtocols,
                    name.byteCount <= ProtocolName.maxLength
                else { continue }
                protocols.append(ProtocolName(utf8: [UInt8](name)))
            case (4, .bytes):
                // As above.
                observedAddress = try? Multiaddr(decoding: try reader.readDelimited())
            case (5, .bytes): protocolVersion = [UInt8](try reader.readDelimited())
            case (6, .bytes): agentVersion = [UInt8](try reader.readDelimited())
            case (8, .bytes): signedPeerRecord = [UInt8](try reader.readDelimited())
            default: try reader.skipValue(of: tag.wireType)
            }
        }
    }

    /// The wire form, whole.
    public var encoded: [UInt8] {
        var out: [UInt8] = []
        if let publicKey { out.appendField(1, bytes: publicKey.encoded) }
        for address in listenAddresses { out.appendField(2, bytes: address.bytes) }
        for name in protocols { out.appendField(3, bytes: name.utf8) }
        if let observedAddress { out.appendField(4, bytes: observedAddress.bytes) }
        if !protocolVersion.isEmpty { out.appendField(5, bytes: protocolVersion) }
        if !agentVersion.isEmpty { out.appendField(6, bytes: agentVersion) }
        if !signedPeerRecord.isEmpty { out.appendField(8, bytes: signedPeerRecord) }
        return out
    }

    /// The wire form in messages of up to ``maxOwnBytes``. What does not fit in the first goes into
    /// a second, the signed record first of all; what does not fit there either is left out.
    public var messages: [[UInt8]] {
        let whole = encoded
        guard whole.count > Self.maxOwnBytes else { return [whole] }
        var first = self
        first.signedPeerRecord = []
        first.listenAddresses = []
        while first.encoded.count > Self.maxOwnBytes, !first.protocols.isEmpty {
            first.protocols.removeLast()
        }
        var second = IdentifyMessage()
        second.listenAddresses = listenAddresses
        while second.encoded.count > Self.maxOwnBytes { second.listenAddresses.removeLast() }
        var parts = [first.encoded, second.encoded]
        var third = IdentifyMessage()
        third.signedPeerRecord = signedPeerRecord
        let record = third.encoded
        if !signedPeerRecord.isEmpty, record.count <= Self.maxOwnBytes { parts.append(record) }
        return parts
    }

    /// Adds what a later message of the same stream says.
    mutating func merge(_ later: IdentifyMessage) {
        publicKey = later.publicKey ?? publicKey
        observedAddress = later.observedAddress ?? observedAddress
        if !later.protocolVersion.isEmpty { protocolVersion = later.protocolVersion }
        if !later.agentVersion.isEmpty { agentVersion = later.agentVersion }
        if !later.signedPeerRecord.isEmpty { signedPeerRecord = later.signedPeerRecord }
        let addressRoom = Self.maxAddresses - listenAddresses.count
        listenAddresses += later.listenAddresses.prefix(max(0, addressRoom))
        let protocolRoom = Self.maxProtocols - protocols.count
        protocols += later.protocols.prefix(max(0, protocolRoom))
    }
}
