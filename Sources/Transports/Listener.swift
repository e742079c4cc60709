public import Multiformats
import NIOCore
import NIOPosix

/// A socket that peers connect to.
public final class Listener: Sendable {
    /// Where it listens, with the port that the system chose.
    public let address: Multiaddr
    private let channel: any Channel

    init(_ channel: any Channel, _ endpoint: Endpoint) throws {
        self.channel = channel
        address = try endpoint.bound(at: channel.localAddress?.port)
    }

    /// Takes no more connections. Those that are there go on.
    public func close() async throws {
        try await channel.close()
    }

    /// As ``close()``, without waiting until it is so.
    public func closeSoon() {
        channel.close(promise: nil)
    }
}
