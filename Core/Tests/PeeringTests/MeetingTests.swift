// Where pages meet: who is told of whom, for how long, and what is not taken.

import Multiformats
import TestSupport
import Testing
import Wire

@testable import Peering

/// A place and some guests, each on a stream of its own.
private struct Gathering {
    var place = MeetingPlace(seed: 1)
    var guests: [MeetingGuest]
    let peers: [PeerID]
    let host: PeerID
    var now = instant(1)
    var events: [[MeetingGuest.Event]]
    var resets = 0
    /// The guests that no place relays to.
    var hidden: Set<Int> = []
    /// How often each has come.
    private var visits: [Int: UInt32] = [:]

    init(_ count: Int) throws {
        guests = Array(repeating: MeetingGuest(), count: count)
        events = Array(repeating: [], count: count)
        peers = try (0..<count).map { try PeerID(Multihash.sha2_256(of: [UInt8($0)].rawSpan)) }
        host = try PeerID(Multihash.sha2_256(of: [255].rawSpan))
        for guest in guests.indices { guests[guest].join(host) }
        run()
    }

    /// The stream on which a guest came last.
    func stream(of guest: Int) -> StreamID {
        StreamID(connection: UInt64(guest), stream: visits[guest] ?? 0)
    }

    mutating func run() {
        var isQuiet = false
        while !isQuiet {
            isQuiet = true
            for guest in guests.indices {
                while let order = guests[guest].nextTransmit() {
                    isQuiet = false
                    carryOut(order, of: guest)
                }
                while let event = guests[guest].nextEvent() {
                    events[guest].append(event)
                    guard case .welcomed(let place) = event, !hidden.contains(guest) else {
                        continue
                    }
                    guests[guest].isReachable(at: place)
                    isQuiet = false
                }
            }
            while let order = place.nextTransmit() {
                isQuiet = false
                carryOut(order)
            }
        }
    }

    /// Has a guest ask; answers whether there is anybody to ask.
    mutating func ask(_ guest: Int, _ hash: Multihash) -> Bool {
        guests[guest].ask(hash, now: now)
    }

    private mutating func carryOut(_ order: StreamOrder, of guest: Int) {
        if case .open = order { visits[guest, default: 0] += 1 }
        let stream = stream(of: guest)
        switch order {
        case .open(_, let names, let request):
            guests[guest].receive(.opened(request: request, stream, names[0]), now: now)
            place.receive(.accepted(stream, peers[guest], names[0]), now: now)
        case .send(_, let bytes): place.receive(.message(stream, bytes), now: now)
        case .reset: place.receive(.reset(stream), now: now)
        default: Issue.record("\(order)")
        }
    }

    private mutating func carryOut(_ order: StreamOrder) {
        switch order {
        case .send(let stream, let bytes):
            guests[Int(stream.connection)].receive(.message(stream, bytes), now: now)
        case .reset(let stream):
            resets += 1
            guests[Int(stream.connection)].receive(.reset(stream), now: now)
        default: Issue.record("\(order)")
        }
    }
}

@Suite struct MeetingTests {
    private let film = Multihash.sha2_256(of: [1].rawSpan)
    private let song = Multihash.sha2_256(of: [2].rawSpan)

    @Test("a guest hears of the others that have something") func holders()
        throws
    {
        var all = try Gathering(4)
        #expect(all.events.allSatisfy { $0 == [.welcomed(all.host)] } && all.place.count == 4)
        all.guests[0].have(film)
        all.run()
        all.guests[1].have(film)
        all.guests[1].have(song)
        all.run()
        for guest in 1...2 {
            let isAsked = all.ask(guest, film)
            #expect(isAsked)
        }
        all.run()
        guard case .found(film, let found, all.host)? = all.events[2].dropFirst().first else {
            Issue.record("nobody is named")
            return
        }
        #expect(Set(found) == [all.peers[0], all.peers[1]] && found.count == 2)
        #expect(all.events[2].last == .answered(film))
        // Nobody is told of itself.
        #expect(all.events[1].contains(.found(film, [all.peers[0]], at: all.host)))
        // What is gone is told of no more, and nor is who has left.
        all.guests[1].keep { $0 == song }
        all.place.receive(.reset(all.stream(of: 0)), now: all.now)
        all.run()
        for hash in [film, song] {
            let isAsked = all.ask(3, hash)
            #expect(isAsked)
        }
        all.run()
        #expect(
            all.events[3].dropFirst() == [
                .answered(film), .found(song, [all.peers[1]], at: all.host), .answered(song),
            ])
        #expect(!all.place.isGuest(all.peers[0]) && all.place.isGuest(all.peers[1]))
    }

    /// Those who keep coming back are not named before others.
    @Test("all who have something are named in their turn") func turns() throws {
        var all = try Gathering(40)
        for guest in 0..<39 {
            all.guests[guest].have(film)
            all.run()
        }
        var named: Set<PeerID> = []
        for _ in 0..<60 {
            let isAsked = all.ask(39, film)
            all.run()
            all.events[39].removeAll { $0 == .welcomed(all.host) }
            guard case .found(_, let peers, _)? = all.events[39].first else {
                Issue.record("nobody is named")
                return
            }
            #expect(isAsked && Set(peers).count == MeetingMessage.maxPeers)
            named.formUnion(peers)
            all.events[39] = []
            // Two of them do all to be the newest.
            for guest in 0..<2 {
                all.guests[guest].keep { _ in false }
                all.guests[guest].have(film)
            }
            all.run()
            all.events[39] = []
        }
        #expect(named.count == 39)
    }

    /// Two pages that look for each other meet, whoever is first.
    @Test("whoever wants something hears of those who get it later") func news() throws {
        var all = try Gathering(MeetingPlace.maxNews + 3)
        let asker = all.guests.count - 1
        let calls = ProtocolName("/weft/call/1")
        let topic = MeetingMessage.topic(of: calls)
        for hash in [film, topic] {
            let isAsked = all.ask(asker, hash)
            #expect(isAsked)
        }
        all.guests[asker].have(film)
        all.run()
        all.guests[0].serve(with: calls)
        all.run()
        #expect(all.events[asker].last == .found(topic, [all.peers[0]], at: all.host))
        func named() -> [PeerID] {
            all.events[asker].flatMap { event -> [PeerID] in
                guard case .found(film, let peers, _) = event else { return [] }
                return peers
            }
        }
        // Nobody hears of itself, and of no more than so many.
        for guest in 0..<(asker - 1) { all.guests[guest].have(film) }
        all.run()
        #expect(named() == Array(all.peers[..<MeetingPlace.maxNews]))
        // A new question is good for as many again; what is not wanted any more is not heard.
        let isAsked = all.ask(asker, film)
        all.run()
        all.events[asker] = []
        all.guests[asker - 1].have(film)
        all.run()
        #expect(isAsked && named() == [all.peers[asker - 1]])
        all.guests[asker].forget(film)
        all.guests[0].keep { _ in false }
        all.guests[0].have(film)
        all.run()
        #expect(named() == [all.peers[asker - 1]])
    }

    /// One whose place at its relay comes and goes, or that means harm.
    @Test("a guest that comes and goes does not use up the news of others") func flipping() throws {
        var all = try Gathering(5)
        let isAsked = all.ask(4, film)
        all.run()
        for _ in 0..<(MeetingPlace.maxNews + 2) {
            all.guests[0].have(film)
            all.guests[0].keep { _ in false }
            all.run()
        }
        // It is told of twice, as it may not have been reached at first.
        func count(of guest: Int) -> Int {
            all.events[4].count { $0 == .found(film, [all.peers[guest]], at: all.host) }
        }
        #expect(isAsked && count(of: 0) == MeetingPlace.maxNewsOfOne)
        for guest in 1...2 {
            all.guests[guest].have(film)
            all.run()
            #expect(count(of: guest) == 1)
        }
        // One that says too much is sent away, and nobody is told of it.
        var message = MeetingMessage()
        for part in 0..<UInt8(5) {
            message.have = [film] + (0..<60).map { Multihash.sha2_256(of: [$0, part].rawSpan) }
            if part < 4 { message.have.removeFirst() }
            all.place.receive(.message(all.stream(of: 3), message.encoded), now: all.now)
        }
        all.run()
        #expect(!all.place.isGuest(all.peers[3]) && count(of: 3) == 0)
    }

    @Test("what a place is asked about is bounded, the oldest is forgotten") func manyWants() throws
    {
        var all = try Gathering(2)
        let hashes = (0...UInt8(MeetingPlace.maxWantsPerGuest)).map {
            Multihash.sha2_256(of: [$0, 1].rawSpan)
        }
        // Asked before the guest is welcome, or again, it is the same.
        all.guests[1] = MeetingGuest()
        for hash in hashes.prefix(2) + hashes {
            let isAsked = all.ask(1, hash)
            #expect(!isAsked)
        }
        all.guests[1].join(all.host)
        all.run()
        for hash in hashes { all.guests[0].have(hash) }
        all.run()
        let found = all.events[1].dropFirst(2)
        #expect(found.count == MeetingPlace.maxWantsPerGuest)
        #expect(found.first == .found(hashes[1], [all.peers[0]], at: all.host))
    }

    /// Whoever heard of it sooner would not reach it.
    @Test("a page that no node relays to yet is told of to nobody") func hidden() throws {
        var all = try Gathering(2)
        all.hidden = [0]
        all.guests[0] = MeetingGuest()
        all.guests[0].have(film)
        all.guests[0].join(all.host)
        let isAsked = all.ask(1, film)
        all.run()
        #expect(isAsked && all.events[1].last == .answered(film))
        all.guests[0].isReachable(at: all.host)
        all.guests[0].isReachable(at: all.host)
        all.run()
        #expect(all.events[1].last == .found(film, [all.peers[0]], at: all.host))
        all.guests[0].isUnreachable(at: all.host)
        all.run()
        let isAskedAgain = all.ask(1, film)
        all.run()
        #expect(isAskedAgain && all.events[1].last == .answered(film))
        #expect(all.events[1].count { $0 == .found(film, [all.peers[0]], at: all.host) } == 1)
    }

    @Test("a guest that was sent away comes back after a while") func returning() throws {
        var all = try Gathering(2)
        all.guests[0].have(film)
        all.run()
        // Nothing but noise: the place sends it away.
        all.place.receive(.message(all.stream(of: 0), [0xff]), now: all.now)
        all.run()
        #expect(!all.place.isGuest(all.peers[0]) && all.guests[0].welcomes.isEmpty)
        let back = all.now + MeetingGuest.rejoinPause
        #expect(all.guests[0].deadline == back)
        all.guests[0].advance(to: back)
        all.run()
        #expect(all.place.isGuest(all.peers[0]) && all.guests[0].deadline == nil)
        let isAsked = all.ask(1, film)
        all.run()
        #expect(isAsked && all.events[1].contains(.found(film, [all.peers[0]], at: all.host)))
        // One that has come by itself meanwhile does not come twice.
        all.guests[0].join(all.host)
        #expect(all.guests[0].nextTransmit() == nil)
    }

    @Test("a guest that comes tells all that it has; one that comes twice is one") func coming()
        throws
    {
        var all = try Gathering(2)
        var late = MeetingGuest()
        // The newest that there is room for.
        for number in 0..<300 {
            late.have(Multihash.sha2_256(of: [UInt8(number & 255), UInt8(number >> 8)].rawSpan))
        }
        all.guests[0] = late
        let isTooEarly = !all.ask(0, film)
        #expect(isTooEarly)
        all.guests[0].join(all.host)
        all.run()
        #expect(all.place.count == 2)
        let (oldest, newest) = ([UInt8(0), 0], [UInt8(43), 1])
        for (bytes, isThere) in [(oldest, false), (newest, true)] {
            let hash = Multihash.sha2_256(of: bytes.rawSpan)
            let isAsked = all.ask(1, hash)
            #expect(isAsked)
            all.run()
            #expect(
                all.events[1].contains(.found(hash, [all.peers[0]], at: all.host)) == isThere)
        }
    }

    /// A page with many small pictures asks about all of them with hardly more than one message.
    @Test("what nobody waits for is asked about together, and not too often") func aside() throws {
        var all = try Gathering(2)
        all.guests[0].have(film)
        all.run()
        for hash in [film, song, film] { all.guests[1].askAside(hash, now: all.now) }
        #expect(all.guests[1].nextTransmit() == nil)
        #expect(all.guests[1].deadline == all.now + MeetingGuest.gathering)
        all.now = all.now + MeetingGuest.gathering
        all.guests[1].advance(to: all.now)
        guard case .send(let stream, let bytes)? = all.guests[1].nextTransmit() else {
            Issue.record("nothing was asked")
            return
        }
        #expect(try MeetingMessage(decoding: bytes.rawSpan).asked == [film, song])
        #expect(all.guests[1].nextTransmit() == nil && all.guests[1].deadline == nil)
        all.place.receive(.message(stream, bytes), now: all.now)
        all.run()
        // Whoever has it later is told of, too, and that all have answered is not.
        all.guests[0].have(song)
        all.run()
        #expect(
            all.events[1].dropFirst() == [
                .found(film, [all.peers[0]], at: all.host),
                .found(song, [all.peers[0]], at: all.host),
            ])
        // The rest of what it may say is left for what it has and what is waited for.
        func count(from first: Int) throws -> Int {
            for number in first..<(first + 2 * MeetingGuest.maxAside) {
                let bytes = [UInt8(number & 255), UInt8(number >> 8)]
                all.guests[1].askAside(Multihash.sha2_256(of: bytes.rawSpan), now: all.now)
            }
            all.guests[1].advance(to: all.now + MeetingGuest.gathering)
            var count = 0
            while case .send(_, let bytes)? = all.guests[1].nextTransmit() {
                count += try MeetingMessage(decoding: bytes.rawSpan).asked.count
            }
            return count
        }
        #expect(try count(from: 0) == MeetingGuest.maxAside - 2)
        #expect(try count(from: 5000) == 0)
        all.now = all.now + MeetingPlace.period
        #expect(try count(from: 10_000) == MeetingGuest.maxAside)
    }

    @Test("a place that does not answer is not waited for") func silence() throws {
        var guest = MeetingGuest()
        let peer = try Gathering(1).host
        let stream = StreamID(connection: 7, stream: 1)
        guest.join(peer)
        guest.receive(.opened(request: 1, stream, PeerProtocols.meeting), now: instant(1))
        let isTooEarly = !guest.ask(film, now: instant(1))
        guest.receive(.message(stream, []), now: instant(1))
        for hash in [film, song] {
            let isAsked = guest.ask(hash, now: instant(1))
            #expect(isTooEarly && isAsked)
        }
        #expect(guest.deadline == instant(1) + MeetingGuest.timeout)
        // What was not asked about is not heard.
        var answer = MeetingMessage()
        answer.found = [.init(hash: Multihash.sha2_256(of: [3].rawSpan), peers: [peer])]
        guest.receive(.message(stream, answer.encoded), now: instant(1))
        guest.advance(to: instant(1) + MeetingGuest.timeout)
        var events: [MeetingGuest.Event] = []
        while let event = guest.nextEvent() { events.append(event) }
        #expect(events == [.welcomed(peer), .answered(film), .answered(song)])
        // One that is gone has answered all.
        let isAsked = guest.ask(film, now: instant(9))
        guest.receive(.reset(stream), now: instant(9))
        let event = guest.nextEvent()
        #expect(isAsked && event == .answered(film) && guest.welcomes.isEmpty)
    }

    @Test("whoever says too much loses the stream") func limits() throws {
        var all = try Gathering(1)
        let stream = all.stream(of: 0)
        func hashes(_ range: Range<Int>) -> [Multihash] {
            range.map { Multihash.sha2_256(of: [UInt8($0 & 255), UInt8($0 >> 8)].rawSpan) }
        }
        var message = MeetingMessage()
        for start in stride(from: 0, to: MeetingPlace.maxHashesPerGuest, by: 64) {
            message.have = hashes(start..<(start + 64))
            all.place.receive(.message(stream, message.encoded), now: all.now)
        }
        #expect(all.place.count == 1)
        message.have = [film]
        all.place.receive(.message(stream, message.encoded), now: all.now)
        // Nothing is left of what it said, nor of what it took back with that message.
        #expect(all.place.count == 0 && all.place.hashTotal == 0)
        all = try Gathering(2)
        message.have = hashes(0..<64)
        for start in stride(from: 0, to: MeetingPlace.maxHashesPerGuest, by: 64) {
            message.have = hashes(start..<(start + 64))
            all.place.receive(.message(stream, message.encoded), now: all.now)
        }
        message.gone = hashes(0..<2)
        message.have = hashes(300..<303)
        all.place.receive(.message(stream, message.encoded), now: all.now)
        #expect(all.place.count == 1 && all.place.hashTotal == 0)
        let isAsked = all.ask(1, hashes(300..<301)[0])
        all.run()
        #expect(isAsked && all.events[1].last == .answered(hashes(300..<301)[0]))
        #expect(all.events[1].count == 2)
        message = MeetingMessage()
        // Saying the same again and again counts as well.
        all = try Gathering(1)
        for round in 0...(MeetingPlace.maxQuestions / 2) {
            message.have = round % 2 == 0 ? [film, song] : []
            message.gone = round % 2 == 0 ? [] : [film, song]
            #expect(all.place.count == 1)
            all.place.receive(.message(stream, message.encoded), now: all.now)
        }
        #expect(all.place.count == 0)
        all = try Gathering(1)
        message = MeetingMessage()
        message.asked = hashes(0..<64)
        for _ in 0..<(MeetingPlace.maxQuestions / 64) {
            all.place.receive(.message(stream, message.encoded), now: all.now)
        }
        // After a while it may ask again.
        let later = all.now + MeetingPlace.period
        all.place.receive(.message(stream, message.encoded), now: later)
        #expect(all.place.count == 1)
        for _ in 0..<(MeetingPlace.maxQuestions / 64) {
            all.place.receive(.message(stream, message.encoded), now: later)
        }
        #expect(all.place.count == 0)
        message.asked = hashes(0..<65)
        #expect(throws: DecodeError.self) {
            try MeetingMessage(decoding: message.encoded.rawSpan)
        }
    }
}
