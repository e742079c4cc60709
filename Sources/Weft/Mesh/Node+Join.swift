// A running node listens for peers, joins the network by some that it knows, and joins again when
// it has lost everyone.

import Glibc
import Logging
public import Multiformats
import NodeCore
import Peering
import Synchronization

/// How joining the network goes.
public struct Joining: Sendable {
    /// How often it was tried.
    public internal(set) var attempts = 0
    /// By how many peers it was tried last.
    public internal(set) var peers = 0
    /// What kept names from being looked up then; nil if nothing did.
    public internal(set) var failure: String?
}

extension Node {
    /// How long joining takes at most until another attempt is made, the first time; it doubles.
    private static let firstPause = Duration.seconds(15)
    private static let longestPause = Duration.seconds(600)
    /// How long names may take to be looked up.
    private static let lookUpLimit = Duration.seconds(20)
    /// How many of the remembered servers are asked at once, and of those that are configured.
    private static let rememberedSeeds = 12
    private static let namedSeeds = 8

    /// Takes part in the network: lets peers connect where the configuration says (`mesh.listen`),
    /// and joins the DHTs by the peers that it names (`mesh.bootstrap`) and those remembered from
    /// the last time, and finds peers of the local network (`mesh.mdns`), for as long as the node
    /// runs. Files that it names for the mesh are read now,
    /// so that what is wrong with them is said at once; nobody is waited for.
    ///
    /// - Throws: ``MeshError/cannotListen(_:_:)``, ``MeshError/notAnAddress(_:_:)``,
    ///   ``MeshError/noPeer(_:)``, ``MeshError/badPrivateKey(_:_:)``,
    ///   ``MeshError/badCertificate(chain:key:_:)``.
    public func listen() async throws {
        _ = try mesh.transportOptions(identity)
        for text in configuration.mesh.relays {
            let address = try Self.address(text)
            guard !address.isRelayed, address.peer != nil else { throw MeshError.noPeer(address) }
        }
        let bootstrap = try configuration.mesh.bootstrap.map { text in
            guard let address = Mesh.peerAddress(text) else {
                throw MeshError.noPeer(try Self.address(text))
            }
            return address
        }
        if configuration.mesh.listen == Configuration.Mesh.usualListen {
            try await listenAsUsual()
        } else {
            _ = try await mesh.listen(on: configuration.mesh.listen.map(Self.address))
        }
        guard configuration.network == .online, configuration.mesh.reach != .off else { return }
        if configuration.reprovide.strategy != .none { try announce() }
        takePart(by: bootstrap)
    }

    /// Lets pages of this machine connect, besides whom ``listen()`` lets in: a browser may reach
    /// no address of its own machine over WebRTC (Firefox makes no pair with one). A node that
    /// listens nowhere, or belongs to a private network, does not.
    ///
    /// - Throws: ``MeshError``.
    public func listenForPages() async throws {
        let settings = configuration.mesh
        guard !settings.listen.isEmpty, settings.privateKeyFile.isEmpty, settings.reach != .off,
            configuration.network == .online,
            !mesh.addresses.contains(where: { $0.transport == .webSocket && $0.scope == .host })
        else { return }
        try await mesh.listenForPages()
    }

    /// Makes the node take part in the network as soon as somebody looks for something that is not
    /// here, as one who asks and lets nobody in: for a node that a single command uses. It joins by
    /// the same peers as one that listens.
    public func joinWhenNeeded() {
        guard configuration.network == .online, configuration.mesh.reach != .off else { return }
        mesh.circle.begin(when: { [weak self] in
            guard let self else { return }
            takePart(by: configuration.mesh.bootstrap.compactMap { Mesh.peerAddress($0) })
        })
    }

    /// Joins by these peers and those that are remembered, and finds neighbours.
    private func takePart(by bootstrap: [Multiaddr]) {
        let isFindingNeighbours = configuration.mesh.mdns == .on
        let isWide = bootstrap.contains { $0.scope == .world }
        mesh.circle.began(
            awaitingNeighbours: isFindingNeighbours,
            bootstrap.isEmpty ? .none : isWide ? .wide : .local)
        if isFindingNeighbours { mesh.discover() }
        guard !bootstrap.isEmpty else { return }
        background.run { [weak self] in await self?.keepJoined(by: bootstrap) }
    }

    /// Tells the DHTs what is here, and what comes.
    private func announce() throws {
        guard mesh.announcer == nil else { return }
        let announcer = try Announcer(mesh, store, repository, configuration, logger)
        mesh.announcer = announcer
        background.run { await announcer.announceNew() }
        background.run { await announcer.announceAll() }
        if configuration.reprovide.strategy != .none {
            background.run { [computation] in await computation.announceKept() }
        }
    }

    private static func address(_ text: String) throws -> Multiaddr {
        do {
            return try Multiaddr(text: text)
        } catch {
            throw MeshError.notAnAddress(text, "\(error)")
        }
    }

    // MARK: Listening

    /// Listens at the usual port or, if it is taken, at another one, on IPv4 and IPv6 as far as the
    /// machine has them, for peers and for browsers. A node that reaches nobody listens nowhere.
    private func listenAsUsual() async throws {
        guard configuration.network == .online, configuration.mesh.reach != .off else { return }
        var port: UInt16?
        var failure: (any Error)?
        for text in Configuration.Mesh.usualListen {
            let usual = try Self.address(text)
            // Browsers cannot be part of a private network.
            let isPrivate = !configuration.mesh.privateKeyFile.isEmpty
            if isPrivate, usual.transport == .webRTCDirect { continue }
            let wanted = port.flatMap { usual.with(port: $0) } ?? usual
            for place in [wanted, usual.with(port: 0) ?? usual] {
                do {
                    let all = try await mesh.listen(on: [place])
                    let got = all.last?.first(.tcp).flatMap { UInt16($0.text) }
                    if place != usual, port == nil, let got {
                        logger.notice(
                            """
                            port 4001 is taken; peers connect at port \(got), which is another one \
                            at each start unless --listen or mesh.listen names one
                            """)
                    }
                    port = port ?? got
                    break
                } catch let error as MeshError {
                    guard case .cannotListen = error else { throw error }
                    failure = failure ?? error
                }
            }
        }
        if port == nil, let failure { throw failure }
    }

    // MARK: Joining

    /// Joins, and joins again, until the node stops.
    private func keepJoined(by bootstrap: [Multiaddr]) async {
        let file = KnownServers(path: repository.serversFile)
        var attempts = 0
        var isWide = true
        while !Task.isCancelled {
            do {
                if try await isJoined(isWide) {
                    attempts = 0
                    try await remember(in: file)
                } else {
                    attempts += 1
                    isWide = try await join(by: bootstrap, and: file)
                }
            } catch {
                logger.debug("joining the network failed", metadata: ["error": "\(error)"])
            }
            let pause =
                attempts == 0 ? Self.longestPause : Self.firstPause * (1 << min(attempts - 1, 8))
            // Cancelled is the only way in which sleeping fails.
            guard (try? await Task.sleep(for: min(pause, Self.longestPause))) != nil else { break }
        }
        do {
            try await remember(in: file)
        } catch {
            logger.debug("the DHT's servers are not remembered", metadata: ["error": "\(error)"])
        }
    }

    /// Whether servers are known of the DHT that the peers to join by are in.
    private func isJoined(_ isWide: Bool) async throws -> Bool {
        let name = isWide ? PeerProtocols.kad : PeerProtocols.lanKad
        return try await mesh.dhtStatus().contains { $0.name == name && $0.peers > 0 }
    }

    private func remember(in file: KnownServers) async throws {
        // Those of both DHTs are given; some of them have private addresses alone.
        try file.write(try await mesh.servers(limit: 2 * KnownServers.maxCount))
    }

    /// Joins by the peers of the configuration and those of the file. Returns whether some of them
    /// are in the public network.
    private func join(by bootstrap: [Multiaddr], and file: KnownServers) async throws -> Bool {
        let settings = mesh.settings
        let access = AccessRules(settings, configuration.network)
        // Without the key of a private network nobody of the public one understands it.
        let isPrivate =
            !settings.privateKeyFile.isEmpty
            && settings.bootstrap == Configuration.Mesh.publicBootstrap
        let named = isPrivate ? [] : bootstrap.filter { access.admits($0) }
        let (addresses, failure) = await lookUp(named)
        let usable = addresses.filter {
            Mesh.transports.contains($0.transport) && $0.transport != [] && access.admits($0)
        }
        let remembered = try file.read().filter { server in
            server.addresses.contains { access.admits($0) }
        }
        let peers =
            remembered.shuffled().prefix(Self.rememberedSeeds)
            + usable.byPeer.shuffled().prefix(Self.namedSeeds)
        if !peers.isEmpty { try await mesh.join(by: Array(peers)) }
        mesh.joining.withLock {
            $0.attempts += 1
            $0.peers = peers.count
            $0.failure = failure.map { "\($0)" }
        }
        return peers.isEmpty || peers.contains { $0.addresses.contains { $0.scope == .world } }
    }

    /// Connects to a peer, unless there is a connection. A `dnsaddr` is followed to the addresses
    /// of that peer that its domain names.
    ///
    /// - Parameter address: where the peer is, ending in `/p2p/PEER`.
    /// - Returns: the peer, and the address by which it was reached.
    /// - Throws: ``MeshError``.
    @discardableResult
    public func connect(to address: Multiaddr) async throws -> (peer: PeerID, address: Multiaddr) {
        guard address.components[0].protocol == .dnsaddr else {
            return try await mesh.connect(to: address)
        }
        guard let peer = address.peer else { throw MeshError.noPeer(address) }
        let (found, failure) = await lookUp([address])
        let usable = found.filter { $0.peer == peer && Mesh.transports.contains($0.transport) }
        guard !usable.isEmpty else {
            throw MeshError.notResolved(address, failure.map { "\($0)" })
        }
        return try await mesh.connect(to: peer, by: usable)
    }

    /// The addresses behind names, as far as they are known in time.
    private func lookUp(
        _ named: [Multiaddr]
    ) async -> (addresses: [Multiaddr], failure: (any Error)?) {
        let (dns, network) = (dns, configuration.network)
        return await withTaskGroup(
            of: (addresses: [Multiaddr], failure: (any Error)?)?.self
        ) { group in
            group.addTask {
                await BootstrapLookUp {
                    try await dns.texts(of: $0, cache: .standard, network: network, trace: Trace())
                        .texts
                }.resolve(named)
            }
            group.addTask {
                // Cancelled means that the names are known.
                try? await Task.sleep(for: Self.lookUpLimit)
                return nil
            }
            // When the time is up, the look-up ends with what it has.
            for await result in group {
                group.cancelAll()
                if let result { return result }
            }
            return ([], nil)
        }
    }
}

extension Multiaddr {
    /// The same address with another TCP port.
    fileprivate func with(port: UInt16) -> Multiaddr? {
        let value = [UInt8(port >> 8), UInt8(port & 255)]
        // Two bytes are a port, and with another one an address is as well formed as before.
        return try? Multiaddr(
            components.map { component in
                let hasPort = component.protocol == .tcp || component.protocol == .udp
                return hasPort ? try Component(component.protocol, value) : component
            })
    }
}
