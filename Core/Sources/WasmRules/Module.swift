// A module as its binary form says it: what the validator and the instrumenter need to know of it.

/// What kind of thing an import or export is.
public enum ExternalKind: UInt8, Hashable, Sendable {
    case function = 0
    case table = 1
    case memory = 2
    case global = 3
}

/// A function that a module wants of its host.
public struct FunctionImport: Hashable, Sendable {
    /// The name of the module that it is to come from.
    public let module: String
    /// Its name there.
    public let name: String
    /// What it takes and gives.
    public let type: FunctionType
}

/// Something that a module lets its host use.
public struct ModuleExport: Hashable, Sendable {
    /// Its name.
    public let name: String
    /// What it is.
    public let kind: ExternalKind
    /// Its index among the module's things of that kind.
    public let index: UInt32
}

/// The sections of a module, decoded; its functions' code is where it was.
struct Module {
    let bytes: [UInt8]
    var types: [FunctionType] = []
    var imports: [ImportEntry] = []
    /// The type of every function, imported ones first.
    var functions: [UInt32] = []
    var importedFunctions = 0
    var tables: [TableType] = []
    var memories: [SizeLimits] = []
    var globals: [GlobalType] = []
    var importedGlobals = 0
    var exports: [ModuleExport] = []
    var start: UInt32?
    /// The type of each element segment.
    var elements: [ValueType] = []
    /// The elements of all segments together.
    var elementCount: UInt32 = 0
    /// How many data segments were announced before the code; nil if nothing was.
    var announcedDataCount: UInt32?
    var dataCount: UInt32 = 0
    /// The bytes of all data segments together.
    var dataBytes = 0
    /// The functions whose references may be taken in code.
    var referenced: Set<UInt32> = []
    /// The code of each defined function: its variables, then its instructions.
    var bodies: [Range<Int>] = []
    /// Where the contents of sections lie that are passed on as they are, or added to.
    var sections: [SectionID: Range<Int>] = [:]

    func type(ofFunction index: UInt32) -> FunctionType {
        types[Int(functions[Int(index)])]
    }
}

/// An import, with the place where it stands.
struct ImportEntry {
    var module: String
    var name: String
    var kind: ExternalKind
    /// The index of a function's type.
    var type: UInt32 = 0
    var offset: Int
}

/// The sections of a module, by their numbers.
enum SectionID: UInt8, Hashable, Sendable {
    case custom = 0
    case type = 1
    case `import` = 2
    case function = 3
    case table = 4
    case memory = 5
    case global = 6
    case export = 7
    case start = 8
    case element = 9
    case code = 10
    case data = 11
    case dataCount = 12

    /// Its place in the order of sections, where `dataCount` is before the code.
    var place: Int {
        switch self {
        case .custom: 0
        case .dataCount: 10
        case .code: 11
        case .data: 12
        default: Int(rawValue)
        }
    }
}
