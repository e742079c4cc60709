// Finding out which of our addresses others can reach (github.com/libp2p/specs, autonat version 2).

public import Multiformats
public import Wire

/// Whether an address of ours can be reached from the internet.
public enum Reachability: Hashable, Sendable {
    /// Not enough servers have said.
    case unknown
    case reachable
    case unreachable
}

/// Asks servers to dial our addresses, and counts what they say.
public struct AutoNATClient: Sendable {
    /// What was found out.
    public enum Event: Hashable, Sendable {
        /// The verdict on an address changed.
        case changed(Multiaddr, Reachability)
        /// A server could not or would not say.
        case failed(PeerID)
    }

    /// How many more servers must say one thing than the other.
    public static let confidence = 3
    /// How many bytes we are ready to send for a dial.
    public static let maxDataBytes: UInt64 = 100_000
    /// How many bytes of them go into one message.
    public static let dataChunk = 4_096
    /// How many servers are asked at once.
    public static let maxProbes = 4
    /// How many addresses are remembered.
    public static let maxAddresses = 64
    /// How long an answer may take, with the dial in it.
    public static let timeout: Duration = .seconds(60)

    private struct Probe {
        let server: PeerID
        let addresses: [Multiaddr]
        let nonce: UInt64
        let end: Instant
        var stream: StreamID?
        var wasDialed = false
    }

    private var probes: [UInt64: Probe] = [:]
    /// Streams that bring a nonce.
    private var dialBacks: Set<StreamID> = []
    private struct Vote {
        let server: PeerID
        let isReachable: Bool
    }

    /// What servers said, the newest last: at most thrice the confidence.
    private var votes: [Multiaddr: [Vote]] = [:]
    private var verdicts: [Multiaddr: Reachability] = [:]
    private var deadlines = DeadlineQueue<UInt64>()
    private var nextNumber: UInt64 = 1
    private var random: SeededGenerator
    private var orders = Outbox<StreamOrder>()
    private var events = Outbox<Event>()

    /// A client that knows nothing. The seed makes the nonces and must be secret.
    public init(seed: UInt64) {
        random = SeededGenerator(seed: seed)
    }

    /// What is known of an address.
    public func reachability(of address: Multiaddr) -> Reachability {
        verdicts[address] ?? .unknown
    }

    /// Who said what is known of an address.
    public func witnesses(of address: Multiaddr) -> [PeerID] {
        let verdict = reachability(of: address)
        var out: [PeerID] = []
        for vote in votes[address] ?? []
        where vote.isReachable == (verdict == .reachable) && !out.contains(vote.server) {
            out.append(vote.server)
        }
        return verdict == .unknown ? [] : out
    }

    /// Whether more has to be asked: nothing is known of an address, or the last server says
    /// otherwise.
    public func isOpen(_ address: Multiaddr) -> Bool {
        switch reachability(of: address) {
        case .unknown: true
        case .reachable: votes[address]?.last?.isReachable == false
        case .unreachable: votes[address]?.last?.isReachable == true
        }
    }

    /// How many servers are being asked.
    public var probeCount: Int { probes.count }

    /// Asks a server to dial the first of these that it can. Those that are not public are left
    /// out.
    public mutating func probe(_ addresses: [Multiaddr], at server: PeerID, now: Instant) {
        let open = addresses.filter { $0.scope == .world && !$0.isRelayed }
        guard !open.isEmpty, probes.count < Self.maxProbes else {
            events.append(.failed(server))
            return
        }
        let number = nextNumber
        nextNumber += 1
        let end = now + Self.timeout
        probes[number] = Probe(server: server, addresses: open, nonce: random.next(), end: end)
        deadlines.add(number, at: end)
        orders.append(.open(server, [PeerProtocols.autoNATv2Request], request: number))
    }

    /// Forgets an address that is no longer ours.
    public mutating func forget(_ address: Multiaddr) {
        votes[address] = nil
        verdicts[address] = nil
    }

    /// Takes what happened to a request stream of ours, or to a dial-back stream of others.
    public mutating func receive(_ event: StreamEvent, now: Instant) {
        switch event {
        case .opened(let request, let stream, _):
            guard let probe = probes[request] else {
                orders.append(.reset(stream))
                return
            }
            probes[request]?.stream = stream
            let message = AutoNATMessage.request(probe.addresses.map { $0 }, nonce: probe.nonce)
            orders.append(.send(stream, message.encoded))
        case .refused(let request, _): fail(request)
        case .accepted(let stream, _, _):
            guard !probes.isEmpty, dialBacks.count < 4 * Self.maxProbes else {
                orders.append(.reset(stream))
                return
            }
            dialBacks.insert(stream)
        case .message(let stream, let bytes):
            if dialBacks.remove(stream) != nil {
                confirm(bytes, stream)
            } else if let number = number(of: stream) {
                take(bytes, number, stream)
            }
        case .finished(let stream), .reset(let stream):
            if dialBacks.remove(stream) != nil { orders.append(.finish(stream)) }
            if let number = number(of: stream) { fail(number) }
        }
    }

    /// Gives up on servers that take too long.
    public mutating func advance(to now: Instant) {
        while let number = deadlines.popDue(at: now) { fail(number) }
    }

    /// When `advance` has something to do.
    public var deadline: Instant? { deadlines.first }

    /// The next order for streams.
    public mutating func nextTransmit() -> StreamOrder? { orders.popFirst() }

    /// What was found out.
    public mutating func nextEvent() -> Event? { events.popFirst() }

    private func number(of stream: StreamID) -> UInt64? {
        probes.first { $0.value.stream == stream }?.key
    }

    /// A server delivers a nonce: the proof that it did dial.
    private mutating func confirm(_ bytes: [UInt8], _ stream: StreamID) {
        // Whatever cannot be read is no proof.
        guard let nonce = try? AutoNATMessage.readDialBack(bytes.rawSpan),
            let number = probes.first(where: { $0.value.nonce == nonce })?.key
        else {
            orders.append(.reset(stream))
            return
        }
        probes[number]?.wasDialed = true
        orders.append(.send(stream, AutoNATMessage.dialBackAnswer))
        orders.append(.finish(stream))
    }

    private mutating func take(_ bytes: [UInt8], _ number: UInt64, _ stream: StreamID) {
        guard let probe = probes[number] else { return }
        // What cannot be read is no answer.
        switch try? AutoNATMessage(decoding: bytes.rawSpan) {
        case .dataRequest(let index, let count)
        where index < UInt64(probe.addresses.count) && count <= Self.maxDataBytes:
            var left = Int(count)
            while left > 0 {
                let chunk = min(left, Self.dataChunk)
                orders.append(.send(stream, AutoNATMessage.data(count: chunk).encoded))
                left -= chunk
            }
        case .response(.ok, let index, let status) where index < UInt64(probe.addresses.count):
            probes[number] = nil
            orders.append(.finish(stream))
            let address = probe.addresses[Int(index)]
            switch (status, probe.wasDialed) {
            case (.ok, true): vote(probe.server, true, on: address)
            case (.dialError, _): vote(probe.server, false, on: address)
            // It says that it dialled, and nothing came; or it dialled, and could not say so.
            case (.ok, false), (.dialBackError, _), (.unused, _):
                events.append(.failed(probe.server))
            }
        default: fail(number)
        }
    }

    private mutating func vote(_ server: PeerID, _ isReachable: Bool, on address: Multiaddr) {
        guard votes[address] != nil || votes.count < Self.maxAddresses else { return }
        var list = votes[address] ?? []
        list.append(Vote(server: server, isReachable: isReachable))
        if list.count > 3 * Self.confidence { list.removeFirst() }
        votes[address] = list
        let yes = list.count { $0.isReachable }
        let no = list.count - yes
        let old = verdicts[address] ?? .unknown
        var verdict = old
        if yes - no >= Self.confidence { verdict = .reachable }
        if no - yes >= Self.confidence { verdict = .unreachable }
        guard verdict != old else { return }
        verdicts[address] = verdict
        events.append(.changed(address, verdict))
    }

    private mutating func fail(_ number: UInt64) {
        guard let probe = probes.removeValue(forKey: number) else { return }
        if let stream = probe.stream { orders.append(.reset(stream)) }
        events.append(.failed(probe.server))
    }
}
