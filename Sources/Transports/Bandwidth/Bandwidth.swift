// What passes over all connections of a node: how much, how fast, and how much may.

import Connections
public import NIOCore
import Synchronization
import Wire

/// Counts bytes, from any thread.
public final class Meter: Sendable {
    /// What it has counted.
    public struct Reading: Hashable, Sendable {
        /// Bytes since the start.
        public let total: UInt64
        /// Bytes per second, over the last seconds.
        public let rate: UInt64

        /// These figures.
        public init(total: UInt64, rate: UInt64) {
            self.total = total
            self.rate = rate
        }
    }

    private let meter = Mutex(RateMeter())

    /// A meter that has counted nothing.
    public init() {}

    /// Counts bytes.
    public func add(_ count: Int) {
        meter.withLock { $0.add(count, now: Throttle.now()) }
    }

    /// What it has counted.
    public var reading: Reading {
        meter.withLock { Reading(total: $0.total, rate: $0.rate(now: Throttle.now())) }
    }
}

/// The bytes of all connections, handshakes and encryption with them, without what TCP and IP add.
public final class Bandwidth: Sendable {
    /// The ceiling of what is received.
    public let inbound: Throttle
    /// The ceiling of what is sent.
    public let outbound: Throttle
    /// What has been received.
    public let received = Meter()
    /// What has been sent.
    public let sent = Meter()

    /// No limits yet. The timers run on this event loop.
    public init(timersOn eventLoop: any EventLoop) {
        inbound = Throttle(timersOn: eventLoop)
        outbound = Throttle(timersOn: eventLoop)
    }
}

/// The bytes of one connection, readable from any thread.
final class TrafficCounts: Sendable {
    let received = Atomic<UInt64>(0)
    let sent = Atomic<UInt64>(0)
}
