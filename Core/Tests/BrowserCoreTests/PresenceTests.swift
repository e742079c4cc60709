// Whether a page notices that nobody is at the other end of data channels any more, and leaves
// nobody who is there.

import Testing
import Wire

@testable import BrowserCore

@Suite struct PresenceTests {
    private static let start = Instant(nanoseconds: 1_000_000_000)
    private var presence = Presence(now: start)

    private mutating func turn(after seconds: Double) -> Presence.Turn? {
        presence.advance(to: Self.start + .milliseconds(Int64(seconds * 1000)))
    }

    @Test("who does not answer is asked, and left if it is silent then") mutating func silence() {
        let idle = presence.deadline
        #expect(idle == nil)
        presence.sent(now: Self.start + .seconds(1))
        let turns = [turn(after: 4.9), turn(after: 5), turn(after: 9.9), turn(after: 10)]
        #expect(turns == [nil, .ask, nil, .leave])
    }

    @Test("whoever has been quiet for long is asked with the first thing that it is sent")
    mutating func first() {
        presence.sent(now: Self.start + .seconds(600))
        let turns = [turn(after: 600), turn(after: 600.1), turn(after: 605)]
        #expect(turns == [.ask, nil, .leave])
    }

    @Test("whoever says anything is there, and is asked at once by who waits")
    mutating func answer() {
        presence.sent(now: Self.start)
        presence.isAwaited(now: Self.start + .seconds(1))
        var turns = [turn(after: 1)]
        // Who waits longer does not have it asked again.
        presence.isAwaited(now: Self.start + .seconds(2))
        turns.append(turn(after: 2))
        presence.heard(now: Self.start + .seconds(3))
        turns.append(turn(after: 7))
        #expect(turns == [.ask, nil, nil])
        let end = presence.deadline
        #expect(end == nil)
    }

    /// A computer sleeps, or a page's thread is busy: what came meanwhile is heard after the timer.
    @Test("a page that was held up hears first what has come meanwhile") mutating func heldUp() {
        presence.isAwaited(now: Self.start)
        let turns = [turn(after: 0), turn(after: 60), turn(after: 60.9), turn(after: 62.5)]
        #expect(turns == [.ask, nil, nil, .leave])
    }

    /// What ICE says does not count: it gets answers from who knows nothing of the association.
    @Test("a page leaves one that hears nothing any more, and reads from others")
    func deaf() throws {
        var noise = SeededGenerator(seed: 3)
        let content = noise.bytes(3000)
        let town = try Town()
        for _ in 0..<3 { try town.arrive() }
        let cid = try town.put(content, at: 0)
        #expect(try town.read(cid, at: 1) == content)
        town.pages[0].isDeaf = true
        let other = try town.put(noise.bytes(10), at: 0)
        try town.begin(other, at: 1)
        try town.wait(most: .seconds(15)) { town.pages[1].visitors.isEmpty }
        #expect(town.pages[1].visitors.isEmpty)
    }
}
