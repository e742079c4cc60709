// How many threads may wait at a time for what is not on this machine. That can take as long as a
// call may, and costs whoever asks for it nothing; so there are always threads beside them.

import Synchronization

/// Places for those that wait for somebody far away.
public final class WaitingPlaces: Sendable {
    private let places: Mutex<Int>

    /// - Parameter count: how many there are.
    init(_ count: Int) { places = Mutex(count) }

    /// How many are free.
    var free: Int { places.withLock { $0 } }

    /// Takes a place. Who has some gets one more only as long as more than these are free, so that
    /// a few never have all.
    ///
    /// - Throws: ``ResourceFailure/busy``.
    public func take(having own: Int) throws(ResourceFailure) {
        let isTaken = places.withLock { free in
            guard own < free else { return false }
            free -= 1
            return true
        }
        if !isTaken { throw .busy }
    }

    /// Gives a place back.
    public func giveBack() { places.withLock { $0 += 1 } }
}
