// What becomes of asking a router to forward ports to this machine.

/// How a router is asked, in the order of trying.
public enum PortMappingProtocol: Hashable, Sendable, CaseIterable {
    /// The Port Control Protocol (RFC 6887).
    case pcp
    /// The NAT Port Mapping Protocol (RFC 6886).
    case natPMP
    /// UPnP Internet Gateway Device.
    case upnp
}

/// A port that a router forwards.
public struct PortMapping: Hashable, Sendable {
    /// The TCP port of this machine.
    public let port: UInt16
    /// What leads to it from outside.
    public let external: IPv4Endpoint
    /// How the router was asked.
    public let way: PortMappingProtocol

    /// A port and what leads to it.
    public init(port: UInt16, external: IPv4Endpoint, way: PortMappingProtocol) {
        self.port = port
        self.external = external
        self.way = way
    }
}

/// Why a router does not forward a port.
public enum PortMappingFailure: Hashable, Sendable {
    /// It did not answer.
    case silent
    /// It does not listen for such requests.
    case unreachable
    /// It speaks another version.
    case unsupported
    /// It is told not to.
    case notAuthorized
    /// It is not on the internet itself.
    case noNetwork
    /// It has no room for more.
    case exhausted
    /// It refused for a reason with this number.
    case refused(UInt16)

    /// The reason that an answer of PCP gives.
    init(pcp result: UInt8) {
        self =
            switch result {
            case 2: .notAuthorized
            case 7: .noNetwork
            case 8, 10, 11: .exhausted
            default: .refused(UInt16(result))
            }
    }

    /// The reason that an answer of NAT-PMP gives.
    init(natPMP result: UInt16) {
        self =
            switch result {
            case 1, 5: .unsupported
            case 2: .notAuthorized
            case 3: .noNetwork
            case 4: .exhausted
            default: .refused(result)
            }
    }
}

/// How it stands with forwarded ports.
public enum PortMappingStatus: Hashable, Sendable {
    /// Why no router is asked.
    public enum Idle: Hashable, Sendable {
        /// It is switched off, or the node does not let everybody in.
        case off
        /// The node listens at no address that a router could forward to.
        case notListening
        /// This machine has a public address, or no router that lies in a private network.
        case noRouter
    }

    case idle(Idle)
    /// Routers are being asked.
    case asking
    /// A router forwards these ports.
    case mapped([PortMapping])
    /// No way led to a forwarded port; what became of each.
    case failed([Attempt])

    /// What became of one way to ask.
    public struct Attempt: Hashable, Sendable {
        /// How the router was asked.
        public let way: PortMappingProtocol
        /// What became of it.
        public let failure: PortMappingFailure

        /// A way and what became of it.
        public init(way: PortMappingProtocol, failure: PortMappingFailure) {
            self.way = way
            self.failure = failure
        }
    }
}
