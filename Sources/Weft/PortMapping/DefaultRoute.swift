// Where this machine's way to the internet begins, as Linux tells it.

import Glibc
import Multiformats
import NIOCore
import Peering

/// The router that this machine sends to when it knows no better way.
enum DefaultRoute {
    /// The routing table of IPv4.
    private static let table = "/proc/net/route"
    /// What is read of it. The default route comes first.
    private static let maxBytes = 64 << 10

    /// The router and this machine's address beside it; nil without a way out, and if one of them
    /// is no address of a private network.
    static func network() -> PortMapper.Network? {
        guard let table = read(), let (device, router) = best(in: table),
            AddressScope(ip: router) == .site, let devices = try? System.enumerateDevices()
        else { return nil }
        for entry in devices where entry.name == device {
            guard let ip = entry.address?.ipComponent, ip.protocol == .ip4,
                AddressScope(ip: ip.value) == .site
            else { continue }
            return PortMapper.Network(router: router, host: ip.value)
        }
        return nil
    }

    /// The table as text. The system says of no such file how long it is.
    private static func read() -> String? {
        guard let file = try? Descriptor.openIfPresent(table) else { return nil }
        var bytes = [UInt8](repeating: 0, count: maxBytes)
        let count = bytes.withUnsafeMutableBytes { try? file.read(into: $0, at: 0, path: table) }
        return count.map { String(decoding: bytes[..<$0], as: UTF8.self) }
    }

    /// The device and router of the default route that is preferred (proc(5), `net/route`).
    static func best(in table: String) -> (device: String, router: [UInt8])? {
        var best: (device: String, router: [UInt8], metric: Int)?
        for line in table.split(separator: "\n").dropFirst() {
            let fields = line.split { $0 == "\t" || $0 == " " }
            guard fields.count >= 8, fields[1] == "00000000", fields[7] == "00000000",
                let flags = Int(fields[3], radix: 16), flags & isUp != 0, flags & isGateway != 0,
                let metric = Int(fields[6]), let number = UInt32(fields[2], radix: 16)
            else { continue }
            if let best, best.metric <= metric { continue }
            // The bytes as they are in memory, which is in the order of the network.
            let router = withUnsafeBytes(of: number) { Array($0) }
            best = (String(fields[0]), router, metric)
        }
        return best.map { ($0.device, $0.router) }
    }

    private static let isUp = 0x1
    private static let isGateway = 0x2
}
