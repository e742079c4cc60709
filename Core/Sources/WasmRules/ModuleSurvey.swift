// What a module is made of, for its author: features, sizes, and what its functions cost at least.

/// A survey of a contract's module.
public struct ModuleSurvey: Sendable {
    /// What a module may use beyond the first version of WebAssembly.
    public enum Feature: Int, Hashable, Sendable, CaseIterable {
        case signExtension
        case saturatingConversion
        case multipleResults
        case bulkMemory
        case referenceTypes
        case vectors

        /// Its name.
        public var name: StaticString {
            switch self {
            case .signExtension: "sign extension"
            case .saturatingConversion: "saturating conversion"
            case .multipleResults: "several results"
            case .bulkMemory: "bulk memory"
            case .referenceTypes: "reference types"
            case .vectors: "vectors"
            }
        }
    }

    /// An exported function.
    public struct Function: Hashable, Sendable {
        /// The name of the export.
        public let name: String
        /// The function's type.
        public let type: FunctionType
        fileprivate let index: Int
    }

    private let module: Module
    private let facts: [FunctionFacts]

    /// The features that the module uses.
    public private(set) var features: [Feature] = []
    /// How many functions it defines.
    public let functionCount: Int
    /// How many instructions they have.
    public private(set) var instructionCount = 0
    /// The index of the function with the most code, and how many bytes that is.
    public private(set) var largest: (function: UInt32, bytes: Int)?
    /// The exported functions, in the order of the exports.
    public private(set) var functions: [Function] = []

    /// Surveys a module that follows the rules of contracts.
    public init(_ bytes: [UInt8]) throws(WasmRefusal) {
        module = try ModuleDecoder.decode(bytes)
        functionCount = module.bodies.count
        var validator = FunctionValidator(module)
        var facts: [FunctionFacts] = []
        for body in module.bodies.indices { facts.append(try validator.validate(body: body)) }
        self.facts = facts
        try survey()
        for export in module.exports where export.kind == .function {
            let type = module.type(ofFunction: export.index)
            functions.append(Function(name: export.name, type: type, index: Int(export.index)))
        }
    }

    /// The gas of the cheapest way through each of ``functions`` from its beginning to its end; nil
    /// if there is none. A loop is gone through once; what is called indirectly, and what depends
    /// on operands, counts nothing.
    public func leastGas() throws(WasmRefusal) -> [Int64?] {
        let least = try LeastGas(module, facts).computed()
        return functions.map { least[$0.index] }
    }

    private mutating func survey() throws(WasmRefusal) {
        var used = [Bool](repeating: false, count: Feature.allCases.count)
        used[Feature.referenceTypes.rawValue] = module.tables.count > 1
        used[Feature.multipleResults.rawValue] = module.types.contains { $0.results.count > 1 }
        for (body, facts) in facts.enumerated() {
            if facts.code.count > largest?.bytes ?? 0 {
                largest = (UInt32(module.importedFunctions + body), facts.code.count)
            }
            var reader = WasmReader(module.bytes, facts.code)
            var instruction = Instruction()
            while !reader.isAtEnd {
                try reader.read(&instruction)
                instructionCount += 1
                if let feature = Self.feature(of: instruction) { used[feature.rawValue] = true }
            }
        }
        features = Feature.allCases.filter { used[$0.rawValue] }
    }

    private static func feature(of instruction: Instruction) -> Feature? {
        switch instruction.opcode {
        case 0xc0...0xc4: .signExtension
        case 0x100...0x107: .saturatingConversion
        case 0x108...0x10e: .bulkMemory
        case 0x1c, 0x25, 0x26, 0xd0...0xd2, 0x10f...0x111: .referenceTypes
        case 0x200...: .vectors
        default: nil
        }
    }
}

/// The gas of each function's cheapest way from its beginning to its end.
private struct LeastGas {
    private struct Label {
        var opcode: Opcode
        /// The gas at the beginning of an `if`.
        var entry: Int64?
        /// The least gas of a branch to its end.
        var best: Int64?
    }

    /// How often all functions are gone through: what one costs is known when what it calls is.
    private static let maxRounds = 64

    private let module: Module
    private let facts: [FunctionFacts]
    /// By function, imported ones first; nil as long as no way to its end is known.
    private var least: [Int64?]

    init(_ module: Module, _ facts: [FunctionFacts]) {
        self.module = module
        self.facts = facts
        let imported: [Int64?] = module.imports.filter { $0.kind == .function }.map {
            $0.module.utf8.elementsEqual("weft".utf8) && $0.name.utf8.elementsEqual("fetch".utf8)
                ? GasSchedule.hostFetch : GasSchedule.hostCall
        }
        least = imported + [Int64?](repeating: nil, count: module.bodies.count)
    }

    consuming func computed() throws(WasmRefusal) -> [Int64?] {
        for _ in 0..<Self.maxRounds {
            var changed = false
            for body in facts.indices {
                let index = module.importedFunctions + body
                let gas = try cheapestWay(facts[body])
                if gas != least[index] {
                    least[index] = gas
                    changed = true
                }
            }
            if !changed { break }
        }
        return least
    }

    private func cheapestWay(_ facts: FunctionFacts) throws(WasmRefusal) -> Int64? {
        let slots = facts.locals.reduce(0) { $0 + $1.slots }
        var gas: Int64? = Int64(
            (slots + GasSchedule.localsPerGas - 1) / GasSchedule.localsPerGas)
        var labels = [Label(opcode: Op.block)]
        var reader = WasmReader(module.bytes, facts.code)
        var instruction = Instruction()
        while !labels.isEmpty {
            try reader.read(&instruction)
            gas = gas.map { $0 + Int64(instruction.info.gas) }
            let last = labels.count - 1
            switch instruction.opcode {
            case Op.block, Op.loop, Op.if:
                labels.append(Label(opcode: instruction.opcode, entry: gas))
            case Op.else:
                Self.lower(&labels[last].best, gas)
                gas = labels[last].entry
                labels[last].opcode = Op.else
            case Op.end:
                let label = labels.removeLast()
                Self.lower(&gas, label.best)
                if label.opcode == Op.if { Self.lower(&gas, label.entry) }
            case Op.br, Op.brIf, Op.brTable, Op.return:
                let targets =
                    switch instruction.opcode {
                    case Op.brTable: instruction.labels
                    case Op.return: [UInt32(last)]
                    default: [instruction.index]
                    }
                for target in targets where labels[last - Int(target)].opcode != Op.loop {
                    Self.lower(&labels[last - Int(target)].best, gas)
                }
                if instruction.opcode != Op.brIf { gas = nil }
            case Op.unreachable: gas = nil
            case Op.call:
                let callee = least[Int(instruction.index)]
                gas = gas.flatMap { gas in callee.map { gas + $0 } }
            default: break
            }
        }
        return gas
    }

    private static func lower(_ gas: inout Int64?, _ other: Int64?) {
        guard let other else { return }
        gas = min(gas ?? other, other)
    }
}
