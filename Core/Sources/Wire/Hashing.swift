// Names of things that are made of bytes, as keys of tables.

extension Hasher {
    /// Feeds bytes and their number, eight at a time; an array feeds its elements one by one.
    public mutating func combine(contentsOf bytes: [UInt8]) {
        combine(bytes.count)
        unsafe bytes.withUnsafeBytes { bytes in
            var place = 0
            while place + 8 <= bytes.count {
                combine(
                    unsafe bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self))
                place += 8
            }
            var rest: UInt64 = 0
            while place < bytes.count {
                rest = rest << 8 | UInt64(unsafe bytes[place])
                place += 1
            }
            if bytes.count % 8 != 0 { combine(rest) }
        }
    }
}
