// Finding peers of the same local network by multicast DNS (github.com/libp2p/specs,
// discovery/mdns.md).

public import Multiformats
public import Wire

/// One node's part in multicast DNS: asks now and then who is there, and answers who asks.
public struct MDNS: Sendable {
    /// What was heard.
    public enum Event: Hashable, Sendable {
        /// A peer of the local network says that it is there.
        case found(PeerID, [Multiaddr])
        /// A peer says that it goes.
        case left(PeerID)
    }

    /// The longest time between two questions.
    public static let longestInterval: Duration = .seconds(300)
    /// How soon after another an answer may be sent.
    static let answerPause: Duration = .seconds(1)
    /// An answer waits up to so long, because everybody answers at once.
    static let answerDelay: Duration = .milliseconds(100)
    /// How soon it is told again that a peer is there.
    static let retellPause: Duration = .seconds(20)
    /// How many peers are remembered as told.
    static let maxPeers = 256

    private let own: PeerID
    private let label: [UInt8]
    private var random: SeededGenerator
    /// Where this node can be reached in the local network.
    public private(set) var ownAddresses: [Multiaddr] = []
    private var nextQuestion: Instant
    private var interval: Duration = .seconds(1)
    /// When an answer is due.
    private var nextAnswer: Instant?
    private var lastAnswer: Instant?
    /// When it was told last that a peer is there.
    private var told: [PeerID: Instant] = [:]
    private var packets = Outbox<[UInt8]>()
    private var events = Outbox<Event>()

    /// A node that begins to ask at once. The seed makes its name in the local network, which is
    /// not its peer id.
    public init(own: PeerID, seed: UInt64, now: Instant) {
        self.own = own
        random = SeededGenerator(seed: seed)
        let alphabet = Array("abcdefghijklmnopqrstuvwxyz0123456789".utf8)
        var label: [UInt8] = []
        for byte in random.bytes(32) { label.append(alphabet[Int(byte) % alphabet.count]) }
        self.label = label
        nextQuestion = now
    }

    /// Where this node can be reached changed; others are told.
    public mutating func setAddresses(_ addresses: [Multiaddr], now: Instant) {
        // What leads to this machine alone or through a relay is of no use to neighbours.
        let useful = addresses.filter { $0.scope > .host && !$0.isRelayed && !$0.isForBrowsers }
        guard useful != ownAddresses else { return }
        ownAddresses = useful
        nextAnswer = now
    }

    /// Takes a packet of the local network.
    ///
    /// - Throws: what is wrong with it. Nothing has to be done about that.
    public mutating func receive(_ packet: RawSpan, now: Instant) throws(DecodeError) {
        let message = try MDNSMessage(decoding: packet)
        if message.isQuestion, nextAnswer == nil {
            let delay = Duration.nanoseconds(
                Int64(random.next() % UInt64(Self.answerDelay.wholeNanoseconds)))
            let earliest = lastAnswer.map { $0 + Self.answerPause } ?? now
            nextAnswer = max(now + delay, earliest)
        }
        for entry in message.announcements where entry.peer != own {
            guard !entry.isGoodbye else {
                // Only of one that was there, so that noise costs nothing.
                if told.removeValue(forKey: entry.peer) != nil { events.append(.left(entry.peer)) }
                continue
            }
            if let last = told[entry.peer], now.since(last) < Self.retellPause { continue }
            if told.count >= Self.maxPeers { forget() }
            told[entry.peer] = now
            events.append(.found(entry.peer, entry.addresses))
        }
    }

    /// Asks and answers what has come due.
    public mutating func advance(to now: Instant) {
        if nextQuestion <= now {
            packets.append(MDNSMessage.question)
            nextQuestion = now + interval
            interval = min(interval * 3, Self.longestInterval)
        }
        if let due = nextAnswer, due <= now {
            nextAnswer = nil
            lastAnswer = now
            let packet = MDNSMessage.announcement(of: own, as: label, at: ownAddresses)
            if !packet.isEmpty { packets.append(packet) }
        }
    }

    /// The packet by which this node says goodbye; nil if it has never said that it is there.
    public var goodbye: [UInt8]? {
        guard lastAnswer != nil else { return nil }
        let packet = MDNSMessage.announcement(of: own, as: label, at: ownAddresses, for: 0)
        return packet.isEmpty ? nil : packet
    }

    /// When `advance` has something to do.
    public var deadline: Instant? { Optional(nextQuestion).earlier(nextAnswer) }

    /// The next packet for everybody in the local network.
    public mutating func nextTransmit() -> [UInt8]? { packets.popFirst() }

    /// What was heard.
    public mutating func nextEvent() -> Event? { events.popFirst() }

    var rememberedCount: Int { told.count }

    /// Forgets the half of the peers that were told the longest ago.
    private mutating func forget() {
        var times: [Instant] = []
        for (_, time) in told { times.append(time) }
        times.sort()
        let middle = times[times.count / 2]
        told = told.filter { $0.value > middle }
    }
}
