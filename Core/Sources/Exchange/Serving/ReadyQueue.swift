/// What waits to be sent to one peer: the highest priority first, and of the same priority what
/// came first.
///
/// A binary heap. What is cancelled stays in it until its turn; whoever takes it out asks whether
/// its ticket is still good.
struct ReadyQueue<Element: Sendable>: Sendable {
    struct Entry: Sendable {
        let priority: Int32
        let ticket: UInt64
        let element: Element

        func comes(before other: Entry) -> Bool {
            priority != other.priority ? priority > other.priority : ticket < other.ticket
        }
    }

    private var heap: [Entry] = []

    var count: Int { heap.count }
    var first: Entry? { heap.first }

    mutating func insert(_ element: Element, priority: Int32, ticket: UInt64) {
        heap.append(Entry(priority: priority, ticket: ticket, element: element))
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard heap[child].comes(before: heap[parent]) else { break }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    mutating func removeFirst() {
        guard let last = heap.popLast(), !heap.isEmpty else { return }
        heap[0] = last
        var parent = 0
        while true {
            var first = parent
            for child in [2 * parent + 1, 2 * parent + 2]
            where child < heap.count && heap[child].comes(before: heap[first]) {
                first = child
            }
            guard first != parent else { return }
            heap.swapAt(first, parent)
            parent = first
        }
    }

    /// Drops the entries that are no longer wanted.
    mutating func removeAll(where isStale: (Entry) -> Bool) {
        let kept = heap.filter { !isStale($0) }
        heap = []
        for entry in kept {
            insert(entry.element, priority: entry.priority, ticket: entry.ticket)
        }
    }
}
