import Multiformats

/// The blocks of a session that nobody has been asked for, in the order in which they will be read.
struct WantQueue: Sendable {
    struct Place: Comparable, Sendable {
        let position: UInt64
        /// Of the same position, what was wanted first.
        let sequence: UInt64

        static func < (left: Place, right: Place) -> Bool {
            (left.position, left.sequence) < (right.position, right.sequence)
        }
    }

    private(set) var entries: [(place: Place, hash: Multihash)] = []

    var count: Int { entries.count }
    var isEmpty: Bool { entries.isEmpty }

    mutating func insert(_ hash: Multihash, at place: Place) {
        let index = index(of: place)
        guard index == entries.count || entries[index].place != place else { return }
        entries.insert((place, hash), at: index)
    }

    mutating func remove(at place: Place) {
        let index = index(of: place)
        if index < entries.count, entries[index].place == place { entries.remove(at: index) }
    }

    /// The index of the first entry that does not come before `place`.
    private func index(of place: Place) -> Int {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].place < place { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
