// What everything costs. Gas counts the instructions of the module as its author made it, so that
// the number does not depend on how it is instrumented or compiled; the weights follow what
// compiling engines need for an instruction, and bound what the worst mix of them takes.

/// The prices of version 1. A call's identity contains the version; any change makes a new one.
public enum GasSchedule {
    /// The version of the prices, of the limits and of what an instrumented module gives.
    public static let version: UInt32 = 1

    /// What an activation may use by itself, whatever its call was given: so that anybody can run a
    /// single one again within seconds. More goes to the calls that it makes.
    public static let maxOwnGas: Int64 = 1 << 32

    /// Most instructions: constants, local variables, integer arithmetic, comparisons.
    static let simple: UInt8 = 1
    /// `block`, `loop`, `else`, `end`: they are no work.
    static let free: UInt8 = 0
    /// Loads, stores, and access to tables.
    static let memory: UInt8 = 3
    /// Division and remainder of integers.
    static let division: UInt8 = 10
    /// Arithmetic and conversion of floating-point numbers.
    static let float: UInt8 = 2
    /// Division and square root of floating-point numbers.
    static let floatDivision: UInt8 = 10
    /// Vector instructions on integers and bits.
    static let vector: UInt8 = 2
    /// Vector arithmetic on floating-point numbers.
    static let vectorFloat: UInt8 = 5
    /// Vector division and square root.
    static let vectorDivision: UInt8 = 20
    /// `br_table`.
    static let branchTable: UInt8 = 3
    /// `call`, for the way there and back.
    static let call: UInt8 = 5
    /// `call_indirect`, which also checks the type.
    static let indirectCall: UInt8 = 10
    /// The fixed part of an instruction that works on many bytes or elements.
    static let bulk: UInt8 = 10
    /// The fixed part of `memory.grow` and `table.grow`.
    static let grow: UInt8 = 50

    /// `memory.copy`, `memory.fill` and `memory.init` cost one more for each full 8 bytes.
    static let bulkBytesShift: Int64 = 3
    /// What each element costs that an instruction writes into a table.
    static let tableElement: Int64 = 8
    /// What each page of 64 KiB costs when it comes into being: an engine clears it, and its first
    /// touch is a page fault.
    static let page: Int64 = 8_192
    /// What every call of a host's function costs, `fetch` excepted.
    public static let hostCall: Int64 = 200
    /// What the host's `fetch` costs, beside what the callee uses.
    public static let hostFetch: Int64 = 5_000
    /// A call of the host costs one more for each full 8 bytes that it copies into or out of the
    /// contract's memory, or passes on.
    public static let hostBytesShift: Int64 = 3
    /// What it costs WASI's functions to look up one name in a folder: that reads blocks from the
    /// store, some 60 µs.
    public static let lookup: Int64 = 30_000
    /// What each byte of the host's `seed` costs: it is hashed, not copied.
    public static let seedByte: Int64 = 8
    /// A function that calls none, and has no more bytes of code, runs on credit: who calls it asks
    /// for the gas at the next place where it has to.
    static let shortCode = 100
    /// A function's entry costs one for each so many slots of its local variables, rounded up.
    static let localsPerGas: UInt32 = 4

    /// The accounted bytes of a call's frame: its parameters, variables and operands in slots of 8
    /// bytes (vectors take two), and what every frame has.
    static func frameBytes(slots: UInt32) -> UInt32 { 8 * slots + 64 }
}
