// What reaching and being reached needs of sockets: dialling back for others, connections over
// streams to relays, and dials that punch holes.

import Connections
import Logging
import Multiformats
import NIOCore
import NodeCore
import Peering
import Transports
import Wire

extension MeshDriver {
    func carryOut(_ order: ReachabilityOrder) {
        switch order {
        case .dialBack(let number, let peer, let addresses, let nonce):
            dialBack(number, peer, addresses, nonce)
        case .upgrade(let circuit): upgrade(circuit)
        case .punch(let attempt, let peer, let address, let role, _):
            dial(
                attempt, peer, address, narrowest: address.scope,
                way: .simultaneous(listens: role == .listener))
        case .addresses(let own): mesh.setAddresses(own.compactMap { $0.ending(in: mesh.peer) })
        case .associate(let number, let offer): associate(number, offer)
        case .candidate(let number, let text): associations[number]?.hear(text)
        case .endAssociation(let number): endAssociation(number)
        }
    }

    // MARK: Relays

    private func upgrade(_ circuit: CircuitUpgrade) {
        if let attempt = circuit.attempt { upgrades.insert(attempt) }
        do {
            guard let carrier = connections[circuit.stream.connection] else {
                throw TransportError.closed
            }
            carrier.upgrade(circuit, by: try prepare().get()) { [mesh] outcome in
                mesh.run {
                    $0.upgraded(circuit, outcome)
                } stopped: {
                    if case .success(let peer) = outcome { peer.close() }
                }
            }
        } catch {
            // Not before what the machine has wanted so far has been carried out.
            mesh.run { $0.upgraded(circuit, .failure(error)) }
        }
    }

    private func upgraded(
        _ circuit: CircuitUpgrade, _ outcome: Result<PeerConnection, any Error>
    ) {
        let isWanted = circuit.attempt.map { upgrades.remove($0) != nil } ?? true
        do {
            let peer = try outcome.get()
            guard isWanted, peer.peer == circuit.peer else {
                peer.close()
                throw TransportError.failed(
                    .wrongPeer(expected: circuit.peer, found: peer.peer))
            }
            let facts = ConnectionFacts(
                peer: peer.peer, direction: circuit.attempt == nil ? .inbound : .outbound,
                remoteAddress: circuit.address, route: circuit.route, attempt: circuit.attempt)
            connected(mesh.connection(of: peer), facts)
        } catch {
            logger.debug(
                "a relayed connection failed",
                metadata: ["address": "\(circuit.address)", "reason": "\(error)"])
            guard isWanted, let attempt = circuit.attempt else { return }
            receive([.dialFailed(attempt: attempt, DialOutcome.kind(of: error))])
        }
    }

    // MARK: AutoNAT

    private func dialBack(
        _ number: UInt64, _ peer: PeerID, _ addresses: [Multiaddr], _ nonce: UInt64?
    ) {
        let sockets = prepare()
        // At most as many at once as AutoNATServer allows.
        Task { [mesh] in
            let outcome = await AutoNATServer.Outcome.dialBack(
                to: peer, at: addresses, nonce, by: sockets)
            mesh.receive([.dialedBack(number, outcome)])
        }
    }

}

extension AutoNATServer.Outcome {
    /// How long opening a stream may take for the nonce.
    private static let streamLimit = TimeAmount.seconds(12)

    /// Dials a peer for it to know whether it can be reached.
    fileprivate static func dialBack(
        to peer: PeerID, at addresses: [Multiaddr], _ nonce: UInt64?,
        by sockets: Result<Transport, any Error>
    ) async -> AutoNATServer.Outcome {
        for address in addresses {
            // Whatever fails, the peer is not reached at this address.
            guard let transport = try? sockets.get(),
                let connection = try? await transport.dial(address, peer: peer, way: .freshPort)
            else { continue }
            defer { connection.close() }
            guard let nonce else { return .reached(address) }
            do {
                let stream = try await connection.open(
                    [PeerProtocols.autoNATv2DialBack], within: streamLimit)
                let message = AutoNATMessage.dialBack(nonce: nonce)
                var framed: [UInt8] = []
                framed.appendVarint(UInt64(message.count))
                try await stream.write((framed + message)[...])
                // The peer answers, or ends the stream; either way it has had the nonce.
                _ = try await stream.read()
                stream.finish()
                return .reached(address)
            } catch {
                return .undelivered
            }
        }
        return .unreachable
    }
}

extension Multiaddr {
    /// The address with the peer at its end.
    func ending(in peer: PeerID) -> Multiaddr? {
        // Neither part can be refused.
        guard let id = try? Component(.p2p, peer.bytes) else { return nil }
        return try? Multiaddr(components + [id])
    }
}
