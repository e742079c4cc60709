public import Multiformats
import NIOCore

/// A socket that peers connect to.
public final class Listener: Sendable {
    /// Where it listens, with the port that the system chose.
    public let address: Multiaddr
    private let stop: @Sendable () -> EventLoopFuture<Void>

    /// `stop` has the socket take no more connections.
    init(_ address: Multiaddr, stop: @escaping @Sendable () -> EventLoopFuture<Void>) {
        self.address = address
        self.stop = stop
    }

    /// Takes no more connections. Those that are there go on; those over UDP need their socket, so
    /// that its port is free only after them.
    public func close() async throws { try await stop().get() }

    /// As ``close()``, without waiting until it is so.
    public func closeSoon() { _ = stop() }
}
