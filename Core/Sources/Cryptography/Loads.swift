// Unaligned loads of hash input. The standard library checks the bounds; all unsafe code of the
// pure hash functions is in this file.

extension RawSpan {
    /// The 32-bit integer at `offset`, least significant byte first.
    @inline(__always)
    func littleEndian32(at offset: Int) -> UInt32 {
        UInt32(littleEndian: unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    /// The 64-bit integer at `offset`, least significant byte first.
    @inline(__always)
    func littleEndian64(at offset: Int) -> UInt64 {
        UInt64(littleEndian: unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }

    /// The four 64-bit integers from `offset` on, in the order of the platform. One check of the
    /// bounds for all of them.
    @inline(__always)
    func fourWords(at offset: Int) -> InlineArray<4, UInt64> {
        unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: InlineArray<4, UInt64>.self)
    }

    /// The 32-bit integer at `offset`, most significant byte first.
    @inline(__always)
    func bigEndian32(at offset: Int) -> UInt32 {
        UInt32(bigEndian: unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    /// The 64-bit integer at `offset`, most significant byte first.
    @inline(__always)
    func bigEndian64(at offset: Int) -> UInt64 {
        UInt64(bigEndian: unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }

    /// The byte at `offset`.
    @inline(__always)
    func byte(at offset: Int) -> UInt8 {
        unsafe unsafeLoad(fromByteOffset: offset, as: UInt8.self)
    }
}

extension Array where Element == UInt8 {
    /// Overwrites the bytes from `start` with `source`, which must fit.
    mutating func copy(_ source: RawSpan, at start: Int) {
        let count = source.byteCount
        precondition(start >= 0 && count <= self.count - start)
        unsafe withUnsafeMutableBytes { target in
            unsafe source.withUnsafeBytes { bytes in
                unsafe UnsafeMutableRawBufferPointer(rebasing: target[start..<(start + count)])
                    .copyMemory(from: bytes)
            }
        }
    }
}
