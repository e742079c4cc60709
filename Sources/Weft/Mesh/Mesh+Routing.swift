// What is asked of the DHTs: who has content, where a peer is, and values under keys.

public import Multiformats
public import NodeCore
import Peering
import Synchronization
import Wire

/// A peer that was found, and where it is said to be.
public struct FoundPeer: Sendable, Hashable {
    /// The peer.
    public let peer: PeerID
    /// Its addresses; only a connection proves one.
    public let addresses: [Multiaddr]

    /// A peer and its addresses.
    public init(peer: PeerID, addresses: [Multiaddr]) {
        self.peer = peer
        self.addresses = addresses
    }
}

extension Mesh {
    /// How long a search in the DHTs may take.
    public static let searchLimit = Duration.seconds(60)
    /// The transports that are dialled.
    static let transports: TransportSet = [.tcp, .webSocket, .secureWebSocket, .relay]

    /// A multiaddr that ends in a peer id and leads there directly; nil for any other text.
    public static func peerAddress(_ text: String) -> Multiaddr? {
        guard let address = try? Multiaddr(text: text), !address.isRelayed,
            address.components.count > 1, address.components.last?.protocol == .p2p
        else { return nil }
        return address
    }

    /// How it stands with each DHT.
    public func dhtStatus() async throws -> [DHTStatus] {
        guard case .dhts(let all) = try await ask(.dhts, within: Self.shortLimit) else {
            return []
        }
        return all
    }

    // MARK: Searching

    /// What a search finds before it is over.
    enum Finding: Sendable {
        case peer(FoundPeer)
        case value([UInt8])
    }

    /// Who has a block, as the DHTs say: each is told as soon as it is found, on the mesh's event
    /// loop. The search ends when `limit` are found, or all that can be expected.
    ///
    /// - Throws: ``MeshError``.
    @discardableResult
    public func findProviders(
        of cid: CID, limit: Int, within time: Duration = Mesh.searchLimit,
        found: @escaping @Sendable (FoundPeer) -> Void = { _ in }
    ) async throws -> NodeCore.SearchAnswer {
        try await search(.findProviders(cid, limit: limit), within: time) {
            if case .peer(let peer) = $0 { found(peer) }
        }
    }

    /// The providers of a block that are found in this time.
    ///
    /// - Throws: ``MeshError``.
    public func providers(
        of cid: CID, limit: Int, within time: Duration
    ) async throws -> [FoundPeer] {
        let all = Mutex<[FoundPeer]>([])
        do {
            try await findProviders(of: cid, limit: limit, within: time) { provider in
                all.withLock { if $0.count < limit { $0.append(provider) } }
            }
        } catch MeshError.notSearched(.timedOut) {
            // Whoever was found until then is an answer, too.
        }
        return all.withLock { $0 }
    }

    /// Where a peer is: the addresses that are known after asking the DHTs; none if nobody knows.
    ///
    /// - Throws: ``MeshError``.
    public func findPeer(
        _ peer: PeerID, within time: Duration = Mesh.searchLimit
    ) async throws -> (addresses: [Multiaddr], answer: NodeCore.SearchAnswer) {
        let answer = try await search(.findPeer(peer), within: time) { _ in }
        let known = try await ask(.addresses(peer), within: Self.shortLimit)
        guard case .addresses(let addresses) = known else { return ([], answer) }
        return (addresses, answer)
    }

    /// The servers of the DHTs that are nearest to a key, the nearest first, with their addresses.
    ///
    /// - Parameter key: the bytes of a multihash or peer id.
    /// - Throws: ``MeshError``.
    public func closestPeers(
        to key: [UInt8], within time: Duration = Mesh.searchLimit
    ) async throws -> [FoundPeer] {
        let answer = try await search(.findClosest(key), within: time) { _ in }
        var found: [FoundPeer] = []
        // Those of the public DHT come first.
        for peer in answer.results.first(where: { !$0.closest.isEmpty })?.closest ?? [] {
            guard
                case .addresses(let known) = try await ask(
                    .addresses(peer), within: Self.shortLimit)
            else { continue }
            found.append(FoundPeer(peer: peer, addresses: known))
        }
        return found
    }

    /// Tells the DHTs that this node has a block.
    ///
    /// - Throws: ``MeshError``.
    @discardableResult
    public func provide(
        _ cid: CID, within time: Duration = Mesh.searchLimit
    ) async throws -> NodeCore.SearchAnswer {
        try await search(.provide(cid), within: time) { _ in }
    }

    /// Looks for the values under a key; each that is better than those before is told on the
    /// mesh's event loop.
    func findValues(
        under key: [UInt8], within time: Duration, found: @escaping @Sendable ([UInt8]) -> Void
    ) async throws {
        _ = try await search(.getValue(key), within: time) {
            if case .value(let value) = $0 { found(value) }
        }
    }

    /// Puts a value into the DHTs; answers how many peers took it.
    func put(_ value: [UInt8], under key: [UInt8], within time: Duration) async throws -> Int {
        try await search(.putValue(key, value: value), within: time) { _ in }.stored
    }

    private func search(
        _ command: NodeCore.Command, within time: Duration,
        _ found: @escaping @Sendable (Finding) -> Void
    ) async throws -> NodeCore.SearchAnswer {
        await waitForServers()
        switch try await ask(command, within: time, found: found) {
        case .searched(let answer): return answer
        case .failed(let failure): throw MeshError.notSearched(failure)
        default: throw MeshError.notSearched(.unavailable)
        }
    }

    // MARK: Taking part

    /// Takes part in the DHTs by way of these peers. It waits for nobody.
    func join(by peers: [(peer: PeerID, addresses: [Multiaddr])]) async throws {
        _ = try await ask(.join(peers), within: Self.shortLimit)
    }

    /// Announces all keys again and again, once in `cycle`, from these positions on.
    func sweep(
        _ walks: [(name: ProtocolName, position: Sweep.Position)], cycle: Duration
    ) async throws {
        for walk in walks {
            _ = try await ask(
                .sweep(walk.name, from: walk.position, cycle: cycle), within: Self.shortLimit)
        }
    }

    /// Where these walks are.
    func sweeps() async throws -> [(name: ProtocolName, position: Sweep.Position)] {
        guard case .sweeps(let all) = try await ask(.sweeps, within: Self.shortLimit) else {
            return []
        }
        return all
    }

    /// Whether others may be told that this node has a block.
    func mayTell(of cid: CID) -> Bool { reads.mayGive(cid) }

    /// The servers of the DHTs that are known best.
    func servers(limit: Int) async throws -> [(peer: PeerID, addresses: [Multiaddr])] {
        guard case .servers(let all) = try await ask(.servers(limit: limit), within: .seconds(5))
        else { return [] }
        return all
    }
}

extension NodeCore.SearchAnswer {
    /// How many peers took what was to be stored.
    public var stored: Int { results.reduce(0) { $0 + $1.stored } }

    /// Why nothing can be found or stored; nil if somebody was asked.
    public var obstacle: String? {
        guard !results.contains(where: { $0.asked > 0 }) else { return nil }
        if results.contains(where: { $0.end == .noAddress }), stored == 0 {
            return "this node has no address that others could be told"
        }
        if results.contains(where: { $0.end == .overLimit }) {
            return "too many searches are under way"
        }
        return "no server of a DHT is known yet; 'weft doctor' says how joining goes"
    }
}

extension KadConfiguration {
    /// The DHTs that a node takes part in. Whom it may talk to there is another question, which
    /// `AccessRules` answer.
    static func all(_ configuration: Configuration) -> [KadConfiguration] {
        let storage: Storage =
            switch configuration.mesh.profile {
            case .home: .home
            case .lowpower: Storage(providers: 8_192, records: 256)
            case .server: .server
            }
        let lan = KadConfiguration.lan(storage: storage)
        guard configuration.network == .online else { return [lan] }
        return [.wide(.client, storage: storage), lan]
    }
}
