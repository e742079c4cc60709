// How content is cut into pieces: at fixed sizes, or where the content itself says so, by two
// rolling hashes whose constants are Kubo's (github.com/ipfs/boxo, chunker).

import Wire

/// A way to cut content into pieces.
public enum Chunker: Hashable, Sendable {
    /// Pieces of this many bytes, the last one shorter; 1 to ``maxSize``.
    case size(Int)
    /// Cuts where Rabin's fingerprint of the last 16 bytes is zero in as many bits as
    /// log₂(`average`) has; 16 ≤ `minimum` < `average` < `maximum` ≤ ``maxSize``.
    case rabin(minimum: Int, average: Int, maximum: Int)
    /// Cuts where the cyclic polynomial hash of the last 32 bytes ends in 17 zero bits, between
    /// 128 KiB and 512 KiB.
    case buzhash

    /// The largest piece, in bytes: a block less what a leaf has around its content.
    public static let maxSize = BlockLimits.maxBytes - 256

    /// Reads `size-N`, `rabin`, `rabin-AVERAGE`, `rabin-MIN-AVERAGE-MAX` or `buzhash`; nil if it
    /// is none of these or a number is out of range.
    public init?(_ text: String) {
        var parts: [[UInt8]] = [[]]
        for byte in text.utf8 {
            if byte == UInt8(ascii: "-") {
                parts.append([])
            } else {
                parts[parts.count - 1].append(byte)
            }
        }
        var numbers: [Int] = []
        for part in parts.dropFirst() {
            guard let number = Self.number(part) else { return nil }
            numbers.append(number)
        }
        switch numbers.count {
        case 1 where parts[0].elementsEqual("size".utf8): self = .size(numbers[0])
        case 0 where parts[0].elementsEqual("buzhash".utf8): self = .buzhash
        case 0 where parts[0].elementsEqual("rabin".utf8): self = Self.rabin(average: 1 << 18)
        case 1 where parts[0].elementsEqual("rabin".utf8): self = Self.rabin(average: numbers[0])
        case 3 where parts[0].elementsEqual("rabin".utf8):
            self = .rabin(minimum: numbers[0], average: numbers[1], maximum: numbers[2])
        default: return nil
        }
        guard isValid else { return nil }
    }

    /// The largest piece that this chunker cuts, in bytes.
    public var maximum: Int {
        switch self {
        case .size(let size): size
        case .rabin(_, _, let maximum): maximum
        case .buzhash: Buzhash.maximum
        }
    }

    private var isValid: Bool {
        switch self {
        case .size(let size): (1...Self.maxSize).contains(size)
        case .rabin(let minimum, let average, let maximum):
            minimum >= Rabin.window && minimum < average && average < maximum
                && maximum <= Self.maxSize
        case .buzhash: true
        }
    }

    private static func rabin(average: Int) -> Chunker {
        .rabin(minimum: average / 3, average: average, maximum: average + average / 2)
    }

    /// A decimal number of at most nine digits.
    private static func number(_ digits: [UInt8]) -> Int? {
        guard (1...9).contains(digits.count) else { return nil }
        var value = 0
        for digit in digits {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) else { return nil }
            value = value * 10 + Int(digit - UInt8(ascii: "0"))
        }
        return value
    }
}

extension Chunker: CustomStringConvertible {
    /// The form that ``init(_:)`` reads.
    public var description: String {
        switch self {
        case .size(let size): "size-\(size)"
        case .rabin(let minimum, let average, let maximum):
            "rabin-\(minimum)-\(average)-\(maximum)"
        case .buzhash: "buzhash"
        }
    }
}

/// Finds where pieces end in a stream of bytes; where they end does not depend on how the stream
/// is handed over.
///
/// Copies are cheap and start from the same place: keep a fresh one for the next file.
public struct Splitter: Sendable {
    private enum Method: Sendable {
        case size(Int, filled: Int)
        case rabin(RollingCut<Rabin>)
        case buzhash(RollingCut<Buzhash>)
    }

    private var method: Method

    /// Starts before the first byte of the content.
    public init(_ chunker: Chunker) {
        switch chunker {
        case .size(let size):
            precondition((1...Chunker.maxSize).contains(size), "the chunk size is out of range")
            method = .size(size, filled: 0)
        case .rabin(let minimum, let average, let maximum):
            precondition(
                minimum >= Rabin.window && minimum <= maximum && maximum <= Chunker.maxSize
                    && average > 0, "the chunk sizes are out of range")
            method = .rabin(
                RollingCut(Rabin(average: average), minimum: minimum, maximum: maximum))
        case .buzhash:
            method = .buzhash(
                RollingCut(Buzhash(), minimum: Buzhash.minimum, maximum: Buzhash.maximum))
        }
    }

    /// Takes the next bytes of the content. Answers how many of them belong to the current piece
    /// if it ends among them: call again with the rest. Answers nil if the piece goes on after
    /// them. What is left when the content ends is the last piece, if it is not empty.
    public mutating func cut(_ bytes: RawSpan) -> Int? {
        switch method {
        case .size(let size, let filled):
            guard bytes.byteCount >= size - filled else {
                method = .size(size, filled: filled + bytes.byteCount)
                return nil
            }
            method = .size(size, filled: 0)
            return size - filled
        case .rabin(var cut):
            let end = cut.next(bytes)
            method = .rabin(cut)
            return end
        case .buzhash(var cut):
            let end = cut.next(bytes)
            method = .buzhash(cut)
            return end
        }
    }
}
