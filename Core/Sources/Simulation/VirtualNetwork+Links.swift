// Connections over links that take time, lose packets, break, and end with their machines.

import Exchange
public import Multiformats
import NodeCore
import Peering
import Wire

extension VirtualNetwork {
    // MARK: Dialling

    mutating func dial(
        from host: Int, _ attempt: UInt64, _ peer: PeerID, _ address: Multiaddr,
        _ timeout: Duration
    ) {
        counts.dials += 1
        let far = hostAt[address]
        var door = far.map { self.door(of: $0) } ?? conditions.strangers
        var time = Duration.zero
        for _ in 0..<Conditions.waysOfDialling {
            time += way(from: host, to: far)
            // The first packet of a connection is sent again after a second.
            if random.chance(conditions.loss) { time += .seconds(1) }
        }
        if let far, hosts[far].island != hosts[host].island { door = .silent }
        if time >= timeout { door = .silent }
        switch door {
        case .open:
            events.add(
                .dialled(from: host, attempt: attempt, peer, address), at: now + time)
        case .shut:
            events.add(
                .input(host, .dialFailed(attempt: attempt, .refused)),
                at: now + way(from: host, to: far) * 2)
        case .silent:
            events.add(
                .input(host, .dialFailed(attempt: attempt, .timedOut)), at: now + timeout)
        }
    }

    private func door(of host: Int) -> Host.Door {
        hosts[host].isAlive && !hosts[host].isBehindNAT ? hosts[host].door : .silent
    }

    mutating func dialled(
        from host: Int, _ attempt: UInt64, _ peer: PeerID, _ address: Multiaddr
    ) {
        guard hosts[host].running.remove(attempt) != nil else { return }
        guard let far = hostAt[address], hosts[far].isAlive, id(far) == peer else {
            inject(host, .dialFailed(attempt: attempt, .wrongPeer))
            return
        }
        link(host, far, attempt: attempt)
    }

    /// Connects one host to another, without a dial if there is no attempt.
    public mutating func link(_ host: Int, _ far: Int, attempt: UInt64? = nil) {
        link(host, far, attempt: attempt, over: nil)
    }

    mutating func link(
        _ host: Int, _ far: Int, attempt: UInt64?,
        over circuit: (there: Multiaddr, back: Multiaddr, route: BlockExchange.Route)?
    ) {
        let number = makeLine()
        counts.connections += 1
        lines[number] = Line(hosts: (even: host, odd: far))
        for (end, owner, other) in [(number * 2, host, far), (number * 2 + 1, far, host)] {
            hosts[owner].open[end] = id(other)
            hosts[owner].mostOpen = max(hosts[owner].mostOpen, hosts[owner].open.count)
        }
        let route = circuit?.route ?? .direct
        var out = ConnectionFacts(
            peer: id(far), direction: .outbound,
            remoteAddress: circuit?.there ?? hosts[far].address, route: route, attempt: attempt)
        out.isFromListeningPort = circuit == nil
        inject(host, .connected(number * 2, out))
        guard lines[number] != nil else { return }
        let back = ConnectionFacts(
            peer: id(host), direction: .inbound,
            remoteAddress: circuit?.back ?? hosts[host].address, route: route, attempt: nil)
        inject(far, .connected(number * 2 + 1, back))
    }

    /// Lets a connection come in from nowhere: a peer with this identity, from this address. What
    /// is sent over it is lost.
    public mutating func knock(_ host: Int, as peer: PeerID, from address: Multiaddr) -> UInt64 {
        let number = makeLine()
        lines[number] = Line(hosts: (even: host, odd: host))
        hosts[host].open[number * 2] = peer
        hosts[host].mostOpen = max(hosts[host].mostOpen, hosts[host].open.count)
        let facts = ConnectionFacts(
            peer: peer, direction: .inbound, remoteAddress: address, route: .direct, attempt: nil)
        inject(host, .connected(number * 2, facts))
        return number * 2
    }

    // MARK: Ways

    /// How long a packet takes from one host to another, or to somebody unknown.
    private mutating func way(from host: Int, to far: Int?) -> Duration {
        let rest = far.map { hosts[$0].distance } ?? hosts[host].distance
        let jitter = Int64(random.below(Int(max(1, conditions.jitter))))
        return hosts[host].distance + rest + .microseconds(jitter)
    }

    /// When something arrives that leaves now; nil if it never does. Nothing overtakes.
    mutating func passage(from end: UInt64, bytes: Int) -> Instant? {
        guard let line = lines[end >> 1] else { return nil }
        let (host, far) = (line.host(at: end), line.host(at: end ^ 1))
        guard hosts[host].island == hosts[far].island, hosts[far].isAlive, host != far else {
            return nil
        }
        var at = now
        if let bandwidth = conditions.bandwidth {
            let time = Duration.nanoseconds(Int64(bytes) * 1_000_000_000 / Int64(bandwidth))
            hosts[host].freeUp = max(now, hosts[host].freeUp) + time
            hosts[far].freeDown = max(hosts[host].freeUp, hosts[far].freeDown) + time
            at = hosts[far].freeDown
        }
        at = at + way(from: host, to: far)
        guard let delay = delayByLoss(bytes: bytes) else {
            breakLine(of: end, after: Conditions.silence)
            return nil
        }
        at = at + delay
        if end & 1 == 0 {
            at = max(at, line.clear.odd)
            lines[end >> 1]?.clear.odd = at
        } else {
            at = max(at, line.clear.even)
            lines[end >> 1]?.clear.even = at
        }
        return at
    }

    /// How much later something comes because packets of it were lost; nil if one is lost for good.
    private mutating func delayByLoss(bytes: Int) -> Duration? {
        guard conditions.loss > 0 else { return .zero }
        var delay = Duration.zero
        for _ in 0..<(bytes / Conditions.packet + 1) {
            var (patience, losses, wait) = (Conditions.patience, 0, Duration.zero)
            while random.chance(conditions.loss) {
                losses += 1
                if losses == Conditions.attempts { return nil }
                wait += patience
                patience *= 2
            }
            delay = max(delay, wait)
        }
        return delay
    }

    /// A host asks whether the other end of a connection is there.
    mutating func check(_ connection: UInt64, for host: Int) {
        guard passage(from: connection, bytes: 12) == nil else { return }
        events.add(
            .arrival(connection: connection, .silent(connection)), at: now + Conditions.checkTime)
    }

    // MARK: Ends

    /// Breaks every connection between two hosts, as a cable does: both notice.
    public mutating func cut(_ one: Int, _ two: Int) {
        for (number, peer) in hosts[one].open.sorted(by: { $0.key < $1.key })
        where peer == id(two) {
            breakLine(of: number)
        }
    }

    /// A machine vanishes. Its peers notice at once if it could close its connections, otherwise
    /// when they have missed it for long enough.
    public mutating func remove(_ host: Int, silently: Bool) {
        hosts[host].isAlive = false
        for (number, _) in hosts[host].open.sorted(by: { $0.key < $1.key }) {
            breakLine(of: number, after: silently ? Conditions.silence : .zero)
        }
    }

    /// Puts each host onto an island. Hosts of different ones do not hear each other until all are
    /// on one again; their connections do not survive it.
    public mutating func divide(_ island: (Int) -> Int) {
        for host in hosts.indices { hosts[host].island = island(host) }
        for host in hosts.indices {
            for (number, _) in hosts[host].open.sorted(by: { $0.key < $1.key })
            where number & 1 == 0 {
                guard let line = lines[number >> 1],
                    hosts[line.hosts.even].island != hosts[line.hosts.odd].island
                else { continue }
                breakLine(of: number, after: Conditions.silence)
            }
        }
    }

    /// One side closes; the other notices later.
    mutating func hangUp(_ connection: UInt64) {
        guard let line = removeLine(of: connection) else { return }
        let (host, far) = (line.host(at: connection), line.host(at: connection ^ 1))
        hosts[host].open[connection] = nil
        guard hosts[far].open.removeValue(forKey: connection ^ 1) != nil else { return }
        events.add(
            .input(far, .disconnected(connection ^ 1)), at: now + way(from: host, to: far))
    }

    mutating func breakLine(of connection: UInt64, after time: Duration) {
        guard time > .zero else {
            breakLine(of: connection)
            return
        }
        events.add(.breakage(connection: connection), at: now + time)
    }

    mutating func breakLine(of connection: UInt64) {
        guard let line = removeLine(of: connection) else { return }
        for end in [connection, connection ^ 1] {
            let host = line.host(at: end)
            guard hosts[host].open.removeValue(forKey: end) != nil else { continue }
            events.add(.input(host, .disconnected(end)), at: now)
        }
    }
    private mutating func removeLine(of connection: UInt64) -> Line? {
        guard let line = lines.removeValue(forKey: connection >> 1) else { return nil }
        guard !intakes.isEmpty else { return line }
        for stream in 1..<line.nextStream {
            for end in [connection, connection ^ 1] {
                intakes[StreamID(connection: end, stream: stream)] = nil
            }
        }
        return line
    }
}
