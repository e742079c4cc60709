/// Which web pages may connect to a WebSocket listener, besides programs, which have no origin.
public enum PageOrigins: Sendable {
    case all
    /// Those of `localhost`. Any other page would learn there whose machine it is: also content
    /// that a gateway of this machine shows, which is of a loopback address or of a name below
    /// `localhost`.
    case localhost

    /// Whether a request with these `Origin` fields is one of them.
    public func admits(_ origins: [String]) -> Bool {
        switch self {
        case .all: true
        case .localhost: origins.allSatisfy { Self.isOfLocalhost($0) }
        }
    }

    private static func isOfLocalhost(_ origin: String) -> Bool {
        guard let end = origin.firstRange(of: "://")?.upperBound else { return false }
        return origin[end...].prefix { $0 != ":" } == "localhost"
    }
}
