// What a connection offers to its streams and their owner, on whatever it runs.

import Connections
import Multiformats
import NIOCore
import Wire

/// A connection that has streams. All use is on its event loop.
protocol StreamCarrier: AnyObject {
    /// Opens a stream whose notices go to `receiver`. Nil if there are too many.
    func open(
        _ protocols: [ProtocolName], _ receiver: @escaping (PeerStream) -> StreamReceiver
    ) -> PeerStream?
    func write(_ bytes: ArraySlice<UInt8>, to id: UInt32) -> Bool
    func finish(_ id: UInt32)
    func reset(_ id: UInt32)
    /// What streams hold outside of the machine has changed.
    func hold(_ change: Int)
    func consume(_ count: Int, of id: UInt32)
    /// Finds out whether the peer is there.
    func check(_ onPresence: @escaping (PeerPresence) -> Void)
    /// Says goodbye and closes.
    func close()
    var roundTrip: Duration? { get }
}

/// Who is told what happens on a connection and its streams. All use is on its event loop.
struct StreamReceivers {
    private enum Direction {
        case ours, theirs
    }

    private var receivers: [UInt32: StreamReceiver] = [:]
    /// Streams that have ended in one direction, and which; those that have in both.
    private var halfEnded: [UInt32: Direction] = [:]
    private var ending: [UInt32] = []
    /// Told when the peer falls silent, and when it wakes up.
    var onPresence: ((PeerPresence) -> Void)?

    mutating func add(_ id: UInt32, _ receiver: @escaping StreamReceiver) {
        receivers[id] = receiver
    }

    /// Forgets a stream.
    @discardableResult
    mutating func remove(_ id: UInt32) -> StreamReceiver? {
        halfEnded[id] = nil
        return receivers.removeValue(forKey: id)
    }

    /// Forgets all.
    mutating func removeAll() -> [StreamReceiver] {
        let all = receivers
        receivers = [:]
        onPresence = nil
        // Each learns it from its own notice, so their order does not matter.
        return all.map { $0.value }
    }

    /// Our direction of a stream is going to end.
    mutating func finished(_ id: UInt32) { note(.ours, endedOn: id) }

    private mutating func note(_ direction: Direction, endedOn id: UInt32) {
        guard receivers[id] != nil else { return }
        guard let other = halfEnded[id] else {
            halfEnded[id] = direction
            return
        }
        if other != direction { ending.append(id) }
    }

    /// Forgets streams that have ended in both directions, when their last bytes have left.
    mutating func forgetEnded(isOpen: (UInt32) -> Bool) {
        guard !ending.isEmpty else { return }
        for id in ending where !isOpen(id) { remove(id) }
        ending.removeAll { receivers[$0] == nil }
    }

    /// What somebody is to be told, who may then call the connection again.
    struct Telling {
        let receiver: StreamReceiver
        let notice: StreamNotice
    }

    /// Takes an event of a stream, or of the peer's presence.
    mutating func take(_ event: Connection.Event) -> Telling? {
        switch event {
        case .opened(let id, let name): telling(id, .opened(name))
        case .refused(let id): ending(id, .protocolRefused)
        case .data(let id, let bytes): telling(id, .data(bytes))
        case .finished(let id): finishing(id)
        case .reset(let id): ending(id, .streamReset)
        case .room(let id): telling(id, .room)
        case .ready, .accepted, .tlsWanted, .goAway, .silent, .awake: nil
        }
    }

    private func telling(_ id: UInt32, _ notice: StreamNotice) -> Telling? {
        receivers[id].map { Telling(receiver: $0, notice: notice) }
    }

    private mutating func ending(_ id: UInt32, _ error: TransportError) -> Telling? {
        remove(id).map { Telling(receiver: $0, notice: .ended(error)) }
    }

    private mutating func finishing(_ id: UInt32) -> Telling? {
        let telling = telling(id, .finished)
        note(.theirs, endedOn: id)
        return telling
    }
}
