/// When each of many things is to be looked at again.
///
/// A key that falls due only means "look": its owner knows whether the thing still exists and
/// whether its time has really come, and adds it again if not. So nothing is ever taken out of the
/// middle, and moving a deadline back costs nothing.
public struct DeadlineQueue<Key: Sendable>: Sendable {
    /// A binary heap, the earliest first.
    @usableFromInline var heap: [(at: Instant, key: Key)] = []

    /// Nothing is to be looked at.
    @inlinable public init() {}

    /// The earliest deadline.
    @inlinable public var first: Instant? { heap.first?.at }

    /// How many keys are in it.
    @inlinable public var count: Int { heap.count }

    /// Makes `key` fall due at `at`.
    @inlinable public mutating func add(_ key: Key, at: Instant) {
        heap.append((at, key))
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard heap[child].at < heap[parent].at else { return }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    /// Takes out a key that is due at `now`.
    @inlinable public mutating func popDue(at now: Instant) -> Key? {
        guard let first = heap.first, first.at <= now else { return nil }
        let last = heap.removeLast()
        shrink()
        guard !heap.isEmpty else { return first.key }
        heap[0] = last
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2]
            where child < heap.count && heap[child].at < heap[least].at {
                least = child
            }
            guard least != parent else { return first.key }
            heap.swapAt(parent, least)
            parent = least
        }
    }

    /// Gives back what a busy time took.
    @inlinable mutating func shrink() {
        guard heap.capacity > 64, heap.count < heap.capacity / 4 else { return }
        var smaller: [(at: Instant, key: Key)] = []
        smaller.reserveCapacity(heap.count * 2)
        smaller += heap
        heap = smaller
    }
}
