// Looks at everything that can be wrong with a node.

import AsyncHTTPClient
import BlockStore
import Glibc
import Multiformats
import NIOCore
import NIOHTTP1
import NodeCore
import Peering
import Wire

extension Node {
    /// How long a provider may take to say what time it is.
    private static let clockPatience = TimeAmount.seconds(5)
    /// How many are asked.
    private static let clocks = 3

    /// Looks at everything that can be wrong with this node.
    ///
    /// - Parameter isRunning: whether it runs to be used by others, and not for a single command.
    /// - Returns: what was found, the most important first. It takes a few seconds at most.
    public func diagnose(isRunning: Bool) async throws -> [Finding] {
        async let clock = clockFinding(isRunning: isRunning)
        var findings: [Finding] = []
        if isRunning {
            findings.append(Finding("node", .good, "It runs, as \(peer)."))
            findings += try await meshFindings()
        } else {
            findings.append(
                Finding(
                    "node", .problem,
                    "No node is running on this repository, so that nothing is served or found.",
                    advice: "Start one with 'weft up', and ask again after a minute."))
        }
        findings.append(
            .disk(
                store.statistics(), free: Self.freeBytes(at: repository.storeDirectory),
                directory: repository.directory))
        findings.append(.contracts(configuration.compute.contracts, computation.figures.counts))
        findings.append(await clock)
        return findings
    }

    private func meshFindings() async throws -> [Finding] {
        var findings: [Finding] = []
        let isOnline = configuration.network == .online
        let status = try await mesh.status()
        if let status { findings.append(.peers(status, isOnline: isOnline)) }
        if isOnline, let reachability = try await mesh.reachability() {
            let isListening = reachability.addresses.contains { $0.origin == .listening }
            let forwarding = mesh.portMapping
            findings.append(
                .reachability(reachability, forwarding, isListening: isListening))
            if isListening {
                findings.append(.portMapping(forwarding))
                findings.append(.router(reachability))
                findings.append(.relays(reachability, named: configuration.mesh.relays))
            }
        }
        let joining = isOnline && !configuration.mesh.bootstrap.isEmpty ? mesh.joiningStatus : nil
        findings += try await mesh.dhtStatus().map { .dht($0, joining) }
        if let announcing = mesh.announcingStatus { findings.append(.announcing(announcing)) }
        if isOnline, let local = mesh.localDiscovery { findings.append(.localNetwork(local)) }
        if let status {
            findings.append(
                .limits(
                    status, knocks: mesh.admissionCounts.overLimit, held: mesh.heldMemory,
                    calls: computation.figures))
        }
        return findings
    }

    private static func freeBytes(at directory: String) -> UInt64? {
        var facts = statvfs()
        guard statvfs(directory, &facts) == 0 else { return nil }
        return UInt64(facts.f_bavail) * UInt64(facts.f_frsize)
    }

    /// Compares the clock with those of the HTTP servers that the node asks anyway, and with the
    /// times at which connected peers signed their records.
    private func clockFinding(isRunning: Bool) async -> Finding {
        guard configuration.network == .online else { return .clock([]) }
        // Without peers there is nothing to compare with, whatever the reason.
        let peers = isRunning ? (try? await mesh.peers()) ?? [] : []
        let now = NameResolver.systemTime().seconds
        let signed = peers.compactMap { $0.recordSequence.flatMap(Finding.signingTime) }
            .map { $0 - now }
        let servers = configuration.routers + configuration.providers.http
        return await withTaskGroup(of: (name: String, seconds: Int64)?.self) { group in
            for server in servers.prefix(Self.clocks) {
                group.addTask { await self.offset(from: server) }
            }
            var offsets: [(name: String, seconds: Int64)] = []
            for await offset in group {
                if let offset { offsets.append(offset) }
            }
            return .clock(offsets.sorted { $0.name < $1.name }, signed: signed)
        }
    }

    private func offset(from server: String) async -> (name: String, seconds: Int64)? {
        var request = HTTPClientRequest(url: server)
        request.method = .HEAD
        // Whoever does not answer, or does not say, is no clock.
        guard let answer = try? await client.execute(request, timeout: Self.clockPatience),
            let text = answer.headers.first(name: "Date"), let theirs = HTTPDate.seconds(text)
        else { return nil }
        return (server, NameResolver.systemTime().seconds - theirs)
    }
}
