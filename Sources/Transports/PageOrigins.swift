import NIOCore

/// Which web pages may connect to a WebSocket listener, besides programs, which have no origin.
public enum PageOrigins: Sendable {
    case all
    /// Those of this machine. Any other page would learn there whose machine it is.
    case loopback

    /// Whether a request with these `Origin` fields is one of them.
    public func admits(_ origins: [String]) -> Bool {
        switch self {
        case .all: true
        case .loopback: origins.allSatisfy { Self.isLoopback($0) }
        }
    }

    private static func isLoopback(_ origin: String) -> Bool {
        guard let end = origin.firstRange(of: "://")?.upperBound else { return false }
        let authority = origin[end...]
        let host =
            authority.first == "["
            ? authority.dropFirst().prefix { $0 != "]" } : authority.prefix { $0 != ":" }
        if host == "localhost" { return true }
        return (try? SocketAddress(ipAddress: String(host), port: 0))?.isLoopback ?? false
    }
}
