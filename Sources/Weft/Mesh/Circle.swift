// Whom a node that is joining the network can ask by now, for those who would rather wait a little
// than hear that nobody has what they look for.

import NodeCore
import Peering
import Synchronization

/// Those whom a node can ask for what it looks for.
struct Acquaintances: Sendable {
    /// How many peers are connected and said what they speak.
    var peers = 0
    /// Whether a server of the local DHT is among them, and one of the public DHT.
    var hasLocalServer = false
    var hasServer = false

    /// Whether there is a server here that is not in `known`, or a first peer.
    func exceeds(_ known: Acquaintances) -> Bool {
        (peers > 0 && known.peers == 0) || (hasLocalServer && !known.hasLocalServer)
            || (hasServer && !known.hasServer)
    }
}

/// Whom joining the network brings.
enum JoiningReach: Sendable {
    /// The node joins by nobody.
    case none
    /// Servers of the local DHT, or of the public one.
    case local, wide
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
        /// Whether peers of the local network may come, and who by joining.
        var awaitsNeighbours = false
        var joining = JoiningReach.none
    }

    private let state = Mutex(State())

    /// Taking part begins when somebody asks for the first time.
    func begin(when start: @escaping @Sendable () -> Void) {
        state.withLock { $0.start = start }
    }

    /// The node takes part from now on, and waits for these.
    func began(awaitingNeighbours: Bool, _ joining: JoiningReach) {
        state.withLock { state in
            state.began = .now
            state.awaitsNeighbours = awaitingNeighbours
            state.joining = joining
        }
    }

    /// Whether neighbours may still come. One does not mean that there are no more.
    private var isAwaitingNeighbours: Bool {
        state.withLock { state in
            guard let began = state.began, state.awaitsNeighbours else { return false }
            return began.duration(to: .now) < Self.neighbourTime
        }
    }

    /// Whether a server may still come by joining. One knows all that the others know.
    private func isAwaitingServers(beyond known: Acquaintances) -> Bool {
        state.withLock { state in
            guard let began = state.began, began.duration(to: .now) < Self.joiningTime else {
                return false
            }
            switch state.joining {
            case .none: return false
            case .local: return !known.hasLocalServer
            case .wide: return !known.hasServer
            }
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
            if found.exceeds(known) { return found }
            if isAwaitingNeighbours {
                if found.peers > known.peers { return found }
            } else if !(isJoining && isAwaitingServers(beyond: known)) {
                return nil
            }
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
        var all = Acquaintances()
        let servers = ((try? await dhtStatus()) ?? []).filter { $0.peers > 0 }
        all.hasServer = servers.contains { $0.name == PeerProtocols.kad }
        all.hasLocalServer = servers.contains { $0.name == PeerProtocols.lanKad }
        let peers = (try? await peers()) ?? []
        all.peers = peers.count { !$0.protocols.isEmpty }
        let dials = ((try? await status()) ?? nil)?.dials.count ?? 0
        return (all, joiningStatus.attempts == 0 || dials > 0 || !peers.isEmpty)
    }

    /// Waits until a server of a DHT is known, if this node is joining or may begin to.
    func waitForServers() async {
        var known = Acquaintances()
        while !known.hasLocalServer, !known.hasServer,
            let more = await circle.growth(beyond: known, of: self)
        {
            known = more
        }
    }
}
