// The IPLD data model: what every codec decodes to and encodes from
// (ipld.io/docs/data-model/kinds).

public import Multiformats

/// A value of the IPLD data model.
///
/// Maps keep the order in which their entries were read or built; each encoder sorts them as its
/// codec demands. Two values are equal when their kinds and contents are, maps in the same order;
/// strings are compared byte by byte, floats bit by bit.
public enum Value: Sendable {
    case null
    case bool(Bool)
    /// A whole number; the codecs take −2⁶⁴ to 2⁶⁴−1.
    case integer(Int128)
    /// A number with a fraction; the codecs take finite ones only.
    case float(Double)
    case string(String)
    case bytes([UInt8])
    case list([Value])
    case map([Entry])
    /// A link to another block. Boxed, so that a list of small values stays small.
    indirect case link(CID)

    /// A key of a map and what it stands for.
    public struct Entry: Equatable, Sendable {
        /// The key; a map holds it once.
        public let key: String
        /// What the key stands for.
        public var value: Value

        /// Creates an entry.
        public init(_ key: String, _ value: Value) {
            self.key = key
            self.value = value
        }

        public static func == (left: Self, right: Self) -> Bool {
            left.key.utf8.elementsEqual(right.key.utf8) && left.value == right.value
        }
    }

    /// The whole numbers that CBOR and JSON here can carry: −2⁶⁴ to 2⁶⁴−1.
    public static let integerRange: ClosedRange<Int128> = -(1 << 64)...((1 << 64) - 1)

    /// How deep lists and maps may lie in each other, in every decoder and encoder.
    public static let maxDepth = 512
}

extension Value: Equatable {
    public static func == (left: Self, right: Self) -> Bool {
        switch (left, right) {
        case (.null, .null): true
        case (.bool(let left), .bool(let right)): left == right
        case (.integer(let left), .integer(let right)): left == right
        case (.float(let left), .float(let right)): left.bitPattern == right.bitPattern
        case (.string(let left), .string(let right)): left.utf8.elementsEqual(right.utf8)
        case (.bytes(let left), .bytes(let right)): left == right
        case (.list(let left), .list(let right)): left == right
        case (.map(let left), .map(let right)): left == right
        case (.link(let left), .link(let right)): left == right
        default: false
        }
    }
}

extension Value {
    /// What `key` stands for in a map; nil if this is no map or has no such key. Takes time
    /// proportional to the map's size.
    public subscript(key: String) -> Value? {
        guard case .map(let entries) = self else { return nil }
        return entries.first { $0.key.utf8.elementsEqual(key.utf8) }?.value
    }

    /// The element of a list at `index`; nil if this is no list or is shorter.
    public subscript(index: Int) -> Value? {
        guard case .list(let elements) = self, elements.indices.contains(index) else { return nil }
        return elements[index]
    }
}
