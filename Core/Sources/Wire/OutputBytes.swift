// Writing into memory that somebody else provides, without filling it with zeros first.

extension OutputRawSpan {
    /// Appends a copy of borrowed bytes, for which there must be room.
    @_lifetime(self: copy self)
    public mutating func append(_ bytes: RawSpan) {
        precondition(bytes.byteCount <= freeCapacity, "no room for the bytes")
        unsafe withUnsafeMutableBytes { target, count in
            let end = count + bytes.byteCount
            unsafe bytes.withUnsafeBytes { source in
                unsafe UnsafeMutableRawBufferPointer(rebasing: target[count..<end])
                    .copyMemory(from: source)
            }
            count = end
        }
    }

    /// Overwrites the two bytes at `offset`, which have been written before, with `value`, most
    /// significant byte first.
    @_lifetime(self: copy self)
    public mutating func replaceBigEndian(at offset: Int, with value: UInt16) {
        precondition(offset >= 0 && offset + 2 <= byteCount, "nothing was written there")
        unsafe withUnsafeMutableBytes { target, _ in
            unsafe target.storeBytes(
                of: value.bigEndian, toByteOffset: offset, as: UInt16.self)
        }
    }
}

extension Array where Element == UInt8 {
    /// An array of at most `capacity` bytes that `body` writes.
    public init<Failure: Error>(
        capacity: Int, writing body: (inout OutputRawSpan) throws(Failure) -> Void
    ) throws(Failure) {
        var failure: Failure?
        self = unsafe Self(unsafeUninitializedCapacity: capacity) { target, count in
            let memory = UnsafeMutableRawBufferPointer(target)
            var output = unsafe OutputRawSpan(buffer: memory, initializedCount: 0)
            do throws(Failure) {
                try body(&output)
            } catch {
                failure = error
            }
            count = unsafe output.finalize(for: memory)
        }
        if let failure { throw failure }
    }
}
