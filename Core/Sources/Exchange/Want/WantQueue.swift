import Multiformats

/// The blocks of a session that nobody has been asked for, in the order in which they will be read.
/// Taking from the front and adding at the end take constant time.
struct WantQueue: Sendable {
    struct Place: Comparable, Sendable {
        let position: UInt64
        /// Of the same position, what was wanted first.
        let sequence: UInt64

        static func < (left: Place, right: Place) -> Bool {
            (left.position, left.sequence) < (right.position, right.sequence)
        }
    }

    private var entries: [(place: Place, hash: Multihash)] = []
    /// How many entries at the front are out of use.
    private var head = 0

    var count: Int { entries.count - head }
    var isEmpty: Bool { count == 0 }
    /// What is read first.
    var first: Multihash? { isEmpty ? nil : entries[head].hash }

    /// The block that is read after `index` others.
    subscript(index: Int) -> Multihash { entries[head + index].hash }

    mutating func insert(_ hash: Multihash, at place: Place) {
        let index = index(of: place)
        guard index == entries.count || entries[index].place != place else { return }
        entries.insert((place, hash), at: index)
    }

    mutating func remove(at place: Place) {
        let index = index(of: place)
        guard index < entries.count, entries[index].place == place else { return }
        guard index == head else {
            entries.remove(at: index)
            return
        }
        head += 1
        if head == entries.count || (head > 256 && head > entries.count / 2) {
            entries.removeFirst(head)
            head = 0
        }
    }

    /// The index of the first entry that does not come before `place`.
    private func index(of place: Place) -> Int {
        var low = head
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].place < place { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
