// How large the parts of a contract may be. Every limit lies well under those of the engines
// (V8, SpiderMonkey, JavaScriptCore, Wasmtime, WasmKit), so that no module is taken by one and
// refused by another, and none costs a compiler more than a few seconds.

/// The structural limits of a contract's module.
public enum WasmLimits {
    /// Bytes of the module as its author made it.
    public static let maxModuleBytes = 4 << 20
    /// Bytes of the instrumented module.
    public static let maxInstrumentedBytes = 12 << 20
    /// Function types.
    public static let maxTypes: UInt32 = 4_000
    /// Parameters of a function or block.
    public static let maxParameters: UInt32 = 200
    /// Results of a function or block.
    public static let maxResults: UInt32 = 50
    /// Imported functions.
    public static let maxImports: UInt32 = 500
    /// Functions that the module defines.
    public static let maxFunctions: UInt32 = 20_000
    /// Tables.
    public static let maxTables: UInt32 = 16
    /// Elements of a table, also after it has grown.
    public static let maxTableElements: UInt32 = 65_536
    /// Pages of 64 KiB of the memory, also after it has grown: 256 MiB.
    public static let maxMemoryPages: UInt32 = 4_096
    /// Global variables and constants.
    public static let maxGlobals: UInt32 = 4_000
    /// Exports.
    public static let maxExports: UInt32 = 4_000
    /// Bytes of a name of an import or export.
    public static let maxNameBytes: UInt32 = 1_024
    /// Element segments.
    public static let maxElementSegments: UInt32 = 4_000
    /// Elements of all element segments together.
    public static let maxSegmentElements: UInt32 = 100_000
    /// Data segments.
    public static let maxDataSegments: UInt32 = 10_000
    /// Bytes of a function's code.
    public static let maxBodyBytes: UInt32 = 256 << 10
    /// Parameters and local variables of a function.
    public static let maxLocals: UInt32 = 2_000
    /// Blocks within each other: as many as a `br_table` may have labels, since compilers make a
    /// block of every case of a switch.
    public static let maxNesting = 4_000
    /// What compiling a function costs, by ``CompileWork``: 0.4 s and some 50 MB.
    public static let maxFunctionWork = 4_000_000
    /// What compiling all functions costs.
    public static let maxModuleWork = 32_000_000
    /// Labels of one `br_table`.
    public static let maxBranchTargets: UInt32 = 4_000
    /// Operands on a function's stack.
    public static let maxOperands = 2_000
    /// Accounted bytes of all frames on the call stack; see `GasSchedule.frameBytes`.
    public static let stackBytes: UInt32 = 256 << 10
    /// Custom sections, which are passed over.
    static let maxCustomSections = 1_000
}
