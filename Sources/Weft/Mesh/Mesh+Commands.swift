// What can be asked of the mesh.

import Connections
import Exchange
import Glibc
public import Multiformats
import NIOCore
import NIOPosix
public import NodeCore
import Peering
import Synchronization
import Transports
import Wire

extension Mesh {
    /// How long connecting to a peer may take, over all of its addresses.
    public static let connectingLimit = Duration.seconds(30)
    /// How long a round trip may take, with connecting before it.
    public static let pingLimit = Duration.seconds(30)
    static let shortLimit = Duration.seconds(5)

    // MARK: Listening

    /// Lets peers connect to these addresses, besides those where they already can. Port 0 lets
    /// the system choose one.
    ///
    /// - Returns: all addresses that peers can use, as in ``addresses``.
    /// - Throws: ``MeshError/cannotListen(_:_:)``; then nothing new listens.
    public func listen(on wanted: [Multiaddr]) async throws -> [Multiaddr] {
        guard !wanted.isEmpty else { return addresses }
        let (listeners, named) = try await bind(to: wanted, for: .all)
        setAddresses(addresses + named)
        run { [addresses] in
            $0.listens(listeners, addresses, sequence: UInt64(max(0, time(nil))))
        } stopped: {
            for listener in listeners { listener.closeSoon() }
        }
        return addresses
    }

    /// Lets pages of this machine connect over a WebSocket, at an address that no peer is told of.
    func listenForPages() async throws {
        let place = try Multiaddr(text: "/ip4/127.0.0.1/tcp/0/ws")
        let (listeners, named) = try await bind(to: [place], for: .localhost)
        pageListening.withLock { $0 = named.first }
        run {
            $0.listensForPages(listeners)
        } stopped: {
            for listener in listeners { listener.closeSoon() }
        }
    }

    /// Sockets at addresses, and where they are, each with this node's peer id.
    private func bind(
        to wanted: [Multiaddr], for origins: PageOrigins
    ) async throws -> (listeners: [Listener], addresses: [Multiaddr]) {
        let prepared = eventLoop.makePromise(of: Transport.self)
        run { driver in
            prepared.completeWith(driver.prepare())
        } stopped: {
            prepared.fail(MeshError.stopped)
        }
        let transport = try await prepared.futureResult.get()
        var listeners: [Listener] = []
        for address in wanted {
            do {
                listeners.append(
                    try await transport.listen(on: address, for: origins) { peer in
                        self.accept(peer)
                    })
            } catch {
                for listener in listeners { listener.closeSoon() }
                var reason = "\(error)"
                if case TransportError.unreachable(let said) = error { reason = said }
                throw MeshError.cannotListen(address, reason)
            }
        }
        let reached = try Self.reachable(listeners.map(\.address))
        return (
            listeners, try reached.map { try Multiaddr(text: "\($0)/p2p/\(transport.peer)") }
        )
    }

    /// A peer connected to this node. On the connection's event loop.
    private func accept(_ peer: PeerConnection) {
        let place = peer.remoteAddress
        guard let address = peer.isWebRTC ? place?.webRTCMultiaddr : place?.multiaddr else {
            return peer.close()
        }
        let connection = connection(of: peer)
        let facts = ConnectionFacts(
            peer: peer.peer, direction: .inbound, remoteAddress: address, route: .direct,
            attempt: nil)
        run {
            $0.connected(connection, facts)
        } stopped: {
            peer.close()
        }
    }

    /// The addresses with those of all interfaces in the place of an unspecified one.
    private static func reachable(_ bound: [Multiaddr]) throws -> [Multiaddr] {
        var found: [Multiaddr] = []
        for address in bound {
            guard let host = address.components.first, host.value.allSatisfy({ $0 == 0 }) else {
                found.append(address)
                continue
            }
            for device in try System.enumerateDevices() {
                guard let ip = device.address?.ipComponent, ip.protocol == host.protocol,
                    // With another host the address is as well formed as before.
                    let own = try? Multiaddr([ip] + address.components.dropFirst()),
                    // A link-local address means nothing without the link's name.
                    own.scope != .link, own.scope != .nowhere, !found.contains(own)
                else { continue }
                found.append(own)
            }
        }
        return found
    }

    // MARK: Peers

    /// Connects to a peer, unless there is a connection.
    ///
    /// - Parameter address: where the peer is, ending in `/p2p/PEER`.
    /// - Returns: the peer, and the address by which it was reached.
    /// - Throws: ``MeshError``.
    @discardableResult
    public func connect(to address: Multiaddr) async throws -> (peer: PeerID, address: Multiaddr) {
        guard let peer = address.peer else { throw MeshError.noPeer(address) }
        guard let bare = address.bare(of: peer),
            Self.transports.contains(bare.transport),
            address.components.last?.protocol == .p2p
        else {
            throw MeshError.unsupported(address)
        }
        return try await connect(to: peer, by: [address])
    }

    /// Connects to a peer by the first of these addresses that works.
    func connect(
        to peer: PeerID, by addresses: [Multiaddr]
    ) async throws -> (peer: PeerID, address: Multiaddr) {
        let answer = try await ask(
            .connect(peer, addresses), about: peer, within: Self.connectingLimit)
        guard case .connected(let found, let by) = answer else { throw Self.unexpected(peer) }
        return (found, by)
    }

    /// Closes all connections to a peer.
    public func disconnect(from peer: PeerID) async throws {
        _ = try await ask(.disconnect(peer), about: peer, within: Self.shortLimit)
    }

    /// Who is connected, the one that has been for longest first.
    public func peers() async throws -> [PeerSnapshot] {
        guard case .peers(let peers) = try await ask(.peers, within: Self.shortLimit) else {
            return []
        }
        return peers
    }

    /// Measures how far away a peer is, connecting to it if need be.
    public func ping(_ peer: PeerID) async throws -> Duration {
        let answer = try await ask(.ping(peer), about: peer, within: Self.pingLimit)
        guard case .roundTrip(let time) = answer else { throw Self.unexpected(peer) }
        return time
    }

    /// Use and limits of the mesh.
    public func status() async throws -> NodeStatus? {
        guard case .status(let status) = try await ask(.status, within: Self.shortLimit) else {
            return nil
        }
        return status
    }

    // MARK: Asking

    private func ask(
        _ command: NodeCore.Command, about peer: PeerID, within limit: Duration
    ) async throws -> NodeCore.Answer {
        let answer = try await ask(command, within: limit)
        if case .failed(let failure) = answer { throw MeshError.failed(peer, failure) }
        return answer
    }

    /// Asks for something. A task that is cancelled gives it up; what the command finds is told on
    /// the mesh's event loop.
    func ask(
        _ command: NodeCore.Command, within limit: Duration,
        found: (@Sendable (Finding) -> Void)? = nil
    ) async throws -> NodeCore.Answer {
        try await ask(within: limit, found: found) { command }
    }

    /// The same for a command that is made on the mesh's event loop, just before it is given.
    func ask(
        within limit: Duration, found: (@Sendable (Finding) -> Void)? = nil,
        _ command: @escaping @Sendable () -> NodeCore.Command
    ) async throws -> NodeCore.Answer {
        let id = makeCommand()
        let cancel: @Sendable () -> Void = { self.run { _ = $0.perform(.cancel(id)) } }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { reply in
                run {
                    $0.ask(id, command(), within: limit, reply, found: found)
                } stopped: {
                    reply.resume(throwing: MeshError.stopped)
                }
                // Who was cancelled before this has cancelled what was not asked yet.
                if Task.isCancelled { cancel() }
            }
        } onCancel: {
            cancel()
        }
    }

    /// An answer that does not fit its command does not exist; what to say if it did.
    private static func unexpected(_ peer: PeerID) -> MeshError { .failed(peer, .unavailable) }
}
