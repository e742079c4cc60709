import Wire

/// Cuts the input of a hash function into whole blocks, whatever pieces it arrives in.
struct BlockBuffer: Sendable {
    /// Whether the last block is held back when the input ends exactly at its end, because the
    /// function marks its final block.
    enum Last: Sendable {
        case released
        case heldBack
    }

    private(set) var pending: [UInt8]
    private(set) var count = 0
    private let last: Last

    init(blockSize: Int, last: Last) {
        self.pending = [UInt8](repeating: 0, count: blockSize)
        self.last = last
    }

    /// Calls `compress` with one or more whole blocks at a time, and keeps the rest.
    @inline(__always)
    mutating func absorb(_ input: RawSpan, _ compress: (RawSpan) -> Void) {
        let size = pending.count
        let held = last == .heldBack ? 1 : 0
        var start = 0
        if count > 0 {
            start = min(size - count, input.byteCount)
            pending.copy(input.extracting(0..<start), at: count)
            count += start
            guard count == size, input.byteCount - start >= held else { return }
            compress(pending.rawSpan)
            count = 0
        }
        let whole = max(0, input.byteCount - start - held) / size * size
        if whole > 0 { compress(input.extracting(start..<(start + whole))) }
        let rest = input.extracting((start + whole)..<input.byteCount)
        pending.copy(rest, at: 0)
        count = rest.byteCount
    }

    /// The blocks that end a message of `length` bytes in the Merkle–Damgård functions: a one
    /// bit, zeros, and the length in bits, most significant byte first.
    func paddedEnd(length: UInt64, lengthSize: Int) -> [UInt8] {
        var end = [UInt8](pending[..<count])
        end.append(0x80)
        while (end.count + lengthSize) % pending.count != 0 { end.append(0) }
        end.append(contentsOf: repeatElement(0, count: lengthSize - 8))
        end.appendBigEndian(length << 3)
        return end
    }
}
