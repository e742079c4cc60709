// Peers of the local network: drives Core's `MDNS` with sockets and time, and has the node meet
// whom it finds.

import Logging
import Multiformats
import NIOCore
import NodeCore
import Peering
import Synchronization
import Transports
import Wire

/// What finding peers of the local network has come to.
public struct LocalDiscoveryStatus: Sendable {
    /// On how many networks the node listens and asks.
    public internal(set) var networks = 0
    /// How many peers said that they are there.
    public internal(set) var found = 0
    /// Why it does not work on a network; nil if it does.
    public internal(set) var failure: String?
}

/// Finds peers of the local network. All use is on the mesh's event loop.
final class LocalDiscovery {
    private let mesh: Mesh
    private var machine: MDNS
    private let sockets: MulticastDNS
    private var timer: Scheduled<Void>?
    private var peers: Set<PeerID> = []
    private var isUpdating = false

    /// How many peers are counted.
    private static let maxCounted = 4_096

    init(_ mesh: Mesh, now: Instant) {
        self.mesh = mesh
        machine = MDNS(own: mesh.peer, seed: .random(in: .min ... .max), now: now)
        sockets = MulticastDNS(on: mesh.eventLoop) { packet in
            mesh.run { $0.discovery?.hear(packet) }
        }
    }

    /// Begins to ask when there are sockets to ask by.
    func start() { update() }

    /// The node listens at these addresses.
    func setAddresses(_ addresses: [Multiaddr]) {
        machine.setAddresses(
            addresses.compactMap { $0.bare(of: mesh.peer) }, now: MeshDriver.now())
        carryOut()
    }

    /// Says goodbye, so that nobody dials in vain.
    func stop() {
        timer?.cancel()
        if let packet = machine.goodbye { sockets.send(packet) }
        sockets.close()
    }

    private func hear(_ packet: [UInt8]) {
        do {
            try machine.receive(packet.rawSpan, now: MeshDriver.now())
        } catch {
            // Other software talks here, too, of things that need not be understood.
            mesh.logger.trace("a packet of multicast DNS", metadata: ["error": "\(error)"])
        }
        carryOut()
    }

    /// Follows the networks of this machine, which come and go; then asks, if it is time.
    private func update() {
        guard !isUpdating else { return }
        isUpdating = true
        Task { [mesh, sockets] in
            let failure = await sockets.update()
            let count = sockets.networkCount
            mesh.discoveryState.withLock {
                $0.networks = count
                $0.failure = failure
            }
            mesh.run { $0.discovery?.updated() }
        }
    }

    private func updated() {
        isUpdating = false
        machine.advance(to: MeshDriver.now())
        carryOut()
    }

    private func carryOut() {
        while let packet = machine.nextTransmit() { sockets.send(packet) }
        while let event = machine.nextEvent() {
            switch event {
            case .found(let peer, let addresses):
                if peers.count < Self.maxCounted { peers.insert(peer) }
                let count = peers.count
                mesh.discoveryState.withLock { $0.found = count }
                mesh.meet(peer, at: addresses)
            case .left(let peer):
                peers.remove(peer)
                let count = peers.count
                mesh.discoveryState.withLock { $0.found = count }
            }
        }
        timer?.cancel()
        guard let deadline = machine.deadline else { return }
        let at = NIODeadline.uptimeNanoseconds(deadline.nanoseconds)
        timer = mesh.eventLoop.assumeIsolated().scheduleTask(deadline: at) { [weak self] in
            self?.update()
        }
    }
}

extension Mesh {
    /// What finding peers of the local network has come to; nil if they are not looked for.
    public var localDiscovery: LocalDiscoveryStatus? {
        settings.mdns == .on ? discoveryState.withLock { $0 } : nil
    }

    /// Begins to look for peers of the local network.
    func discover() {
        run { $0.discover() }
    }

    fileprivate func meet(_ peer: PeerID, at addresses: [Multiaddr]) {
        run { _ = $0.perform(.meet(peer, addresses)) }
    }
}

extension MeshDriver {
    fileprivate func discover() {
        guard discovery == nil else { return }
        let new = LocalDiscovery(mesh, now: Self.now())
        discovery = new
        new.setAddresses(mesh.addresses)
        new.start()
    }
}
