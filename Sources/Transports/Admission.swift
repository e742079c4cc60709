// Who may knock: asked before anything is spent on a connection.

import Connections
public import NIOCore
import Synchronization

/// How many connections peers may have to this node, those in their handshake among them, and from
/// where. It can be changed while listeners use it.
///
/// Handshakes cost whoever begins them nothing. So where no room is left, the oldest one of the
/// network that has the most of them makes way for who comes from another one: a single host that
/// opens connections and says nothing keeps nobody out.
public final class Admission: Sendable {
    /// A connection that was let in.
    struct Visit {
        fileprivate let number: UInt64
    }

    /// A connection whose peer has not proven who it is.
    private struct Handshake {
        let network: UInt64?
        let end: @Sendable () -> Void
    }

    private struct State {
        var limit: Int
        var admits: @Sendable (SocketAddress) -> Bool
        /// By the number of the visit; nil once the peer has proven who it is.
        var visits: [UInt64: Handshake?] = [:]
        var nextNumber: UInt64 = 0
        var overLimit: UInt64 = 0
        var denied: UInt64 = 0
    }

    private let state: Mutex<State>

    /// Admits so many connections from anywhere.
    public init(limit: Int) {
        state = Mutex(State(limit: limit, admits: { _ in true }))
    }

    /// Changes who is admitted. Connections that are there stay.
    public func set(limit: Int, _ admits: @escaping @Sendable (SocketAddress) -> Bool) {
        state.withLock { state in
            state.limit = limit
            state.admits = admits
        }
    }

    /// How many connections there are, and how many were turned away since the start: because there
    /// were too many, and because of where they came from.
    public var counts: (open: Int, overLimit: UInt64, denied: UInt64) {
        state.withLock { ($0.visits.count, $0.overLimit, $0.denied) }
    }

    /// Counts one more connection; nil if it is turned away.
    ///
    /// - Parameter end: ends it, on any thread, if another one gets its place in its handshake.
    func enter(from address: SocketAddress?, end: @escaping @Sendable () -> Void) -> Visit? {
        let admits = state.withLock { $0.admits }
        let isWelcome = address.map(admits) ?? true
        let network = address.flatMap { UDPAddress($0) }?.network
        let (visit, ending) = state.withLock { state -> (Visit?, Handshake?) in
            guard isWelcome else {
                state.denied += 1
                return (nil, nil)
            }
            var ending: Handshake?
            if state.visits.count >= state.limit {
                guard let place = Self.place(for: network, in: state.visits) else {
                    state.overLimit += 1
                    return (nil, nil)
                }
                ending = state.visits.removeValue(forKey: place) ?? nil
            }
            state.nextNumber += 1
            state.visits[state.nextNumber] = Handshake(network: network, end: end)
            return (Visit(number: state.nextNumber), ending)
        }
        ending?.end()
        return visit
    }

    /// The peer has proven who it is: nobody else gets its place.
    func proved(_ visit: Visit) {
        state.withLock { state in
            guard state.visits[visit.number] != nil else { return }
            state.visits.updateValue(nil, forKey: visit.number)
        }
    }

    func leave(_ visit: Visit) {
        state.withLock { _ = $0.visits.removeValue(forKey: visit.number) }
    }

    /// Whose place a connection from a network gets; nil if no other network has more handshakes.
    private static func place(
        for network: UInt64?, in visits: [UInt64: Handshake?]
    ) -> UInt64? {
        var counts: [UInt64?: Int] = [:]
        for case let (_, handshake?) in visits { counts[handshake.network, default: 0] += 1 }
        let own = counts[network] ?? 0
        guard let most = counts.max(by: { $0.value < $1.value }), most.value > own + 1 else {
            return nil
        }
        return visits.filter { $0.value?.network == most.key }.keys.min()
    }
}
