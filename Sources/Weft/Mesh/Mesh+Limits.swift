// The mesh takes its ceilings, rules and rates from the configuration, also while it runs.

import Connections
import CoreFoundation
import Glibc
import Multiformats
import NIOCore
import NIOSSL
import NodeCore
import Peering
import Transports

extension Mesh {
    /// How many connections may be in their handshake besides those that are let in.
    private static let handshakes = 32

    /// Takes ceilings, rules and rates, at once: connections that are not allowed any more, or are
    /// too many, are closed.
    ///
    /// - Throws: ``MeshError/stopped``.
    public func apply(_ new: Configuration.Mesh) async throws {
        settings = new
        admit()
        setRates()
        _ = try await ask(.setLimits(NodeLimits(new)), within: Self.shortLimit)
        _ = try await ask(.setAccess(AccessRules(new, network)), within: Self.shortLimit)
        run { $0.forwardPorts() }
    }

    /// Tells the sockets who may knock, and how much they may hold.
    func admit() {
        let settings = settings
        let access = AccessRules(settings, network)
        let limits = NodeLimits(settings)
        let inbound = limits.connections.inbound
        memory.set(limit: limits.memory)
        admission.set(limit: inbound == 0 ? 0 : inbound + Self.handshakes) { address in
            // What has no IP address comes from this machine.
            address.multiaddr.map { access.admits($0) } ?? true
        }
    }

    /// Sets the rates that hold at this time of the day.
    func setRates() {
        let bandwidth = settings.bandwidth
        guard !bandwidth.schedule.isEmpty else {
            return traffic.set(bandwidth, total: bandwidth.total)
        }
        var now = time(nil)
        var parts = tm()
        localtime_r(&now, &parts)
        let minute = Int(parts.tm_hour) * 60 + Int(parts.tm_min)
        traffic.set(bandwidth, total: bandwidth.total(day: Int(parts.tm_wday), minute: minute))
    }

    /// Whether a peer is given blocks.
    func serves(_ peer: PeerID) -> Bool {
        let settings = settings
        guard settings.reach == .metered else { return true }
        return settings.allowPeers.contains { AccessRules.peer($0) == peer }
    }

    /// What the sockets are told.
    func transportOptions(
        _ identity: PrivateKey, accepting protocols: [ProtocolName] = []
    ) throws -> TransportOptions {
        var options = TransportOptions(identity: identity, protocols: protocols)
        options.admission = admission
        options.bandwidth = traffic.wire
        options.memory = memory
        let limits = NodeLimits(self.settings)
        // One more than the machine takes, so that it is the one who refuses and counts.
        options.limits.incomingStreams = limits.streams.acceptedPerPeer + 1
        options.limits.maxWindow = min(options.limits.maxWindow, limits.memory / 8)
        options.limits.windowGrowth = min(options.limits.windowGrowth, limits.memory / 2)
        let settings = settings
        if !settings.privateKeyFile.isEmpty {
            options.presharedKey = try PrivateNetwork.key(in: settings.privateKeyFile)
        }
        if !settings.certificate.isEmpty {
            do {
                options.webServer = try CertificateFiles(
                    chainFile: settings.certificate, keyFile: settings.certificateKey
                ).configuration
            } catch {
                throw MeshError.badCertificate(
                    chain: settings.certificate, key: settings.certificateKey, error)
            }
        }
        if let file = certificateFile {
            options.webRTCCertificate = { try DTLSCertificate(keptIn: file) }
        }
        if !settings.authorities.isEmpty {
            options.webClient.additionalTrustRoots = [.file(settings.authorities)]
        }
        return options
    }

    /// How many connections were turned away before their handshake, because there were too many or
    /// because of where they came from.
    public var admissionCounts: (overLimit: UInt64, denied: UInt64) {
        let counts = admission.counts
        return (counts.overLimit, counts.denied)
    }

    /// How many bytes of peers' data are held, how many may be, and how many connections were
    /// closed because they took more than their part.
    public var heldMemory: (bytes: Int, limit: Int, refused: UInt64) { memory.use }

    /// What each connection has received and sent, by its number in ``peers()``.
    public var bytesByConnection: [UInt64: (received: UInt64, sent: UInt64)] {
        connections.mapValues { ($0.peer.received, $0.peer.sent) }
    }
}
