/// A first-in first-out queue that never holds more than its limit, so that whoever fills it has to
/// decide what happens when it is full.
///
/// Memory grows with what is in it; both ends take constant time.
public struct BoundedQueue<Element> {
    /// The most elements it holds.
    public let limit: Int
    /// How many elements it holds.
    public private(set) var count = 0
    /// A ring: the first element lies at `head`. Places outside it are nil.
    private var slots: [Element?] = []
    private var head = 0

    /// An empty queue for up to `limit` elements.
    public init(limit: Int) {
        precondition(limit > 0, "a queue has room for something")
        self.limit = limit
    }

    /// Whether nothing is in it.
    public var isEmpty: Bool { count == 0 }

    /// Whether nothing more goes in.
    public var isFull: Bool { count == limit }

    /// The element that leaves next.
    public var first: Element? { isEmpty ? nil : slots[head] }

    /// Adds an element at the end. Returns whether there was room.
    public mutating func append(_ element: Element) -> Bool {
        guard !isFull else { return false }
        if count == slots.count { grow() }
        slots[place(count)] = element
        count += 1
        return true
    }

    /// Removes the first element; nil if there is none.
    public mutating func popFirst() -> Element? {
        guard !isEmpty else { return nil }
        let element = slots[head]
        slots[head] = nil
        head = place(1)
        count -= 1
        return element
    }

    /// Removes everything and gives back the memory.
    public mutating func removeAll() {
        slots = []
        head = 0
        count = 0
    }

    private func place(_ offset: Int) -> Int {
        let index = head + offset
        return index < slots.count ? index : index - slots.count
    }

    private mutating func grow() {
        let size = min(limit, max(4, slots.count * 2))
        var grown: [Element?] = []
        grown.reserveCapacity(size)
        for offset in 0..<count { grown.append(slots[place(offset)]) }
        while grown.count < size { grown.append(nil) }
        slots = grown
        head = 0
    }
}

extension BoundedQueue: Sendable where Element: Sendable {}
