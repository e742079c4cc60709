// A bounded cache that forgets what has not been used for longest, approximately.

/// Two dictionaries: when the young one has filled half of the bound, it becomes the old one, and
/// what was in the old one is forgotten unless it was used meanwhile. All operations cost O(1).
struct TwoAgeCache<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private var young: [Key: (value: Value, cost: Int)] = [:]
    private var old: [Key: (value: Value, cost: Int)] = [:]
    private var youngCost = 0
    private let bound: Int

    /// A cache of values that together cost at most `bound`.
    init(bound: Int) { self.bound = bound }

    mutating func value(_ key: Key) -> Value? {
        if let entry = young[key] { return entry.value }
        guard let entry = old.removeValue(forKey: key) else { return nil }
        insert(key, entry.value, cost: entry.cost)
        return entry.value
    }

    mutating func insert(_ key: Key, _ value: Value, cost: Int) {
        guard cost <= bound / 2 else { return }
        if youngCost + cost > bound / 2 {
            old = young
            young = [:]
            youngCost = 0
        }
        if let replaced = young.updateValue((value, cost), forKey: key) {
            youngCost -= replaced.cost
        }
        youngCost += cost
    }

    mutating func remove(_ key: Key) {
        if let removed = young.removeValue(forKey: key) { youngCost -= removed.cost }
        old[key] = nil
    }
}
