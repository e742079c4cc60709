// Whose client goes away in the middle of it, a call ends: nobody would take its answer, and a
// request of one packet must not buy a minute of a processor.

import NIOCore

/// What a connection's handler knows of the client of the request that is being answered.
struct ClientPresence {
    /// An event from who answers a request to the handler of its connection.
    struct Watch: Sendable {
        /// Called when the client goes; perhaps also when the answer is complete.
        let gone: @Sendable () -> Void
    }

    private var watch: Watch?
    private var isGone = false

    /// Takes an event that went out; false if it is none of these.
    mutating func begin(_ event: Any) -> Bool {
        guard let watch = event as? Watch else { return false }
        if isGone { watch.gone() } else { self.watch = watch }
        return true
    }

    /// The answer is complete.
    mutating func end() { watch = nil }

    /// Takes an event that came in: a client that says nothing more has gone.
    mutating func note(_ event: Any) {
        if event as? ChannelEvent == .inputClosed { close() }
    }

    /// The connection is closed.
    mutating func close() {
        isGone = true
        watch?.gone()
        watch = nil
    }
}

extension Channel {
    /// Works for the client of this connection, whose going cancels the work.
    func working<Result: Sendable>(
        _ work: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        let task = Task { @concurrent in try await work() }
        triggerUserOutboundEvent(ClientPresence.Watch { task.cancel() }, promise: nil)
        // A connection that is closed has no handlers any more.
        if !isActive { task.cancel() }
        return try await withTaskCancellationHandler {
            try await task.value
        } onCancel: {
            task.cancel()
        }
    }
}
