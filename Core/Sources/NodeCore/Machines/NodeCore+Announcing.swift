// Announcing all that the node has, again and again: one walk through the key space of each DHT.

import Multiformats
import Peering
import Wire

extension NodeCore {
    /// Begins a walk, or ends it.
    mutating func sweep(
        _ name: ProtocolName, from position: Sweep.Position?, cycle: Duration, now: Instant
    ) {
        guard let table = dhts.firstIndex(where: { $0.configuration.name == name }) else { return }
        sweeps[table] = position.map { Sweep(from: $0, cycle: cycle, now: now) }
    }

    func sweepPositions(now: Instant) -> [(name: ProtocolName, position: Sweep.Position)] {
        var all: [(name: ProtocolName, position: Sweep.Position)] = []
        for (table, sweep) in sweeps.enumerated() {
            guard let sweep else { continue }
            all.append((dhts[table].configuration.name, sweep.position(now: now)))
        }
        return all
    }

    /// Keys for a walk.
    mutating func take(
        _ hashes: [Multihash], for request: UInt64, of name: ProtocolName, now: Instant
    ) {
        guard let table = dhts.firstIndex(where: { $0.configuration.name == name }) else { return }
        sweeps[table]?.take(
            hashes, for: request, kad: &dhts[table], addresses: &addresses, now: now)
    }

    /// Whether an event of a DHT was for its walk.
    mutating func isAnnouncing(_ event: KadEvent, from table: Int, now: Instant) -> Bool {
        sweeps[table]?.take(event, kad: &dhts[table], addresses: &addresses, now: now) ?? false
    }

    mutating func advance(dht table: Int, to now: Instant) {
        dhts[table].advance(to: now, addresses: &addresses)
        if dhts[table].canAnnounce { sweeps[table]?.advance(to: now, kad: dhts[table]) }
    }

    /// When a walk has something to do. One that has nobody to tell waits until there is somebody.
    func sweepDeadline(of table: Int) -> Instant? {
        dhts[table].canAnnounce ? sweeps[table]?.deadline : nil
    }

    /// Carries on what a walk wants and says. Returns whether there was anything.
    mutating func settleSweep(of table: Int) -> Bool {
        let name = dhts[table].configuration.name
        var isQuiet = true
        while let order = sweeps[table]?.nextTransmit() {
            switch order {
            case .keys(let request, let from, let through, let limit):
                outputs.append(
                    .keys(of: name, request: request, from: from, through: through, limit: limit))
            }
            isQuiet = false
        }
        while let event = sweeps[table]?.nextEvent() {
            switch event {
            case .announced(let keys, let servers, _):
                outputs.append(.note(.announced(name, keys: keys, servers: servers)))
            case .skipped(let keys):
                outputs.append(.note(.announced(name, keys: keys, servers: 0)))
            case .finished: outputs.append(.note(.swept(name)))
            }
            isQuiet = false
        }
        return !isQuiet
    }
}
