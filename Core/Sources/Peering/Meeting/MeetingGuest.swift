// The page's part: it tells its nodes what it has, and asks them who else has something. Who gets
// it later they tell as well, as long as the page wants it: two that look for each other meet
// whoever comes first.

public import Multiformats
public import Wire

/// A page's use of the places where pages meet.
public struct MeetingGuest: Sendable {
    /// What happened.
    public enum Event: Hashable, Sendable {
        /// The page is known at a place. What it has is told there as soon as
        /// ``MeetingGuest/isReachable(at:)``.
        case welcomed(PeerID)
        /// These have what was asked for, and can be reached through the place.
        case found(Multihash, [PeerID], at: PeerID)
        /// All places have answered, or take too long.
        case answered(Multihash)
    }

    /// How many places there are, and how many questions under way.
    public static let maxPlaces = 64
    public static let maxQuestions = 1024
    /// How many protocols a page may do something for others with, and how much else it tells of.
    public static let maxTopics = 8
    public static let maxHashes = MeetingPlace.maxHashesPerGuest - maxTopics
    /// For how long questions that nobody waits for are gathered, and how many there are within
    /// ``MeetingPlace/period``. A page that is loaded by then has asked nobody meanwhile, and not
    /// been busy with connections.
    public static let gathering: Duration = .seconds(1)
    public static let maxAside = MeetingPlace.maxQuestions / 4
    /// How long an answer is waited for.
    public static let timeout: Duration = .seconds(2)
    /// When a page comes back to a place that has sent it away.
    public static let rejoinPause: Duration = .seconds(60)

    private var opening = [UInt64: PeerID]()
    private var places = [StreamID: PeerID]()
    private var isWelcome: Set<StreamID> = []
    /// Those places that know what the page has.
    private var isIntroduced: Set<StreamID> = []
    /// What the page has, the newest last.
    private var hashes: [Multihash] = []
    /// The names of the protocols with which it does something for others.
    private var topics: [Multihash] = []
    /// What the page wants, the newest last.
    private var wanted: [Multihash] = []
    /// The places whose answers are awaited.
    private var questions = [Multihash: Set<StreamID>]()
    private var deadlines = DeadlineQueue<Multihash>()
    /// What is going to be asked about with the next message, when that leaves, and how much was
    /// since a period began.
    private var aside: (hashes: [Multihash], end: Instant?) = ([], nil)
    private var asideCount = 0
    private var asidePeriod: Instant?
    /// The places that sent the page away, and when it comes back; the earliest first.
    private var returns: [(place: PeerID, at: Instant)] = []
    private var nextRequest: UInt64 = 1
    private var orders = Outbox<StreamOrder>()
    private var events = Outbox<Event>()

    /// A page that has nothing and knows no place.
    public init() {}

    /// Whether the page has told of anything.
    public var hasSomething: Bool { !hashes.isEmpty || !topics.isEmpty }

    /// The places where the page is known.
    public var welcomes: [PeerID] {
        isWelcome.compactMap { places[$0] }.sorted { $0.bytes.lexicographicallyPrecedes($1.bytes) }
    }

    /// Goes to a place.
    public mutating func join(_ place: PeerID) {
        returns.removeAll { $0.place == place }
        guard places.count + opening.count < Self.maxPlaces,
            !places.values.contains(place), !opening.values.contains(place)
        else { return }
        opening[nextRequest] = place
        orders.append(.open(place, [PeerProtocols.meeting], request: nextRequest))
        nextRequest += 1
    }

    /// The page has something from now on. The oldest of too much is not told of any more.
    public mutating func have(_ hash: Multihash) {
        guard !hashes.contains(hash) else { return }
        if hashes.count >= Self.maxHashes { lose(hashes[0]) }
        hashes.append(hash)
        tell(of: hash)
    }

    /// The page does something for others with this protocol, as long as it is here.
    public mutating func serve(with name: ProtocolName) {
        let topic = MeetingMessage.topic(of: name)
        guard !topics.contains(topic), topics.count < Self.maxTopics else { return }
        topics.append(topic)
        tell(of: topic)
    }

    private mutating func tell(of hash: Multihash) {
        var message = MeetingMessage()
        message.have = [hash]
        tell(message, to: isIntroduced)
    }

    /// The page has only those left of what it had for which this says so.
    public mutating func keep(where isLeft: (Multihash) -> Bool) {
        for hash in hashes where !isLeft(hash) { lose(hash) }
    }

    private mutating func lose(_ hash: Multihash) {
        hashes.removeAll { $0 == hash }
        var message = MeetingMessage()
        message.gone = [hash]
        tell(message, to: isIntroduced)
    }

    /// Asks all places who has something, now and when the page comes to another one. Returns
    /// whether there is any yet; then ``Event/answered(_:)`` follows. Who has it later is told of,
    /// too, until the page does not want it any more.
    public mutating func ask(_ hash: Multihash, now: Instant) -> Bool {
        want(hash)
        aside.hashes.removeAll { $0 == hash }
        guard questions[hash] == nil else { return true }
        guard !isWelcome.isEmpty, questions.count < Self.maxQuestions else { return false }
        questions[hash] = isWelcome
        deadlines.add(hash, at: now + Self.timeout)
        var message = MeetingMessage()
        message.asked = [hash]
        tell(message, to: isWelcome)
        return true
    }

    /// Asks all places who has something, in one message with what else is asked so within a
    /// second, and waits for no answer. Of more than so much in a while nobody is asked.
    public mutating func askAside(_ hash: Multihash, now: Instant) {
        if asidePeriod.map({ now.since($0) >= MeetingPlace.period }) ?? true {
            (asidePeriod, asideCount) = (now, 0)
        }
        guard asideCount < Self.maxAside, !aside.hashes.contains(hash) else { return }
        asideCount += 1
        want(hash)
        aside.hashes.append(hash)
        if aside.end == nil { aside.end = now + Self.gathering }
        if aside.hashes.count == MeetingMessage.maxHashes { sayAside() }
    }

    private mutating func sayAside() {
        var message = MeetingMessage()
        message.asked = aside.hashes
        aside = ([], nil)
        if !message.asked.isEmpty { tell(message, to: isWelcome) }
    }

    private mutating func want(_ hash: Multihash) {
        forget(hash)
        if wanted.count >= MeetingPlace.maxWantsPerGuest { wanted.removeFirst() }
        wanted.append(hash)
    }

    /// The page does not want something any more.
    public mutating func forget(_ hash: Multihash) { wanted.removeAll { $0 == hash } }

    private mutating func tell(_ message: MeetingMessage, to places: Set<StreamID>) {
        let bytes = message.encoded
        let all = places.sorted { ($0.connection, $0.stream) < ($1.connection, $1.stream) }
        for stream in all { orders.append(.send(stream, bytes)) }
    }

    /// Others can reach the page through this place: it is told what the page has.
    public mutating func isReachable(at place: PeerID) {
        for stream in isWelcome where places[stream] == place {
            guard isIntroduced.insert(stream).inserted else { continue }
            tellWhole(on: stream) { $0.have = $1 }
        }
    }

    /// Others cannot reach the page through this place any more.
    public mutating func isUnreachable(at place: PeerID) {
        for stream in isWelcome where places[stream] == place {
            guard isIntroduced.remove(stream) != nil else { continue }
            tellWhole(on: stream) { $0.gone = $1 }
        }
    }

    private mutating func tellWhole(
        on stream: StreamID, _ put: (inout MeetingMessage, [Multihash]) -> Void
    ) {
        var rest = (topics + hashes)[...]
        while !rest.isEmpty {
            var message = MeetingMessage()
            put(&message, Array(rest.prefix(MeetingMessage.maxHashes)))
            rest = rest.dropFirst(MeetingMessage.maxHashes)
            orders.append(.send(stream, message.encoded))
        }
    }

    /// Takes what happened to a stream of the protocol.
    public mutating func receive(_ event: StreamEvent, now: Instant) {
        switch event {
        case .opened(let request, let stream, _):
            guard let place = opening.removeValue(forKey: request) else {
                orders.append(.reset(stream))
                return
            }
            places[stream] = place
        case .refused(let request, _): opening[request] = nil
        case .accepted(let stream, _, _): orders.append(.reset(stream))
        case .message(let stream, let bytes):
            guard let place = places[stream] else { return }
            guard let message = try? MeetingMessage(decoding: bytes.rawSpan) else {
                leave(stream, now: now)
                orders.append(.reset(stream))
                return
            }
            if isWelcome.insert(stream).inserted { begin(on: stream, place) }
            for holders in message.found { take(holders, from: place, on: stream) }
        case .finished(let stream):
            guard places[stream] != nil else { return }
            leave(stream, now: now)
            orders.append(.reset(stream))
        case .reset(let stream): leave(stream, now: now)
        }
    }

    private mutating func begin(on stream: StreamID, _ place: PeerID) {
        events.append(.welcomed(place))
        guard !wanted.isEmpty else { return }
        var message = MeetingMessage()
        message.asked = wanted
        orders.append(.send(stream, message.encoded))
    }

    private mutating func take(
        _ holders: MeetingMessage.Holders, from place: PeerID, on stream: StreamID
    ) {
        let isAnswer = questions[holders.hash]?.remove(stream) != nil
        // What was not asked is not heard.
        guard isAnswer || wanted.contains(holders.hash) else { return }
        if !holders.peers.isEmpty { events.append(.found(holders.hash, holders.peers, at: place)) }
        if isAnswer { endIfAnswered(holders.hash) }
    }

    private mutating func leave(_ stream: StreamID, now: Instant) {
        if let place = places.removeValue(forKey: stream), returns.count < Self.maxPlaces {
            returns.append((place, now + Self.rejoinPause))
        }
        isWelcome.remove(stream)
        isIntroduced.remove(stream)
        let asked = questions.filter { $0.value.contains(stream) }.map { $0.key }
        for hash in asked {
            questions[hash]?.remove(stream)
            endIfAnswered(hash)
        }
    }

    private mutating func endIfAnswered(_ hash: Multihash) {
        guard questions[hash]?.isEmpty == true else { return }
        questions[hash] = nil
        events.append(.answered(hash))
    }

    /// Waits for slow places no longer, and goes back to those that sent the page away. Of one that
    /// is not connected any more the opening is refused, which is the end of it.
    public mutating func advance(to now: Instant) {
        if let end = aside.end, end <= now { sayAside() }
        while let first = returns.first, first.at <= now { join(first.place) }
        while let hash = deadlines.popDue(at: now) {
            // The question may have been answered, and asked anew: then it ends early, which costs
            // no more than an answer.
            guard questions.removeValue(forKey: hash) != nil else { continue }
            events.append(.answered(hash))
        }
    }

    /// When `advance` has something to do.
    public var deadline: Instant? {
        deadlines.first.earlier(returns.first?.at).earlier(aside.end)
    }

    /// The next order for streams.
    public mutating func nextTransmit() -> StreamOrder? { orders.popFirst() }

    /// What happened.
    public mutating func nextEvent() -> Event? { events.popFirst() }
}
