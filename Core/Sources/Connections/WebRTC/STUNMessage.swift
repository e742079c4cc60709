// STUN (RFC 8489), as far as ICE and whoever asks for its address need it: Binding requests and
// their answers, with short-term credentials.

import Cryptography
public import Wire

/// A message that has been read. What it claims is not proven before ``isAuthentic(_:key:)``.
public struct STUNMessage: Sendable {
    /// What a message is.
    public enum Kind: UInt16, Sendable {
        case request = 0x0001
        case indication = 0x0011
        case success = 0x0101
        case failure = 0x0111
    }

    /// The longest that is read, in bytes: one datagram.
    public static let maxLength = 1_500
    static let cookie: UInt32 = 0x2112_a442
    static let headerLength = 20
    /// How many bytes follow the head of MESSAGE-INTEGRITY.
    static let integrityLength = 20
    /// What FINGERPRINT is combined with.
    static let fingerprintMask: UInt32 = 0x5354_554e

    enum Attribute {
        static let username: UInt16 = 0x0006
        static let integrity: UInt16 = 0x0008
        static let xorMappedAddress: UInt16 = 0x0020
        static let priority: UInt16 = 0x0024
        static let useCandidate: UInt16 = 0x0025
        static let fingerprint: UInt16 = 0x8028
        static let iceControlled: UInt16 = 0x8029
        /// What has to be understood besides, and makes no difference here.
        static let ignored: [UInt16] = [0x0001, 0x0009, 0x000a, priority]
    }

    /// What it is.
    public let kind: Kind
    /// The 12 bytes that an answer shares with its request.
    public let transaction: [UInt8]
    /// USERNAME; nil if it has none.
    public private(set) var username: [UInt8]?
    /// Whether the sender wants to use this way (USE-CANDIDATE).
    public private(set) var isNomination = false
    /// Where the answering side saw the request come from (XOR-MAPPED-ADDRESS).
    public private(set) var mappedAddress: UDPAddress?
    /// Whether it has something in it that must be understood to answer it, and is not.
    public private(set) var isUnclear = false
    /// Where MESSAGE-INTEGRITY starts; nil if it has none.
    private var integrityOffset: Int?

    /// Reads a whole datagram. A FINGERPRINT, if there is one, must be right.
    public init(decoding bytes: RawSpan) throws(DecodeError) {
        guard bytes.byteCount <= Self.maxLength else {
            throw DecodeError(.overLimit, "STUN: the message is too long")
        }
        var reader = ByteReader(bytes)
        guard let kind = Kind(rawValue: try reader.readBigEndian(UInt16.self)) else {
            throw DecodeError(.unsupported, "STUN: not a Binding")
        }
        self.kind = kind
        let length = Int(try reader.readBigEndian(UInt16.self))
        guard try reader.readBigEndian(UInt32.self) == Self.cookie else {
            throw DecodeError(.malformed, "STUN: not its cookie")
        }
        transaction = try reader.readBytes(12)
        guard length == reader.remaining, length.isMultiple(of: 4) else {
            throw DecodeError(.malformed, "STUN: the length is wrong")
        }
        while !reader.isAtEnd { try readAttribute(&reader) }
    }

    private mutating func readAttribute(_ reader: inout ByteReader) throws(DecodeError) {
        let offset = reader.offset
        let type = try reader.readBigEndian(UInt16.self)
        let length = Int(try reader.readBigEndian(UInt16.self))
        let value = try reader.readSpan(length)
        _ = try reader.readSpan((4 - length % 4) % 4)
        if type == Attribute.fingerprint {
            guard reader.isAtEnd, length == 4 else {
                throw DecodeError(.malformed, "STUN: FINGERPRINT is not the end")
            }
            var inner = ByteReader(value)
            let sum = CRC32.sum(of: reader.bytes.extracting(..<offset)) ^ Self.fingerprintMask
            guard try inner.readBigEndian(UInt32.self) == sum else {
                throw DecodeError(.malformed, "STUN: FINGERPRINT is wrong")
            }
            return
        }
        // What follows MESSAGE-INTEGRITY is not covered by it, and says nothing.
        guard integrityOffset == nil else { return }
        switch type {
        case Attribute.integrity:
            guard length == Self.integrityLength else {
                throw DecodeError(.malformed, "STUN: MESSAGE-INTEGRITY has the wrong length")
            }
            integrityOffset = offset
        case Attribute.username: username = username ?? [UInt8](value)
        case Attribute.useCandidate: isNomination = true
        case Attribute.xorMappedAddress: mappedAddress = try readAddress(ByteReader(value))
        default:
            if type < 0x8000, !Attribute.ignored.contains(type) { isUnclear = true }
        }
    }

    private func readAddress(_ value: consuming ByteReader) throws(DecodeError) -> UDPAddress {
        var reader = value
        let family = try reader.readBigEndian(UInt16.self) & 0xff
        let port = try reader.readBigEndian(UInt16.self) ^ UInt16(Self.cookie >> 16)
        var ip = try reader.readBytes(reader.remaining)
        let mask = Self.addressMask(transaction)
        for index in 0..<min(ip.count, mask.count) { ip[index] ^= mask[index] }
        guard ip.count == (family == 2 ? 16 : 4), family == 1 || family == 2,
            let address = UDPAddress(ip: ip.rawSpan, port: port)
        else { throw DecodeError(.malformed, "STUN: the address is of no known family") }
        return address
    }

    static func addressMask(_ transaction: [UInt8]) -> [UInt8] {
        var mask: [UInt8] = []
        mask.appendBigEndian(cookie)
        return mask + transaction
    }

    /// Whether whoever made the message knows `key`. `bytes` are those that it was read from. The
    /// comparison takes the same time wherever codes differ.
    public func isAuthentic(_ bytes: RawSpan, key: RawSpan) -> Bool {
        guard let offset = integrityOffset else { return false }
        let code = Self.integrityCode(of: bytes.extracting(..<offset), key: key)
        let start = offset + 4
        let claimed = [UInt8](bytes.extracting(start..<(start + Self.integrityLength)))
        var difference: UInt8 = 0
        for index in 0..<Self.integrityLength { difference |= code[index] ^ claimed[index] }
        return difference == 0
    }

    /// The code of a message up to MESSAGE-INTEGRITY, as if that were the end of it.
    static func integrityCode(of bytes: RawSpan, key: RawSpan) -> [UInt8] {
        var header = [UInt8](bytes.extracting(..<headerLength))
        let length = bytes.byteCount - headerLength + 4 + integrityLength
        header[2] = UInt8(truncatingIfNeeded: length >> 8)
        header[3] = UInt8(truncatingIfNeeded: length)
        return HMACSHA1.code(
            of: header.rawSpan, and: bytes.extracting(headerLength...), key: key)
    }
}

/// Writes a message.
public struct STUNWriter {
    private var bytes: [UInt8] = []
    private let transaction: [UInt8]

    /// Starts a message; a transaction has 12 bytes.
    public init(_ kind: STUNMessage.Kind, transaction: [UInt8]) {
        precondition(transaction.count == 12, "a transaction has 12 bytes")
        self.transaction = transaction
        bytes.appendBigEndian(kind.rawValue)
        bytes.appendBigEndian(UInt16(0))
        bytes.appendBigEndian(STUNMessage.cookie)
        bytes += transaction
    }

    /// Adds any attribute.
    public mutating func add(_ type: UInt16, _ value: [UInt8] = []) {
        bytes.appendBigEndian(type)
        bytes.appendBigEndian(UInt16(value.count))
        bytes += value
        bytes += [UInt8](repeating: 0, count: (4 - value.count % 4) % 4)
        let length = UInt16(bytes.count - STUNMessage.headerLength)
        bytes[2] = UInt8(length >> 8)
        bytes[3] = UInt8(length & 0xff)
    }

    /// Adds USERNAME.
    public mutating func add(username: [UInt8]) {
        add(STUNMessage.Attribute.username, username)
    }

    /// Adds PRIORITY, and USE-CANDIDATE if this is to be the way.
    public mutating func add(priority: UInt32, isNomination: Bool) {
        var value: [UInt8] = []
        value.appendBigEndian(priority)
        add(STUNMessage.Attribute.priority, value)
        if isNomination { add(STUNMessage.Attribute.useCandidate) }
    }

    /// Adds XOR-MAPPED-ADDRESS.
    public mutating func add(mapped address: UDPAddress) {
        var value: [UInt8] = [0, address.isIPv6 ? 2 : 1]
        value.appendBigEndian(address.port ^ UInt16(STUNMessage.cookie >> 16))
        let mask = STUNMessage.addressMask(transaction)
        for (byte, masking) in zip(address.ip, mask) { value.append(byte ^ masking) }
        add(STUNMessage.Attribute.xorMappedAddress, value)
    }

    /// The message with MESSAGE-INTEGRITY, if there is a key, and FINGERPRINT.
    public consuming func finish(key: [UInt8]?) -> [UInt8] {
        if let key {
            add(
                STUNMessage.Attribute.integrity,
                STUNMessage.integrityCode(of: bytes.rawSpan, key: key.rawSpan))
        }
        // The sum covers the head with the length of the whole message.
        add(STUNMessage.Attribute.fingerprint, [0, 0, 0, 0])
        bytes.removeLast(8)
        let sum = CRC32.sum(of: bytes.rawSpan) ^ STUNMessage.fingerprintMask
        bytes.appendBigEndian(STUNMessage.Attribute.fingerprint)
        bytes.appendBigEndian(UInt16(4))
        bytes.appendBigEndian(sum)
        return bytes
    }
}

/// The checksum of FINGERPRINT (ISO 3309).
private enum CRC32 {
    private static let table: [UInt32] = (0..<256).map { index in
        var value = UInt32(index)
        for _ in 0..<8 { value = value & 1 == 1 ? (value >> 1) ^ 0xedb8_8320 : value >> 1 }
        return value
    }

    static func sum(of bytes: RawSpan) -> UInt32 {
        var sum: UInt32 = .max
        for byte in [UInt8](bytes) {
            sum = (sum >> 8) ^ table[Int((sum ^ UInt32(byte)) & 0xff)]
        }
        return ~sum
    }
}
