// Whether a router has forgotten what it was asked for (RFC 6887, 8.5).

package import Wire

/// What a router's clock showed last. It starts anew when the router loses its mappings.
package struct ServerEpoch: Sendable {
    private var last: (seconds: UInt32, at: Instant)?

    package init() {}

    /// A router says how many seconds its mappings have lasted. Returns whether it can have kept
    /// those that it was asked for before.
    package mutating func continues(with seconds: UInt32, now: Instant) -> Bool {
        defer { last = (seconds, now) }
        guard let last else { return true }
        let server = Int64(seconds) - Int64(last.seconds)
        let client = now.since(last.at).components.seconds
        guard server >= -1 else { return false }
        return client + 2 >= server - server / 16 && server + 2 >= client - client / 16
    }
}
