// The Port Control Protocol (RFC 6887), as far as mapping a TCP port of this machine takes.

package import Wire

/// One IPv4 address and port, such as a router's outer one.
public struct IPv4Endpoint: Hashable, Sendable {
    /// The four bytes of the address.
    public let address: [UInt8]
    /// The port.
    public let port: UInt16

    /// The port at the address of four bytes.
    public init(address: [UInt8], port: UInt16) {
        self.address = address
        self.port = port
    }
}

/// What is asked of a router: forward a TCP port, or stop to.
package struct PCPRequest: Hashable, Sendable {
    /// The version of the protocol.
    package static let version: UInt8 = 2
    /// The number of the request MAP, and of the answer to it.
    static let map: UInt8 = 1
    static let answer: UInt8 = 0x80
    static let tcp: UInt8 = 6
    static let byteCount = 60
    /// How many bytes tell apart the mappings of two programs.
    static let nonceBytes = 12

    /// The IPv4 address of this machine.
    package let client: [UInt8]
    /// What only this node knows, so that nobody else can take its mapping away.
    package let nonce: [UInt8]
    /// The port of this machine.
    package let port: UInt16
    /// What the router is asked to choose; all zeros for anything.
    package let wanted: IPv4Endpoint
    /// For how many seconds; 0 ends the mapping.
    package let lifetime: UInt32

    /// The bytes of the datagram.
    package var encoded: [UInt8] {
        var out: [UInt8] = [Self.version, Self.map, 0, 0]
        out.appendBigEndian(lifetime)
        out += [UInt8](mappedIPv4: client) + nonce + [Self.tcp, 0, 0, 0]
        out.appendBigEndian(port)
        out.appendBigEndian(wanted.port)
        return out + [UInt8](mappedIPv4: wanted.address)
    }
}

/// What a router answers.
package enum PCPResponse: Hashable, Sendable {
    /// What became of one mapping; `result` 0 is success.
    case map(result: UInt8, lifetime: UInt32, epoch: UInt32, Mapping)
    /// The router does not speak this protocol, or not this version.
    case unsupported

    /// The mapping that is spoken of.
    package struct Mapping: Hashable, Sendable {
        package let nonce: [UInt8]
        package let port: UInt16
        package let external: IPv4Endpoint
    }

    /// The longest message that the protocol allows.
    static let maxBytes = 1_100
    private static let unsupportedVersion: UInt8 = 1
    private static let unsupportedOpcode: UInt8 = 4

    /// Reads an answer to a request for a TCP port.
    package init(decoding bytes: RawSpan) throws(DecodeError) {
        var reader = ByteReader(bytes)
        guard bytes.byteCount <= Self.maxBytes else {
            throw reader.error(.overLimit, "a PCP message is at most 1,100 bytes long")
        }
        let version = try reader.readByte()
        // A router that knows NAT-PMP alone answers in its words that this version is not spoken.
        guard version != NATPMP.version else {
            self = .unsupported
            return
        }
        let opcode = try reader.readByte()
        try reader.skip(1)
        let result = try reader.readByte()
        guard opcode & PCPRequest.answer != 0 else {
            throw reader.error(.malformed, "this is no answer of a router")
        }
        guard result != Self.unsupportedVersion, result != Self.unsupportedOpcode else {
            self = .unsupported
            return
        }
        guard version == PCPRequest.version, opcode == PCPRequest.map | PCPRequest.answer else {
            throw reader.error(.unsupported, "this answers something else")
        }
        let lifetime = try reader.readBigEndian(UInt32.self)
        let epoch = try reader.readBigEndian(UInt32.self)
        try reader.skip(12)
        let nonce = try reader.readBytes(PCPRequest.nonceBytes)
        guard try reader.readByte() == PCPRequest.tcp else {
            throw reader.error(.mismatch, "this mapping is not for TCP")
        }
        try reader.skip(3)
        let port = try reader.readBigEndian(UInt16.self)
        let outer = try reader.readBigEndian(UInt16.self)
        let external = IPv4Endpoint(address: try reader.readMappedIPv4(), port: outer)
        self = .map(
            result: result, lifetime: lifetime, epoch: epoch,
            Mapping(nonce: nonce, port: port, external: external))
    }
}

extension Array where Element == UInt8 {
    private static let mappedPrefix: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]

    /// An IPv4 address as one of IPv6 (RFC 4291, 2.5.5.2).
    fileprivate init(mappedIPv4 address: [UInt8]) { self = Self.mappedPrefix + address }

    fileprivate var isMappedIPv4: Bool { starts(with: Self.mappedPrefix) }
}

extension ByteReader {
    @_lifetime(self: copy self)
    fileprivate mutating func readMappedIPv4() throws(DecodeError) -> [UInt8] {
        let bytes = try readBytes(16)
        guard bytes.isMappedIPv4 else {
            throw error(.unsupported, "the router's outer address is not one of IPv4")
        }
        return Array(bytes.suffix(4))
    }
}
