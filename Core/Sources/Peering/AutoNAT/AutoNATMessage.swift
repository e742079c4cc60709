// The messages of both versions of AutoNAT (github.com/libp2p/specs, autonat).

public import Multiformats
public import Wire

/// A message on a dial-request stream of version 2.
public enum AutoNATMessage: Hashable, Sendable {
    /// The longest message, in bytes.
    public static let maxBytes = 8 << 10
    /// How many addresses a request may have; more are passed over.
    public static let maxAddresses = 50

    /// What became of the whole request.
    public enum Status: UInt64, Hashable, Sendable {
        case internalError = 0
        case rejected = 100
        case refused = 101
        case ok = 200
    }

    /// What became of the one address that was chosen.
    public enum DialStatus: UInt64, Hashable, Sendable {
        case unused = 0
        case dialError = 100
        case dialBackError = 101
        case ok = 200
    }

    /// Please dial the first of these that you can; nil stands for one that could not be read.
    case request([Multiaddr?], nonce: UInt64)
    /// The dial is done.
    case response(Status, index: UInt64, DialStatus)
    /// Send so many bytes first, because the chosen address is not the one you come from.
    case dataRequest(index: UInt64, bytes: UInt64)
    /// Some of these bytes.
    case data(count: Int)

    /// Decodes a message.
    public init(decoding bytes: RawSpan) throws(DecodeError) {
        var reader = ByteReader(bytes)
        var message: AutoNATMessage?
        while let tag = try reader.readTag() {
            guard tag.wireType == .bytes else {
                try reader.skipValue(of: tag.wireType)
                continue
            }
            let body = try reader.readDelimited()
            switch tag.field {
            case 1: message = try Self.readRequest(body)
            case 2:
                let fields = try Self.readNumbers(body)
                guard let status = Status(rawValue: fields.0),
                    let dial = DialStatus(rawValue: fields.2)
                else { throw reader.error(.unsupported, "autonat: an unknown status") }
                message = .response(status, index: fields.1, dial)
            case 3:
                let fields = try Self.readNumbers(body)
                message = .dataRequest(index: fields.0, bytes: fields.1)
            case 4:
                var inner = ByteReader(body)
                var count = 0
                while let tag = try inner.readTag() {
                    guard tag == ProtobufTag(1, .bytes) else {
                        try inner.skipValue(of: tag.wireType)
                        continue
                    }
                    count += try inner.readDelimited().byteCount
                }
                message = .data(count: count)
            default: continue
            }
        }
        guard let message else { throw reader.error(.malformed, "autonat: an empty message") }
        self = message
    }

    private static func readRequest(_ body: RawSpan) throws(DecodeError) -> AutoNATMessage {
        var reader = ByteReader(body)
        var addresses: [Multiaddr?] = []
        var nonce: UInt64 = 0
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .bytes):
                let bytes = try reader.readDelimited()
                guard addresses.count < maxAddresses else { continue }
                // It keeps its place, because answers name addresses by their place.
                addresses.append(try? Multiaddr(decoding: bytes))
            case (2, .fixed64): nonce = try reader.readLittleEndian(UInt64.self)
            default: try reader.skipValue(of: tag.wireType)
            }
        }
        return .request(addresses, nonce: nonce)
    }

    private static func readNumbers(
        _ body: RawSpan
    ) throws(DecodeError) -> (UInt64, UInt64, UInt64) {
        var reader = ByteReader(body)
        var fields: (UInt64, UInt64, UInt64) = (0, 0, 0)
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .varint): fields.0 = try reader.readProtobufVarint()
            case (2, .varint): fields.1 = try reader.readProtobufVarint()
            case (3, .varint): fields.2 = try reader.readProtobufVarint()
            default: try reader.skipValue(of: tag.wireType)
            }
        }
        return fields
    }

    /// The wire form.
    public var encoded: [UInt8] {
        var body: [UInt8] = []
        var out: [UInt8] = []
        switch self {
        case .request(let addresses, let nonce):
            for address in addresses { body.appendField(1, bytes: address?.bytes ?? []) }
            body.appendField(2, fixed64: nonce)
            out.appendField(1, bytes: body)
        case .response(let status, let index, let dial):
            body.appendField(1, varint: status.rawValue)
            body.appendField(2, varint: index)
            body.appendField(3, varint: dial.rawValue)
            out.appendField(2, bytes: body)
        case .dataRequest(let index, let bytes):
            body.appendField(1, varint: index)
            body.appendField(2, varint: bytes)
            out.appendField(3, bytes: body)
        case .data(let count):
            body.appendField(1, bytes: [UInt8](repeating: 0, count: count))
            out.appendField(4, bytes: body)
        }
        return out
    }

    /// The message of a dial-back stream.
    public static func dialBack(nonce: UInt64) -> [UInt8] {
        var out: [UInt8] = []
        out.appendField(1, fixed64: nonce)
        return out
    }

    /// The number in the message of a dial-back stream.
    static func readDialBack(_ bytes: RawSpan) throws(DecodeError) -> UInt64 {
        var reader = ByteReader(bytes)
        var nonce: UInt64 = 0
        while let tag = try reader.readTag() {
            guard tag == ProtobufTag(1, .fixed64) else {
                try reader.skipValue(of: tag.wireType)
                continue
            }
            nonce = try reader.readLittleEndian(UInt64.self)
        }
        return nonce
    }

    /// The answer on a dial-back stream: it arrived. Its only field is zero, and written, because
    /// an empty message is taken for none by some.
    static let dialBackAnswer: [UInt8] = [0x08, 0]
}

/// A message of version 1.
public enum AutoNATv1Message: Hashable, Sendable {
    /// What became of a request.
    public enum Status: UInt64, Hashable, Sendable {
        case ok = 0
        case dialError = 100
        case dialRefused = 101
        case badRequest = 200
        case internalError = 300
    }

    case dial(PeerID?, [Multiaddr])
    case response(Status, Multiaddr?)

    /// Decodes a message.
    public init(decoding bytes: RawSpan) throws(DecodeError) {
        var reader = ByteReader(bytes)
        var peer: PeerID?
        var addresses: [Multiaddr] = []
        var status: Status?
        var address: Multiaddr?
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (2, .bytes):
                var dial = ByteReader(try reader.readDelimited())
                while let tag = try dial.readTag() {
                    guard tag == ProtobufTag(1, .bytes) else {
                        try dial.skipValue(of: tag.wireType)
                        continue
                    }
                    (peer, addresses) = try Self.readPeer(try dial.readDelimited())
                }
            case (3, .bytes):
                status = status ?? .ok
                var response = ByteReader(try reader.readDelimited())
                while let tag = try response.readTag() {
                    switch (tag.field, tag.wireType) {
                    case (1, .varint):
                        status = Status(rawValue: try response.readProtobufVarint())
                    case (3, .bytes):
                        // Of no use if it cannot be read.
                        address = try? Multiaddr(decoding: try response.readDelimited())
                    default: try response.skipValue(of: tag.wireType)
                    }
                }
            default: try reader.skipValue(of: tag.wireType)
            }
        }
        self = status.map { .response($0, address) } ?? .dial(peer, addresses)
    }

    private static func readPeer(
        _ body: RawSpan
    ) throws(DecodeError) -> (PeerID?, [Multiaddr]) {
        var reader = ByteReader(body)
        var peer: PeerID?
        var addresses: [Multiaddr] = []
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .bytes): peer = try PeerID(decoding: try reader.readDelimited())
            case (2, .bytes):
                let bytes = try reader.readDelimited()
                guard addresses.count < AutoNATMessage.maxAddresses else { continue }
                // Other versions have protocols that this one does not know.
                if let address = try? Multiaddr(decoding: bytes) { addresses.append(address) }
            default: try reader.skipValue(of: tag.wireType)
            }
        }
        return (peer, addresses)
    }

    /// The wire form.
    public var encoded: [UInt8] {
        var out: [UInt8] = []
        var body: [UInt8] = []
        switch self {
        case .dial(let peer, let addresses):
            out.appendField(1, varint: 0)
            var info: [UInt8] = []
            if let peer { info.appendField(1, bytes: peer.bytes) }
            for address in addresses { info.appendField(2, bytes: address.bytes) }
            body.appendField(1, bytes: info)
            out.appendField(2, bytes: body)
        case .response(let status, let address):
            out.appendField(1, varint: 1)
            body.appendField(1, varint: status.rawValue)
            if let address { body.appendField(3, bytes: address.bytes) }
            out.appendField(3, bytes: body)
        }
        return out
    }
}
