// The connections of a server, so that all can be closed when it has to end. Cancelling their tasks
// is not enough: a task that waits for its socket, or for the first bytes of a silent client, does
// not see it.

import NIOCore
import ServiceLifecycle
import Synchronization

/// The open connections of one server.
final class OpenConnections: Sendable {
    private struct State {
        var channels: [ObjectIdentifier: any Channel] = [:]
        var isClosed = false
    }

    private let state = Mutex(State())

    /// Keeps a connection until it closes; one that comes after they were closed is closed at once.
    func insert(_ channel: any Channel) {
        let key = ObjectIdentifier(channel)
        let isLate = state.withLock { state in
            if !state.isClosed { state.channels[key] = channel }
            return state.isClosed
        }
        if isLate { return channel.close(promise: nil) }
        channel.closeFuture.whenComplete { [self] _ in
            state.withLock { _ = $0.channels.removeValue(forKey: key) }
        }
    }

    /// Runs their server. If that is cancelled, they are closed, whatever is under way on them.
    func serve(_ server: any Service) async throws {
        try await withTaskCancellationHandler {
            try await server.run()
        } onCancel: {
            close()
        }
    }

    private func close() {
        let channels = state.withLock { state in
            state.isClosed = true
            return Array(state.channels.values)
        }
        for channel in channels { channel.close(promise: nil) }
    }
}

/// Has a connection kept by its server; it does nothing else.
final class OpenConnection: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = NIOAny

    private let connections: OpenConnections

    init(_ connections: OpenConnections) {
        self.connections = connections
    }

    func handlerAdded(context: ChannelHandlerContext) {
        connections.insert(context.channel)
    }
}
