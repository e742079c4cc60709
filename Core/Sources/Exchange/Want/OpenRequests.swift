import Multiformats

/// The blocks that one source has been asked for, in that order. What is answered first was mostly
/// asked for first, and that takes constant time, however many are open.
struct OpenRequests: Sendable {
    /// Requests in order; nil where one has gone.
    private var slots: [WantTable.Request?] = []
    /// The number of the first slot; each request keeps its number.
    private var base = 0
    /// How many slots at the front are out of use.
    private var head = 0
    private var numbers = [Multihash: Int]()

    var count: Int { numbers.count }
    var isEmpty: Bool { numbers.isEmpty }
    var first: WantTable.Request? { head < slots.count ? slots[head] : nil }
    /// All of them, in order.
    var all: [WantTable.Request] { slots[head...].compactMap { $0 } }

    mutating func append(_ request: WantTable.Request) {
        numbers[request.hash] = base + slots.count
        slots.append(request)
    }

    mutating func remove(_ hash: Multihash) -> WantTable.Request? {
        guard let number = numbers.removeValue(forKey: hash) else { return nil }
        let request = slots[number - base]
        slots[number - base] = nil
        while head < slots.count, slots[head] == nil { head += 1 }
        if head == slots.count || (head > 256 && head > slots.count / 2) {
            slots.removeFirst(head)
            base += head
            head = 0
        }
        return request
    }
}
