// The types of the WebAssembly core specification 2.0, and those parts of a module that are lists
// of types.

/// The type of a WebAssembly value, numbered as in the binary format.
public enum ValueType: UInt8, Hashable, Sendable {
    case i32 = 0x7f
    case i64 = 0x7e
    case f32 = 0x7d
    case f64 = 0x7c
    case v128 = 0x7b
    case funcref = 0x70
    case externref = 0x6f

    /// Whether it is a reference to a function or to something of the host.
    public var isReference: Bool { self == .funcref || self == .externref }

    /// Whether it is an integer, the only kind of value that crosses between contract and host:
    /// hosts written in JavaScript may change the bits of a floating-point NaN.
    public var isInteger: Bool { self == .i32 || self == .i64 }

    /// The 8-byte slots of an accounted stack that a value takes.
    var slots: UInt32 { self == .v128 ? 2 : 1 }
}

/// The parameters and results of a function or block.
public struct FunctionType: Hashable, Sendable {
    /// What is taken, the first deepest.
    public var parameters: [ValueType]
    /// What is given, the first deepest.
    public var results: [ValueType]

    /// A type of these parameters and results.
    public init(parameters: [ValueType], results: [ValueType]) {
        self.parameters = parameters
        self.results = results
    }
}

/// How many pages a memory or elements a table begins with, and how many it may grow to.
public struct SizeLimits: Hashable, Sendable {
    /// What it has from the start.
    public var minimum: UInt32
    /// What the module says it may have; nil when it does not say.
    public var maximum: UInt32?

    /// Limits of these numbers.
    public init(minimum: UInt32, maximum: UInt32?) {
        self.minimum = minimum
        self.maximum = maximum
    }
}

/// A table of references.
struct TableType: Hashable, Sendable {
    var element: ValueType
    var limits: SizeLimits
}

/// A global variable or constant.
struct GlobalType: Hashable, Sendable {
    var value: ValueType
    var isMutable: Bool
}

/// What a block takes and gives, as its instruction says it.
enum BlockType: Hashable, Sendable {
    case empty
    case value(ValueType)
    /// By index into the module's types.
    case type(UInt32)
}
