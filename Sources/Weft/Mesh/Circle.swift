// Whom a node that is joining the network can ask by now, for those who would rather wait a little
// than hear that nobody has what they look for.

import NodeCore
import Peering
import Synchronization

/// Those whom a node can ask for what it looks for.
struct Acquaintances: OptionSet, Sendable {
    let rawValue: Int

    /// A peer that is connected and said what it speaks.
    static let peer = Acquaintances(rawValue: 1)
    /// A server of the local DHT.
    static let localServer = Acquaintances(rawValue: 2)
    /// A server of the public DHT.
    static let server = Acquaintances(rawValue: 4)

    /// Those of the local network.
    static let neighbours: Acquaintances = [.peer, .localServer]
}

/// How far a node is with joining.
final class Circle: Sendable {
    /// How long neighbours may take to answer, and how long joining the network may take, before
    /// nobody waits for them any more.
    private static let neighbourTime = Duration.seconds(2)
    private static let joiningTime = Duration.seconds(10)
    /// How often it is looked who is there.
    private static let interval = Duration.milliseconds(50)

    private struct State {
        /// Makes the node take part, the first time that somebody asks.
        var start: (@Sendable () -> Void)?
        var began: ContinuousClock.Instant?
        /// Who may come of the local network, and by joining.
        var neighbours: Acquaintances = []
        var others: Acquaintances = []
    }

    private let state = Mutex(State())

    /// Taking part begins when somebody asks for the first time.
    func begin(when start: @escaping @Sendable () -> Void) {
        state.withLock { $0.start = start }
    }

    /// The node takes part from now on, and waits for these.
    func began(neighbours: Acquaintances, others: Acquaintances) {
        state.withLock { state in
            state.began = .now
            state.neighbours = neighbours
            state.others = others
        }
    }

    /// Whom there may still be reason to wait for.
    private func expected(isJoining: Bool) -> Acquaintances {
        state.withLock { state in
            guard let began = state.began else { return [] }
            let age = began.duration(to: .now)
            var all: Acquaintances = []
            if age < Self.neighbourTime { all.formUnion(state.neighbours) }
            if age < Self.joiningTime, isJoining { all.formUnion(state.others) }
            return all
        }
    }

    /// Waits until there is somebody to ask besides `known`; nil if that is not to be expected.
    /// Whoever asks first makes a node that takes no part in the network begin to.
    func growth(
        beyond known: Acquaintances, of mesh: Mesh
    ) async -> Acquaintances? {
        let start = state.withLock { state in
            defer { state.start = nil }
            return state.start
        }
        start?()
        while !Task.isCancelled {
            let (found, isJoining) = await mesh.acquaintances()
            if !found.subtracting(known).isEmpty { return known.union(found) }
            if expected(isJoining: isJoining).subtracting(known).isEmpty { return nil }
            // Cancelled is the only way in which sleeping fails.
            guard (try? await Task.sleep(for: Self.interval)) != nil else { return nil }
        }
        return nil
    }
}

extension Mesh {
    /// Whom this node can ask now, and whether joining may bring more. A node that stops can ask
    /// nobody.
    fileprivate func acquaintances() async -> (all: Acquaintances, isJoining: Bool) {
        var all: Acquaintances = []
        let servers = ((try? await dhtStatus()) ?? []).filter { $0.peers > 0 }
        if servers.contains(where: { $0.name == PeerProtocols.kad }) { all.insert(.server) }
        if servers.contains(where: { $0.name == PeerProtocols.lanKad }) {
            all.insert(.localServer)
        }
        let peers = (try? await peers()) ?? []
        if peers.contains(where: { !$0.protocols.isEmpty }) { all.insert(.peer) }
        let dials = ((try? await status()) ?? nil)?.dials.count ?? 0
        return (all, joiningStatus.attempts == 0 || dials > 0 || !peers.isEmpty)
    }

    /// Waits until a server of a DHT is known, if this node is joining or may begin to.
    func waitForServers() async {
        var known: Acquaintances = []
        while known.isDisjoint(with: [.localServer, .server]),
            let more = await circle.growth(beyond: known, of: self)
        {
            known = more
        }
    }
}
