// Whether the router lets others in because it was asked to, in words for people who play games.

public import Peering

extension Finding {
    /// What came of asking the router to forward ports.
    public static func portMapping(_ status: PortMappingStatus) -> Finding {
        switch status {
        case .idle(.off):
            Finding(
                subject, .note, "The router is not asked to let others in.",
                advice: "That is switched off ('weft config set mesh.port-mapping auto' switches "
                    + "it on), or the node is offline or does not reach everywhere (mesh.reach).")
        case .idle(.notListening):
            Finding(
                subject, .note,
                "The node listens at no address of the local network, so that the router has "
                    + "nothing to let in.",
                advice: "Start it with --listen /ip4/0.0.0.0/tcp/4001, or set mesh.listen.")
        case .idle(.noRouter):
            Finding(
                subject, .good,
                "There is no home router to ask: this machine has an address of its own on the "
                    + "internet, or no way to it.")
        case .asking:
            Finding(
                subject, .note, "The router is being asked to let others in.",
                advice: "Ask again in a minute.")
        case .mapped(let mappings): mapped(mappings)
        case .failed(let attempts): failed(attempts)
        }
    }

    private static let subject = "port forwarding"

    private static func mapped(_ mappings: [PortMapping]) -> Finding {
        let details = mappings.map {
            "TCP port \($0.port) of this machine is port \($0.external.port) of "
                + "\(text($0.external.address)), asked for by \($0.way.name)"
        }
        let address = mappings.first?.external.address ?? []
        guard AddressScope(ip: address) != .world else {
            let ports = mappings.map { "\($0.external.port)" }.joined(separator: ", ")
            return Finding(
                subject, .good,
                "The router lets others in at \(text(address)), port \(ports), because this node "
                    + "asked it to.", details: details)
        }
        guard address != [0, 0, 0, 0] else {
            return Finding(
                subject, .problem,
                "The router lets others in, but has no address on the internet at the moment.",
                details: details, advice: "Check that the router is online.")
        }
        return Finding(
            subject, .problem,
            "The router lets others in, but there is another router before it: its own outer "
                + "address, \(text(address)), is a private one (double NAT).", details: details,
            advice: isShared(address)
                ? "Your provider lets many customers share one address (CGNAT). Ask it for a "
                    + "public IPv4 address, or for IPv6; until then others come through relays."
                : "If you have two boxes in a row, set one of them to bridge mode, or forward the "
                    + "port in the outer one too.")
    }

    private static func failed(_ attempts: [PortMappingStatus.Attempt]) -> Finding {
        let isForbidden = attempts.contains { $0.failure == .notAuthorized }
        let isOffline = attempts.contains { $0.failure == .noNetwork }
        return Finding(
            subject, .note,
            isForbidden
                ? "The router refuses to let others in: programs may not ask it for that."
                : isOffline
                    ? "The router lets nobody in, because it is not on the internet itself."
                    : "The router does not let others in when it is asked.",
            details: attempts.map { "\($0.way.name): \($0.failure.words)" },
            advice: isOffline
                ? "Check that the router is online."
                : "Turn on UPnP, NAT-PMP or PCP in the settings of the router (some call it "
                    + "automatic port forwarding or gaming mode), or forward the port there by "
                    + "hand. It is asked again every ten minutes.")
    }

    private static func text(_ address: [UInt8]) -> String {
        address.map { String($0) }.joined(separator: ".")
    }

    /// Whether an address is of those that providers share among customers (RFC 6598).
    private static func isShared(_ address: [UInt8]) -> Bool {
        address.count == 4 && address[0] == 100 && address[1] & 0xc0 == 64
    }
}

extension PortMappingProtocol {
    /// What the settings of routers call it.
    var name: String {
        switch self {
        case .pcp: "PCP"
        case .natPMP: "NAT-PMP"
        case .upnp: "UPnP"
        }
    }
}

extension PortMappingFailure {
    fileprivate var words: String {
        switch self {
        case .silent: "no answer"
        case .unreachable: "the router does not listen for it"
        case .unsupported: "the router does not speak it"
        case .notAuthorized: "the router is told to refuse"
        case .noNetwork: "the router is not on the internet"
        case .exhausted: "the router has no port left"
        case .refused(let number): "refused, with number \(number)"
        }
    }
}
