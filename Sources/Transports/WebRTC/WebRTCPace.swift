// How far apart the ticks of usrsctp are, which looks at the timers of all associations in each.

import NIOCore

/// Ticks are close to each other while messages come and go, whose answers are due in milliseconds,
/// and far apart while peers only ask each other whether they are there.
struct WebRTCPace {
    static let lively = TimeAmount.milliseconds(10)
    static let idle = TimeAmount.milliseconds(100)
    /// For how long after a message ticks stay close.
    static let afterglow = TimeAmount.seconds(1)

    private var livelyEnd = NIODeadline.distantPast
    /// Whether the next tick comes soon.
    private(set) var isLively = false

    /// A message comes or goes.
    mutating func note(_ now: NIODeadline) { livelyEnd = now + Self.afterglow }

    /// How long it is until the next tick.
    mutating func next(_ now: NIODeadline) -> TimeAmount {
        isLively = now < livelyEnd
        return isLively ? Self.lively : Self.idle
    }

    /// No tick comes.
    mutating func stop() { isLively = false }
}
