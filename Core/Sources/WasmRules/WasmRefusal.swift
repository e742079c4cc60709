// Why a module cannot be a contract: said so that its author knows which function it is about and
// what to tell the compiler.

/// A feature of WebAssembly that contracts cannot use, because it is not in every engine, or does
/// not give the same answer on every machine.
public enum WasmFeature: Hashable, Sendable, CaseIterable {
    case threads
    case relaxedSIMD
    case memory64
    case garbageCollection
    case typedFunctionReferences
    case exceptions
    case tailCalls
    case multipleMemories
    case extendedConstants
    case customPageSizes
    case stackSwitching
    case wideArithmetic
    case memoryControl
    case components

    /// The name of its proposal.
    public var name: StaticString {
        switch self {
        case .threads: "threads and atomic memory operations"
        case .relaxedSIMD: "relaxed SIMD"
        case .memory64: "64-bit memories and tables"
        case .garbageCollection: "garbage-collected types"
        case .typedFunctionReferences: "typed function references"
        case .exceptions: "exceptions"
        case .tailCalls: "tail calls"
        case .multipleMemories: "more than one memory"
        case .extendedConstants: "extended constant expressions"
        case .customPageSizes: "custom page sizes"
        case .stackSwitching: "stack switching"
        case .wideArithmetic: "wide arithmetic"
        case .memoryControl: "memory control"
        case .components: "the component model"
        }
    }

    /// What the author can tell the compiler to do without it.
    public var advice: StaticString {
        switch self {
        case .threads:
            "compile without -pthread; clang: -mno-atomics; Rust: -C target-feature=-atomics"
        case .relaxedSIMD:
            "clang: -mno-relaxed-simd; Rust: -C target-feature=-relaxed-simd"
        case .memory64: "compile for wasm32, not wasm64"
        case .garbageCollection:
            "use a language or runtime that brings its own heap in linear memory"
        case .typedFunctionReferences:
            "clang: -mno-gc; call through a table of funcref instead"
        case .exceptions:
            "clang: -fno-exceptions -mno-exception-handling; Rust: -C panic=abort"
        case .tailCalls: "clang: -mno-tail-call; Rust: -C target-feature=-tail-call"
        case .multipleMemories: "clang: -mno-multimemory; link into one memory"
        case .extendedConstants:
            "clang: -mno-extended-const, and link statically, without -fPIC"
        case .customPageSizes: "link with pages of 64 KiB"
        case .stackSwitching: "compile without coroutines of the engine"
        case .wideArithmetic: "clang: -mno-wide-arithmetic"
        case .memoryControl: "do without memory.discard"
        case .components: "publish the core module, not the component that wraps it"
        }
    }
}

/// Why a module was refused, where, and what its author can do.
public struct WasmRefusal: Error, Hashable, Sendable {
    /// The kinds of refusal.
    public enum Kind: Hashable, Sendable {
        /// The bytes are not a module.
        case malformed
        /// The module breaks a rule of the specification's validation.
        case invalid
        /// It uses a feature that contracts cannot use.
        case feature(WasmFeature)
        /// It is larger than a contract may be.
        case overLimit
        /// It breaks a rule that holds for contracts alone.
        case rule
    }

    /// What kind of refusal it is.
    public let kind: Kind
    /// What was found, as a sentence fragment.
    public let reason: StaticString
    /// What the author can do about it; empty when the reason says it all.
    public let advice: StaticString
    /// Bytes from the start of the module to the fault.
    public let offset: Int
    /// The index of the function whose code it is about.
    public internal(set) var function: UInt32?
    /// That function's name, if the module tells it.
    public internal(set) var functionName: String?

    init(
        _ kind: Kind, _ reason: StaticString, advice: StaticString = "", at offset: Int,
        function: UInt32? = nil
    ) {
        self.kind = kind
        self.reason = reason
        self.advice = advice
        self.offset = offset
        self.function = function
    }

    init(_ feature: WasmFeature, at offset: Int) {
        self.init(.feature(feature), feature.name, advice: feature.advice, at: offset)
    }

    public static func == (left: Self, right: Self) -> Bool {
        left.kind == right.kind && left.offset == right.offset && left.function == right.function
            && left.description.utf8.elementsEqual(right.description.utf8)
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(kind)
        hasher.combine(offset)
    }
}

extension WasmRefusal: CustomStringConvertible {
    public var description: String {
        var text =
            switch kind {
            case .malformed: "not a WebAssembly module: \(reason)"
            case .invalid: "the module is not valid: \(reason)"
            case .feature: "the module uses \(reason), which contracts cannot"
            case .overLimit: "the module is too large for a contract: \(reason)"
            case .rule: "the module cannot be a contract: \(reason)"
            }
        if let function {
            text += ", in function \(function)"
            if let functionName { text += " (\(functionName))" }
        }
        text += ", at byte \(offset)"
        if advice.utf8CodeUnitCount > 0 { text += "; \(advice)" }
        return text
    }
}
