// Where datagrams come from and go to.

import Wire

/// An IP address and a port of UDP.
public struct UDPAddress: Hashable, Sendable {
    /// The IP address, most significant byte first; of IPv4 the last four bytes of `low`.
    private let high: UInt64
    private let low: UInt64
    /// Whether it is an address of IPv6.
    public let isIPv6: Bool
    /// The port.
    public let port: UInt16

    /// An address of 4 or 16 bytes; nil for any other length.
    public init?(ip: RawSpan, port: UInt16) {
        guard ip.byteCount == 4 || ip.byteCount == 16 else { return nil }
        var reader = ByteReader(ip)
        do throws(DecodeError) {
            isIPv6 = ip.byteCount == 16
            if ip.byteCount == 16 {
                high = try reader.readBigEndian(UInt64.self)
                low = try reader.readBigEndian(UInt64.self)
            } else {
                high = 0
                low = UInt64(try reader.readBigEndian(UInt32.self))
            }
        } catch {
            return nil
        }
        self.port = port
    }

    /// The IP address, 4 or 16 bytes.
    public var ip: [UInt8] {
        var bytes: [UInt8] = []
        if isIPv6 {
            bytes.appendBigEndian(high)
            bytes.appendBigEndian(low)
        } else {
            bytes.appendBigEndian(UInt32(truncatingIfNeeded: low))
        }
        return bytes
    }

    /// What one customer of a network has at least: an address of IPv4, or 2^64 of IPv6.
    public var network: UInt64 { isIPv6 ? high : low }
}
