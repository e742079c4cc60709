// The NAT Port Mapping Protocol (RFC 6886), which older routers speak.

package import Wire

/// Its messages.
package enum NATPMP {
    /// The version of the protocol.
    package static let version: UInt8 = 0
    private static let addressOpcode: UInt8 = 0
    private static let tcpOpcode: UInt8 = 2
    private static let answer: UInt8 = 0x80

    /// Asks for the router's outer address.
    package static let addressRequest: [UInt8] = [version, addressOpcode]

    /// Asks for a TCP port of this machine to be forwarded for so many seconds; 0 ends that.
    package static func mapRequest(_ port: UInt16, outer: UInt16, lifetime: UInt32) -> [UInt8] {
        var out: [UInt8] = [version, tcpOpcode, 0, 0]
        out.appendBigEndian(port)
        out.appendBigEndian(outer)
        out.appendBigEndian(lifetime)
        return out
    }

    /// What a router answers.
    package enum Response: Hashable, Sendable {
        /// Its outer address, of four bytes.
        case address([UInt8], epoch: UInt32)
        /// It forwards the outer port to this one.
        case mapped(UInt16, outer: UInt16, lifetime: UInt32, epoch: UInt32)
        /// It does not; with whether it was asked for its address, and a number for why.
        case refused(isAddress: Bool, result: UInt16)

        /// Reads an answer.
        package init(decoding bytes: RawSpan) throws(DecodeError) {
            var reader = ByteReader(bytes)
            let version = try reader.readByte()
            let opcode = try reader.readByte()
            let result = try reader.readBigEndian(UInt16.self)
            guard version == NATPMP.version, opcode & answer != 0 else {
                throw reader.error(.malformed, "this is no answer of NAT-PMP")
            }
            let isAddress = opcode == addressOpcode | answer
            guard isAddress || opcode == tcpOpcode | answer else {
                throw reader.error(.unsupported, "this answers something else")
            }
            guard result == 0 else {
                self = .refused(isAddress: isAddress, result: result)
                return
            }
            let epoch = try reader.readBigEndian(UInt32.self)
            if isAddress {
                self = .address(try reader.readBytes(4), epoch: epoch)
            } else {
                let port = try reader.readBigEndian(UInt16.self)
                let outer = try reader.readBigEndian(UInt16.self)
                let lifetime = try reader.readBigEndian(UInt32.self)
                self = .mapped(port, outer: outer, lifetime: lifetime, epoch: epoch)
            }
        }
    }
}
