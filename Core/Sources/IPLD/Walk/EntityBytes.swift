// The `entity-bytes` parameter of trustless gateways
// (specs.ipfs.tech/http-gateways/trustless-gateway).

/// A range of a file's bytes whose ends may count from the end of the file.
public struct EntityBytes: Hashable, Sendable {
    /// The first byte; negative counts from the end of the file.
    public let from: Int64
    /// The last byte, itself included; negative counts from the end; nil is the end.
    public let to: Int64?

    /// A range of bytes, both ends included.
    public init(from: Int64, to: Int64?) {
        self.from = from
        self.to = to
    }

    /// Reads `FROM:TO` with decimal numbers, or `*` for the end; nil if it is not that.
    public init?(_ text: String) {
        let parts = [UInt8](text.utf8).split(
            separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        guard parts.count == 2, let from = Self.number(parts[0]) else { return nil }
        self.from = from
        if parts[1].elementsEqual([UInt8(ascii: "*")]) {
            to = nil
        } else {
            guard let number = Self.number(parts[1]) else { return nil }
            to = number
        }
    }

    /// The bytes of a file of `size` bytes that are meant; nil if there are none.
    public func range(in size: UInt64) -> Range<UInt64>? {
        let first = Self.position(from, in: size) ?? 0
        var end = size
        if let to {
            guard let last = Self.position(to, in: size) else { return nil }
            if last < size { end = last + 1 }
        }
        return first < end ? first..<end : nil
    }

    /// An offset from the start; nil if it lies before the start.
    private static func position(_ offset: Int64, in size: UInt64) -> UInt64? {
        guard offset < 0 else { return UInt64(offset) }
        return size >= offset.magnitude ? size - offset.magnitude : nil
    }

    private static func number(_ text: ArraySlice<UInt8>) -> Int64? {
        guard let first = text.first, first != UInt8(ascii: "+") else { return nil }
        return Int64(String(decoding: text, as: UTF8.self))
    }
}
