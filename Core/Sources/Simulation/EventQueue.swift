import Wire

/// What is going to happen on the virtual clock, the soonest first; of two things at the same time,
/// the one that was entered first.
struct EventQueue<Event> {
    /// A binary heap of small entries. The events lie beside it, so that sorting moves none.
    private var heap: [(at: Instant, order: UInt64, place: Int)] = []
    private var events: [Event?] = []
    private var free: [Int] = []
    private var order: UInt64 = 0

    /// When the next event comes.
    var first: Instant? { heap.first?.at }

    mutating func add(_ event: Event, at time: Instant) {
        order += 1
        let place: Int
        if let unused = free.popLast() {
            place = unused
            events[place] = event
        } else {
            place = events.count
            events.append(event)
        }
        heap.append((time, order, place))
        var child = heap.count - 1
        while child > 0, isBefore(child, (child - 1) / 2) {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    /// Takes out the next event if it comes by `end`.
    mutating func popFirst(by end: Instant) -> (at: Instant, event: Event)? {
        guard let first = heap.first, first.at <= end else { return nil }
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            sink()
        }
        let taken = events[first.place]
        events[first.place] = nil
        free.append(first.place)
        return taken.map { (first.at, $0) }
    }

    private mutating func sink() {
        var parent = 0
        while true {
            var least = parent
            for child in 2 * parent + 1...2 * parent + 2
            where child < heap.count && isBefore(child, least) {
                least = child
            }
            if least == parent { return }
            heap.swapAt(parent, least)
            parent = least
        }
    }

    private func isBefore(_ one: Int, _ two: Int) -> Bool {
        (heap[one].at, heap[one].order) < (heap[two].at, heap[two].order)
    }
}
