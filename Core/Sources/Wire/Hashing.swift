// Names of things that are made of bytes, as keys of tables.

extension Hasher {
    /// Feeds bytes and their number, several at a time; an array feeds its elements one by one.
    public mutating func combine(contentsOf bytes: [UInt8]) {
        combine(bytes.count)
        unsafe bytes.withUnsafeBytes { unsafe combine(bytes: $0) }
    }
}
