// Asking a router by UPnP to forward ports (Internet Gateway Device), with miniupnpc.

import CMiniUPnPc
import Peering

/// A router that was found by UPnP. Its calls wait for the network: they belong on a thread that
/// may wait.
struct InternetGateway: Sendable {
    private let controlURL: String
    private let serviceType: String
    private let host: String

    /// How long routers are looked for, in milliseconds.
    private static let searchTime: Int32 = 2_000
    /// How many hops the search goes.
    private static let hops: UInt8 = 2
    /// How many devices that say they are at the router's address are asked.
    private static let maxDevices = 4
    /// How many other outer ports are tried when one is taken.
    private static let otherPorts = 3
    /// What the router shows beside the mapping.
    private static let purpose = "Weft"

    /// Finds the router of a network. Answers of others, and routers that send us to others, are
    /// left out.
    init?(_ network: PortMapper.Network) {
        host = Self.text(network.host)
        let router = Self.text(network.router)
        var error: Int32 = 0
        guard
            let devices = upnpDiscover(Self.searchTime, host, nil, 0, 0, Self.hops, &error)
        else { return nil }
        defer { freeUPNPDevlist(devices) }
        var candidates: [UnsafeMutablePointer<UPNPDev>] = []
        var next: UnsafeMutablePointer<UPNPDev>? = devices
        while let device = next {
            next = device.pointee.pNext
            if Self.host(ofURL: device.pointee.descURL) == router { candidates.append(device) }
        }
        for device in candidates.prefix(Self.maxDevices) {
            // One at a time, so that no other device is fetched from.
            let rest = device.pointee.pNext
            device.pointee.pNext = nil
            defer { device.pointee.pNext = rest }
            var urls = UPNPUrls()
            var data = IGDdatas()
            guard weft_find_router(device, &urls, &data) == 1 else { continue }
            defer { FreeUPNPUrls(&urls) }
            guard let control = urls.controlURL, Self.host(ofURL: control) == router else {
                continue
            }
            controlURL = String(cString: control)
            serviceType = withUnsafeBytes(of: &data.first.servicetype) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            return
        }
        return nil
    }

    /// Has an outer TCP port forwarded to a port of this machine; another outer port, if that one
    /// is taken.
    func forward(_ port: UInt16, outer: UInt16, lifetime: UInt32) -> PortMapper.Answer {
        var outer = outer
        var lease = lifetime
        for _ in 0...Self.otherPorts {
            var result = add(port, outer, lease)
            if result == Fault.onlyPermanent {
                lease = 0
                result = add(port, outer, lease)
            }
            switch result {
            case UPNPCOMMAND_SUCCESS:
                guard let address = outerAddress() else { return .failed(.noNetwork) }
                return .forwarded(IPv4Endpoint(address: address, port: outer))
            case Fault.taken: outer = .random(in: 1_024 ... .max)
            case Fault.notAuthorized: return .failed(.notAuthorized)
            case Fault.noRoom: return .failed(.exhausted)
            case ..<0: return .failed(.silent)
            default: return .failed(.refused(UInt16(clamping: result)))
            }
        }
        return .failed(.exhausted)
    }

    /// Ends that.
    func release(_ outer: UInt16) {
        // Who stops cannot do more than ask; the mapping ends by itself.
        _ = UPNP_DeletePortMapping(controlURL, serviceType, "\(outer)", "TCP", nil)
    }

    /// What the calls of WANIPConnection answer.
    private enum Fault {
        static let notAuthorized: Int32 = 606
        static let taken: Int32 = 718
        static let onlyPermanent: Int32 = 725
        static let noRoom: Int32 = 728
    }

    private func add(_ port: UInt16, _ outer: UInt16, _ lease: UInt32) -> Int32 {
        UPNP_AddPortMapping(
            controlURL, serviceType, "\(outer)", "\(port)", host, Self.purpose, "TCP", nil,
            "\(lease)")
    }

    private func outerAddress() -> [UInt8]? {
        // What miniupnpc writes at most.
        var text = [CChar](repeating: 0, count: 64)
        guard UPNP_GetExternalIPAddress(controlURL, serviceType, &text) == UPNPCOMMAND_SUCCESS
        else { return nil }
        let parts = text.prefix { $0 != 0 }.split(separator: CChar(UInt8(ascii: ".")))
        let bytes = parts.compactMap {
            UInt8(String(decoding: $0.map { UInt8(bitPattern: $0) }, as: UTF8.self))
        }
        return parts.count == 4 && bytes.count == 4 && bytes != [0, 0, 0, 0] ? bytes : nil
    }

    private static func text(_ address: [UInt8]) -> String {
        address.map { String($0) }.joined(separator: ".")
    }

    /// The host of an http URL with an IPv4 address.
    private static func host(ofURL url: UnsafePointer<CChar>?) -> String? {
        guard let url else { return nil }
        let text = String(cString: url)
        let scheme = "http://"
        guard text.hasPrefix(scheme) else { return nil }
        return String(text.dropFirst(scheme.count).prefix { $0 != "/" && $0 != ":" })
    }
}
