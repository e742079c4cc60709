// The common part of the chunkers that look at the content: a hash over a window of the last bytes
// decides where a piece ends.

import Wire

/// A hash over the last `window` bytes that takes one byte at a time.
protocol RollingHash: Sendable {
    /// How many bytes the hash covers; a power of two.
    static var window: Int { get }
    /// Whether a piece may end here.
    var isBoundary: Bool { get }
    /// Takes a byte while fewer than `window` bytes have been taken.
    mutating func push(_ byte: UInt8)
    /// Takes a byte and forgets the one that came `window` bytes before.
    mutating func roll(_ byte: UInt8, out: UInt8)
    /// Forgets everything.
    mutating func reset()
}

/// Cuts where a rolling hash says so, within bounds.
struct RollingCut<Hash: RollingHash>: Sendable {
    private var hash: Hash
    private let minimum: Int
    private let maximum: Int
    /// How many bytes of the current piece have been taken.
    private var count = 0
    /// The last bytes that the hash has taken, as a ring.
    private var recent: [UInt8]

    init(_ hash: Hash, minimum: Int, maximum: Int) {
        self.hash = hash
        self.minimum = minimum
        self.maximum = maximum
        recent = [UInt8](repeating: 0, count: Hash.window)
    }

    /// See ``Splitter/cut(_:)``.
    mutating func next(_ bytes: RawSpan) -> Int? {
        // Nothing before the window that ends at the minimum can matter.
        let first = minimum - Hash.window
        var index = 0
        if count < first {
            index = min(first - count, bytes.byteCount)
            count += index
        }
        while index < bytes.byteCount {
            let byte = bytes.byte(at: index)
            let slot = (count - first) & (Hash.window - 1)
            if count < minimum {
                hash.push(byte)
            } else {
                hash.roll(byte, out: recent[slot])
            }
            recent[slot] = byte
            count += 1
            index += 1
            if count >= minimum, hash.isBoundary || count >= maximum {
                count = 0
                hash.reset()
                return index
            }
        }
        return nil
    }
}
