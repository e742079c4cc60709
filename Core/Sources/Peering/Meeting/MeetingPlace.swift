// The node's part: which of its pages has what, for as long as they are connected.

public import Multiformats
public import Wire

/// Where pages meet. It knows what its guests say that they have, which proves nothing: whoever
/// asks them checks every block.
public struct MeetingPlace: Sendable {
    /// How many guests there are, and how many hashes one and all of them may name.
    public static let maxGuests = 1024
    public static let maxHashesPerGuest = 256
    public static let maxHashes = 1 << 16
    /// What of the things that a guest has asked about it is told of later, so many times each: the
    /// newest ones. Every question costs this much at the most.
    public static let maxWantsPerGuest = 64
    public static let maxNews = 8
    /// How often it is told of one other: of one that comes back once more, but nobody uses up what
    /// there is for the rest.
    public static let maxNewsOfOne = 2
    /// How much a guest may say and ask within ``period``, in hashes.
    public static let maxQuestions = 2048
    public static let period: Duration = .seconds(60)

    private struct Guest {
        let peer: PeerID
        var hashes: Set<Multihash> = []
        /// What it wants, the newest last, and whom it has been told of since it asked.
        var wants: [(hash: Multihash, told: [PeerID])] = []
        var questions = 0
        var periodStart: Instant
    }

    private var guests = [StreamID: Guest]()
    private var streams = [PeerID: StreamID]()
    /// The holders of each hash, in the order in which they came.
    private var holders = [Multihash: [PeerID]]()
    /// Those who want each hash.
    private var waiting = [Multihash: [StreamID]]()
    /// How many hashes all guests have named.
    private(set) var hashTotal = 0
    private var orders = Outbox<StreamOrder>()
    private var random: SeededGenerator

    /// A place without guests. The seed makes its choices.
    public init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    /// How many pages meet here.
    public var count: Int { guests.count }

    /// Whether a peer meets others here.
    public func isGuest(_ peer: PeerID) -> Bool { streams[peer] != nil }

    /// Takes what happened to a stream of the protocol.
    public mutating func receive(_ event: StreamEvent, now: Instant) {
        switch event {
        case .opened(_, let stream, _): orders.append(.reset(stream))
        case .refused: break
        case .accepted(let stream, let peer, _):
            if let old = streams[peer] { drop(old) }
            guard guests.count < Self.maxGuests else {
                orders.append(.reset(stream))
                return
            }
            guests[stream] = Guest(peer: peer, periodStart: now)
            streams[peer] = stream
            orders.append(.send(stream, MeetingMessage().encoded))
        case .message(let stream, let bytes):
            guard guests[stream] != nil else { return }
            // Whoever cannot be understood is not going to be.
            guard let message = try? MeetingMessage(decoding: bytes.rawSpan),
                take(message, on: stream, now: now)
            else { return drop(stream) }
        case .finished(let stream): drop(stream)
        case .reset(let stream): remove(stream)
        }
    }

    /// The next order for streams.
    public mutating func nextTransmit() -> StreamOrder? { orders.popFirst() }

    /// Returns whether the guest may say so.
    private mutating func take(
        _ message: MeetingMessage, on stream: StreamID, now: Instant
    ) -> Bool {
        guard var guest = guests[stream], message.found.isEmpty else { return false }
        var news: [Multihash] = []
        // Who is sent away is so with all that has been taken of what it said.
        defer { guests[stream] = guest }
        if now.since(guest.periodStart) >= Self.period {
            guest.questions = 0
            guest.periodStart = now
        }
        guest.questions += message.asked.count + message.have.count + message.gone.count
        guard guest.questions <= Self.maxQuestions else { return false }
        for hash in message.gone where guest.hashes.remove(hash) != nil {
            forget(hash, of: guest.peer)
        }
        for hash in message.have where !guest.hashes.contains(hash) {
            guard guest.hashes.count < Self.maxHashesPerGuest else { return false }
            // A full place is nobody's fault.
            guard hashTotal < Self.maxHashes else { break }
            guest.hashes.insert(hash)
            holders[hash, default: []].append(guest.peer)
            hashTotal += 1
            news.append(hash)
        }
        // One answer a message, so that none is too long.
        for hash in message.asked {
            var answer = MeetingMessage()
            answer.found = [.init(hash: hash, peers: some(holding: hash, for: guest.peer))]
            orders.append(.send(stream, answer.encoded))
            want(hash, &guest, on: stream)
        }
        // Of who is sent away nobody is told.
        for hash in news { tell(of: guest.peer, holding: hash) }
        return true
    }

    /// The guest is told of who has it later.
    private mutating func want(_ hash: Multihash, _ guest: inout Guest, on stream: StreamID) {
        if let place = guest.wants.firstIndex(where: { $0.hash == hash }) {
            guest.wants.remove(at: place)
        } else {
            waiting[hash, default: []].append(stream)
        }
        if guest.wants.count >= Self.maxWantsPerGuest {
            unwant(guest.wants.removeFirst().hash, on: stream)
        }
        guest.wants.append((hash, []))
    }

    private mutating func unwant(_ hash: Multihash, on stream: StreamID) {
        waiting[hash]?.removeAll { $0 == stream }
        if waiting[hash]?.isEmpty == true { waiting[hash] = nil }
    }

    /// Tells those who want it.
    private mutating func tell(of holder: PeerID, holding hash: Multihash) {
        var answer = MeetingMessage()
        answer.found = [.init(hash: hash, peers: [holder])]
        for stream in waiting[hash] ?? [] where guests[stream]?.peer != holder {
            guard let wants = guests[stream]?.wants,
                let place = wants.firstIndex(where: { $0.hash == hash }),
                wants[place].told.count(where: { $0 == holder }) < Self.maxNewsOfOne
            else { continue }
            orders.append(.send(stream, answer.encoded))
            guests[stream]?.wants[place].told.append(holder)
            guard wants[place].told.count + 1 >= Self.maxNews else { continue }
            guests[stream]?.wants.remove(at: place)
            unwant(hash, on: stream)
        }
    }

    /// Some of those who have it, by chance: nobody is named more often by coming back.
    private mutating func some(holding hash: Multihash, for asker: PeerID) -> [PeerID] {
        var peers = (holders[hash] ?? []).filter { $0 != asker }
        let count = min(peers.count, MeetingMessage.maxPeers)
        for place in 0..<count {
            let other = Int(random.next() % UInt64(peers.count - place))
            peers.swapAt(place, place + other)
        }
        return Array(peers.prefix(count))
    }

    private mutating func drop(_ stream: StreamID) {
        guard guests[stream] != nil else { return }
        remove(stream)
        orders.append(.reset(stream))
    }

    private mutating func remove(_ stream: StreamID) {
        guard let guest = guests.removeValue(forKey: stream) else { return }
        streams[guest.peer] = nil
        for hash in guest.hashes { forget(hash, of: guest.peer) }
        for (hash, _) in guest.wants { unwant(hash, on: stream) }
    }

    private mutating func forget(_ hash: Multihash, of peer: PeerID) {
        hashTotal -= 1
        holders[hash]?.removeAll { $0 == peer }
        if holders[hash]?.isEmpty == true { holders[hash] = nil }
    }
}
