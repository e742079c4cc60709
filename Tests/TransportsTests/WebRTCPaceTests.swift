// How often the timers of WebRTC's associations are looked through.

import NIOCore
import Testing

@testable import Transports

@Suite struct WebRTCPaceTests {
    @Test("ticks are close while messages come, and far apart when none has for a while")
    func pauses() {
        var pace = WebRTCPace()
        let start = NIODeadline.uptimeNanoseconds(5_000_000_000)
        #expect(pace.next(start) == WebRTCPace.idle)
        #expect(!pace.isLively)
        pace.note(start)
        #expect(pace.next(start) == WebRTCPace.lively)
        #expect(pace.isLively)
        let last = start + .milliseconds(700)
        pace.note(last)
        let end = last + WebRTCPace.afterglow
        #expect(pace.next(end - .milliseconds(1)) == WebRTCPace.lively)
        #expect(pace.next(end) == WebRTCPace.idle)
        #expect(!pace.isLively, "whoever sends next has to bring the clock up to date")
    }

    @Test("a clock that was stopped is brought up to date before something is sent")
    func stop() {
        var pace = WebRTCPace()
        let start = NIODeadline.uptimeNanoseconds(5_000_000_000)
        pace.note(start)
        _ = pace.next(start)
        pace.stop()
        #expect(!pace.isLively)
    }
}
