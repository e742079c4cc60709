// The messages of circuit relay v2 (github.com/libp2p/specs, relay/circuit-v2). Those of the two
// protocols differ only in their numbers.

public import Multiformats
public import Wire

/// What a relay allows on one circuit; nil is no limit.
public struct RelayLimit: Hashable, Sendable {
    /// In seconds.
    public var duration: UInt64?
    /// In bytes, each way.
    public var data: UInt64?

    /// A limit in time and in bytes.
    public init(duration: UInt64?, data: UInt64?) {
        self.duration = duration
        self.data = data
    }
}

/// How a relay or a peer answers.
public enum RelayStatus: UInt64, Hashable, Sendable {
    case ok = 100
    case reservationRefused = 200
    case resourceLimitExceeded = 201
    case permissionDenied = 202
    case connectionFailed = 203
    case noReservation = 204
    case malformedMessage = 400
    case unexpectedMessage = 401
}

/// A place at a relay, as the relay states it.
public struct RelayReservation: Hashable, Sendable {
    /// Until when, in seconds since the start of 1970.
    public var expires: UInt64
    /// Where the relay is, with its peer id.
    public var addresses: [Multiaddr]
    /// The relay's signed statement; nobody asks for it yet.
    public var voucher: [UInt8]

    /// A place as these fields state it.
    public init(expires: UInt64, addresses: [Multiaddr], voucher: [UInt8]) {
        self.expires = expires
        self.addresses = addresses
        self.voucher = voucher
    }
}

/// A message of the hop protocol, between a relay and who uses it, or of the stop protocol, between
/// a relay and who is reached through it.
public struct RelayMessage: Hashable, Sendable {
    /// The longest message, in bytes.
    public static let maxBytes = 4 << 10

    /// What a message asks or answers.
    public enum Kind: Hashable, Sendable {
        /// Not in the stop protocol.
        case reserve
        case connect
        case status
    }

    /// Which of the two protocols.
    public enum Dialect: Hashable, Sendable {
        case hop
        case stop
    }

    /// What the message asks or answers.
    public var kind: Kind
    /// Who is to be reached, or who reaches out.
    public var peer: PeerID?
    /// The place that was given.
    public var reservation: RelayReservation?
    /// What the relay allows on a circuit.
    public var limit: RelayLimit?
    /// nil also stands for a status that is not known here.
    public var status: RelayStatus?

    /// A message with these two fields.
    public init(_ kind: Kind, status: RelayStatus? = nil) {
        self.kind = kind
        self.status = status
    }

    /// Decodes a message.
    public init(decoding bytes: RawSpan, _ dialect: Dialect) throws(DecodeError) {
        var reader = ByteReader(bytes)
        var number: UInt64 = 0
        self.init(.status)
        let isHop = dialect == .hop
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType, isHop) {
            case (1, .varint, _): number = try reader.readProtobufVarint()
            case (2, .bytes, _): peer = try Self.readPeer(try reader.readDelimited())
            case (3, .bytes, true):
                reservation = try Self.readReservation(try reader.readDelimited())
            case (4, .bytes, true), (3, .bytes, false):
                limit = try Self.readLimit(try reader.readDelimited())
            case (5, .varint, true), (4, .varint, false):
                status = RelayStatus(rawValue: try reader.readProtobufVarint())
            default: try reader.skipValue(of: tag.wireType)
            }
        }
        switch (number, isHop) {
        case (0, true): kind = .reserve
        case (1, true), (0, false): kind = .connect
        case (2, true), (1, false): kind = .status
        default: throw DecodeError(.unsupported, "relay: a message of an unknown kind")
        }
    }

    private static func readPeer(_ body: RawSpan) throws(DecodeError) -> PeerID? {
        var reader = ByteReader(body)
        var peer: PeerID?
        while let tag = try reader.readTag() {
            guard tag == ProtobufTag(1, .bytes) else {
                try reader.skipValue(of: tag.wireType)
                continue
            }
            peer = try PeerID(decoding: try reader.readDelimited())
        }
        return peer
    }

    private static func readReservation(_ body: RawSpan) throws(DecodeError) -> RelayReservation {
        var reader = ByteReader(body)
        var reservation = RelayReservation(expires: 0, addresses: [], voucher: [])
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .varint): reservation.expires = try reader.readProtobufVarint()
            case (2, .bytes):
                let bytes = try reader.readDelimited()
                // Other versions have protocols that this one does not know.
                if let address = try? Multiaddr(decoding: bytes) {
                    reservation.addresses.append(address)
                }
            case (3, .bytes): reservation.voucher = [UInt8](try reader.readDelimited())
            default: try reader.skipValue(of: tag.wireType)
            }
        }
        return reservation
    }

    private static func readLimit(_ body: RawSpan) throws(DecodeError) -> RelayLimit {
        var reader = ByteReader(body)
        var limit = RelayLimit(duration: nil, data: nil)
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .varint):
                let value = try reader.readProtobufVarint()
                limit.duration = value == 0 ? nil : value
            case (2, .varint):
                let value = try reader.readProtobufVarint()
                limit.data = value == 0 ? nil : value
            default: try reader.skipValue(of: tag.wireType)
            }
        }
        return limit
    }

    /// The wire form, without its length.
    public func encoded(_ dialect: Dialect) -> [UInt8] {
        let isHop = dialect == .hop
        var out: [UInt8] = []
        let number: UInt64 =
            switch kind {
            case .reserve: 0
            case .connect: isHop ? 1 : 0
            case .status: isHop ? 2 : 1
            }
        out.appendField(1, varint: number)
        if let peer {
            var body: [UInt8] = []
            body.appendField(1, bytes: peer.bytes)
            out.appendField(2, bytes: body)
        }
        if let reservation, isHop {
            var body: [UInt8] = []
            body.appendField(1, varint: reservation.expires)
            for address in reservation.addresses { body.appendField(2, bytes: address.bytes) }
            if !reservation.voucher.isEmpty { body.appendField(3, bytes: reservation.voucher) }
            out.appendField(3, bytes: body)
        }
        if let limit {
            var body: [UInt8] = []
            if let duration = limit.duration { body.appendField(1, varint: duration) }
            if let data = limit.data { body.appendField(2, varint: data) }
            out.appendField(isHop ? 4 : 3, bytes: body)
        }
        if let status { out.appendField(isHop ? 5 : 4, varint: status.rawValue) }
        return out
    }

    /// The wire form with its length, for streams that turn into circuits.
    func framed(_ dialect: Dialect) -> [UInt8] {
        let message = encoded(dialect)
        var out: [UInt8] = []
        out.appendVarint(UInt64(message.count))
        return out + message
    }
}

/// The one message that comes on a stream before it turns into a circuit.
struct FirstMessage: Sendable {
    enum Progress {
        case incomplete
        case complete(RelayMessage, rest: [UInt8])
        case malformed
    }

    private var reader = FrameReader(limit: RelayMessage.maxBytes)

    /// Takes bytes as they come. Gives the message when it is whole, with the bytes behind it.
    mutating func take(_ bytes: [UInt8], _ dialect: RelayMessage.Dialect) -> Progress {
        var input = ByteReader(bytes.rawSpan)
        do throws(DecodeError) {
            guard let body = try reader.next(&input) else { return .incomplete }
            let message = try RelayMessage(decoding: body.rawSpan, dialect)
            return .complete(message, rest: try input.readBytes(input.remaining))
        } catch {
            return .malformed
        }
    }
}

/// A relay's signed promise to relay to a peer.
public struct RelayVoucher: Hashable, Sendable {
    /// The purpose that its envelope is signed for.
    public static let domain: StaticString = "libp2p-relay-rsvp"
    /// The type of its envelope's payload: 0x0302.
    public static let payloadType: [UInt8] = [3, 2]

    /// Who promises.
    public let relay: PeerID
    /// To whom.
    public let peer: PeerID
    /// In seconds since the start of 1970.
    public let expires: UInt64

    /// A promise that holds until a time.
    public init(relay: PeerID, peer: PeerID, expires: UInt64) {
        self.relay = relay
        self.peer = peer
        self.expires = expires
    }

    /// The payload of an envelope.
    public var encoded: [UInt8] {
        var out: [UInt8] = []
        out.appendField(1, bytes: relay.bytes)
        out.appendField(2, bytes: peer.bytes)
        out.appendField(3, varint: expires)
        return out
    }
}
