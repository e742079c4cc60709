// weft contract inspect

import ArgumentParser
import Gateway
import IPLD
import NIOCore
import WasmRules
import Weft

struct InspectContract: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "Show what a contract offers, needs and costs.",
        discussion: """
            Prints methods, imports, features, sizes and gas; or, if the module cannot be a \
            contract, why not, where, and what to tell the compiler. The gas of a method is that \
            of the cheapest way through it, with the instance that each call makes; 'weft contract \
            test' counts what real requests cost. With --json an object with bytes, \
            instrumented, kind, methods, imports, features, functions, instructions, largest, \
            memory, instance and rules is printed.


            """
                + Examples.text(
                    ("weft contract inspect hello.wasm", "a file"),
                    ("weft contract inspect CID", "a published contract")))

    @OptionGroup var common: CommonOptions

    @Option(help: "Give up after this time, such as 30s.")
    var deadline: DeadlineArgument?

    @Argument(help: "A module's file, or its CID.", completion: .file())
    var contract: String

    func run() async throws {
        let bytes =
            switch WholeFile.kind(of: contract) {
            case .file: try WholeFile.read(contract, limit: WasmLimits.maxModuleBytes + 1)
            case .folder:
                throw CommandFailure(
                    "'\(contract)' is a folder; name a module in it", status: .usage)
            case .nothing: try await fetched()
            }
        let module = try ContractModule(bytes)
        let entries = try Self.entries(module)
        if common.json {
            return try StandardOutput.line(JSONText.text(of: Self.report(module, entries)))
        }
        for (title, text) in Self.lines(module, entries) {
            let padded = title + String(repeating: " ", count: max(0, 10 - title.count))
            try StandardOutput.line("\(StandardOutput.bold(padded)) \(text)")
        }
    }

    private func fetched() async throws -> [UInt8] {
        var query = [(name: "arg", value: ContentArgument.path(contract))]
        if let deadline { query.append(("timeout", deadline.text)) }
        let file = ModuleBytes()
        try await LocalClient.with(common) { client in
            _ = try await client.content(APICall("/api/v0/cat", query)) {
                try await file.append($0)
            }
        }
        return await file.bytes
    }

    private static func report(_ module: ContractModule, _ entries: [Entry]) -> Value {
        let survey = module.survey
        let memory = module.instrumented.memory
        return .object([
            "bytes": .number(module.bytes.count),
            "instrumented": .number(module.instrumented.bytes.count),
            "kind": .string(module.isCommand ? "command" : "native"),
            "methods": .list(
                entries.map { entry in
                    .object([
                        "name": .string(entry.name),
                        "gas": entry.gas.map { .number($0) } ?? .null,
                    ])
                }),
            "imports": .list(
                module.instrumented.imports.map { .string("\($0.module).\($0.name)") }),
            "features": .list(survey.features.map { .string("\($0.name)") }),
            "functions": .number(survey.functionCount),
            "instructions": .number(survey.instructionCount),
            "largest": survey.largest.map { .number($0.bytes) } ?? .null,
            "memory": memory.map { .number(UInt64($0.minimum) << 16) } ?? .null,
            "instance": .number(module.instrumented.instantiationGas),
            "rules": .number(GasSchedule.version),
        ])
    }

    /// What URLs reach, with the gas of the cheapest call.
    private typealias Entry = (name: String, gas: Int64?)

    private static func entries(_ module: ContractModule) throws -> [Entry] {
        let gas = try module.survey.leastGas()
        return zip(module.survey.functions, gas).compactMap { function, gas in
            let gas = gas.map { $0 + module.instrumented.instantiationGas }
            if module.isCommand { return function.name == "_start" ? ("every path", gas) : nil }
            return module.methods.contains(function) ? ("/\(function.name)", gas) : nil
        }
    }

    private static func lines(
        _ module: ContractModule, _ entries: [Entry]
    ) -> [(title: String, text: String)] {
        let survey = module.survey
        let size = HumanBytes.text(UInt64(module.bytes.count))
        let grown = HumanBytes.text(UInt64(module.instrumented.bytes.count))
        var lines = [
            (
                "kind",
                module.isCommand
                    ? "a WASI command, run for every path" : "native interface, version 1"
            ),
            ("size", "\(size), of at most 4 MiB; \(grown) when instrumented"),
        ]
        for entry in entries {
            let gas = entry.gas.map { "at least \(HumanNumber.text($0)) gas" } ?? "never ends"
            lines.append(("method", "\(entry.name)  \(StandardOutput.dim(gas))"))
        }
        var imports: [String: [String]] = [:]
        for entry in module.instrumented.imports {
            imports[entry.module, default: []].append(entry.name)
        }
        for (host, names) in imports.sorted(by: { $0.key < $1.key }) {
            lines.append(("imports", "\(host): \(names.sorted().joined(separator: ", "))"))
        }
        let features = survey.features.map { "\($0.name)" }.joined(separator: ", ")
        lines.append(("features", features.isEmpty ? "the first version alone" : features))
        var code =
            "\(HumanNumber.text(survey.functionCount))"
            + (survey.functionCount == 1 ? " function," : " functions,")
            + " \(HumanNumber.text(survey.instructionCount)) instructions"
        if let largest = survey.largest {
            let size = HumanBytes.text(UInt64(largest.bytes))
            code += "; the largest has \(size): \(module.name(ofFunction: largest.function))"
        }
        lines.append(("code", code))
        if let memory = module.instrumented.memory {
            let least = HumanBytes.text(UInt64(memory.minimum) << 16)
            let most = UInt64(memory.maximum ?? WasmLimits.maxMemoryPages) << 16
            lines.append(("memory", "\(least), may grow to \(HumanBytes.text(most))"))
        }
        let instance = HumanNumber.text(module.instrumented.instantiationGas)
        lines.append(("instance", "\(instance) gas for each call"))
        return lines
    }
}

/// A module that arrives in pieces.
private actor ModuleBytes {
    private(set) var bytes: [UInt8] = []

    func append(_ piece: ByteBuffer) throws {
        bytes += piece.readableBytesView
        guard bytes.count <= WasmLimits.maxModuleBytes else {
            throw CommandFailure("it is larger than a contract can be (4 MiB)")
        }
    }
}
