public import Multiformats
import NIOCore
import NIOPosix
import Synchronization

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

/// How many connections came through a listener and are still there.
final class ConnectionCount: Sendable {
    private let limit: Int
    private let count = Atomic(0)

    init(limit: Int) { self.limit = limit }

    /// Counts one more. False if there are enough.
    func enter() -> Bool {
        guard count.add(1, ordering: .relaxed).newValue <= limit else {
            leave()
            return false
        }
        return true
    }

    func leave() {
        count.subtract(1, ordering: .relaxed)
    }
}
