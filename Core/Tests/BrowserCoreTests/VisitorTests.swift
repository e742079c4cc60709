// The budgets of a page among other pages: associations, who is left alone, and whom it forgets.

import Multiformats
import Peering
import Testing
import Wire

@testable import BrowserCore

@Suite struct VisitorTests {
    private let start = Instant(nanoseconds: 1_000_000_000)
    private var visitors = Visitors(
        clock: WallClock(
            Timestamp(seconds: 1_700_000_000, nanoseconds: 0),
            at: Instant(nanoseconds: 1_000_000_000)),
        firstCall: 1)

    private static func peer(_ number: Int) throws -> PeerID {
        let bytes = [UInt8(number & 255), UInt8(number >> 8)]
        return try PeerID(Multihash.sha2_256(of: bytes.rawSpan))
    }

    private mutating func begin(_ purpose: Visitors.Purpose, at now: Instant) -> Int {
        var count = 0
        while count < 1000, visitors.begin(purpose, now: now) { count += 1 }
        return count
    }

    /// Browsers have few associations, and keep those that are closed for a while.
    @Test("a page makes so many associations in ten minutes, whoever begins them")
    mutating func associations() throws {
        // Others cannot use up those that the page wants.
        let callers = begin(.caller, at: start)
        let pages = begin(.page, at: start)
        #expect(callers == Visitors.maxCallersAssociations)
        #expect(callers + pages == Visitors.maxAssociations)
        #expect(!visitors.mayBegin(.caller, now: start) && !visitors.mayBegin(.page, now: start))
        // Nodes that are reached over relays are counted by themselves.
        let nodes = begin(.node, at: start)
        #expect(nodes == Visitors.maxNodeAssociations)
        #expect(!visitors.mayBegin(.page, now: start + .seconds(599)))
        let later = start + Visitors.period
        let (pagesLater, callersLater) = (begin(.page, at: later), begin(.caller, at: later))
        #expect(pagesLater == Visitors.maxAssociations && callersLater == 0)
    }

    @Test("one that was not reached is left alone, and heard if the page had called it")
    mutating func resting() throws {
        let (mine, theirs) = (try Self.peer(1), try Self.peer(2))
        for peer in [mine, theirs] { visitors.note(peer, at: try Self.peer(3)) }
        visitors.note(unreached: mine, now: start)
        visitors.note(unreached: theirs, isByThem: true, now: start)
        #expect(visitors.routes.isEmpty)
        #expect(visitors.isResting(mine, calls: false, now: start))
        #expect(!visitors.isResting(mine, calls: true, now: start))
        #expect(visitors.isResting(theirs, calls: true, now: start))
        #expect(visitors.isResting(theirs, calls: false, now: start))
        let later = start + Visitors.rest
        for peer in [mine, theirs] {
            for calls in [false, true] {
                #expect(!visitors.isResting(peer, calls: calls, now: later))
            }
        }
    }

    @Test("of those that were not reached, and of liars, only so many are remembered")
    mutating func memory() throws {
        for number in 0..<(2 * Visitors.maxResting) {
            visitors.note(unreached: try Self.peer(number), now: start)
        }
        let resting = try (0..<(2 * Visitors.maxResting)).filter {
            visitors.isResting(try Self.peer($0), calls: false, now: start)
        }
        #expect(resting.count == Visitors.maxResting)
        for number in 0...Visitors.maxLiars {
            visitors.note(try Self.peer(number), at: try Self.peer(9999))
            visitors.note(liar: try Self.peer(number))
        }
        #expect(visitors.liars.count == Visitors.maxLiars && visitors.routes.isEmpty)
        #expect(visitors.liars.last == (try Self.peer(Visitors.maxLiars)))
        #expect(!visitors.liars.contains(try Self.peer(0)))
    }

    /// A node could name any number.
    @Test("ways to pages are bounded, and those that are wanted stay") mutating func routes()
        throws
    {
        let wanted = try Self.peer(0)
        visitors.note(wanted, at: try Self.peer(1))
        visitors.waiting[wanted] = []
        for number in 2..<(2 + 3 * Visitors.maxRoutes) {
            visitors.note(try Self.peer(number), at: try Self.peer(1))
            #expect(visitors.routes.count <= Visitors.maxRoutes)
        }
        #expect(visitors.routes[wanted] != nil)
    }

    @Test("a node that does not relay is asked again after a while, by a page that has something")
    mutating func places() throws {
        let place = try Self.peer(1)
        visitors.guest.join(place)
        // Whoever has nothing needs no place.
        visitors.welcomed(at: place, now: start)
        var asked = [takeRequests()]
        visitors.guest.have(Multihash.sha2_256(of: [1].rawSpan))
        let stream = StreamID(connection: 1, stream: 1)
        visitors.guest.receive(.opened(request: 1, stream, PeerProtocols.meeting), now: start)
        visitors.guest.receive(.message(stream, []), now: start)
        visitors.welcomed(at: place, now: start)
        asked.append(takeRequests())
        visitors.lost(place: place, now: start)
        visitors.reserve(at: place, now: start + .seconds(1))
        asked.append(takeRequests())
        #expect(visitors.deadline == start + Visitors.placeRest)
        visitors.advance(to: start + Visitors.placeRest)
        asked.append(takeRequests())
        #expect(asked == [0, 1, 0, 1])
    }

    private mutating func takeRequests() -> Int {
        var count = 0
        while case .open? = visitors.relays.nextTransmit() { count += 1 }
        return count
    }
}
