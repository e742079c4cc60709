// weft contract test

import ArgumentParser
import ContractKit
import Gateway
import IPLD
import WasmRules
import Weft

struct TestContract: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "test", abstract: "Run a contract's cases, and show its gas by function.",
        discussion: """
            The cases run on Wasmtime, as a node runs them, and on V8, the engine of browsers (by \
            node); output, status and gas must be the same. A case is a file tests/NAME.request: a \
            line such as 'POST /greet?name=Ada', headers, and behind an empty line the body. \
            tests/NAME.response says what must come: the status (or 'out of gas', 'stack \
            exhausted', 'trap'), headers, 'gas: N' if that matters, and \
            the body. Long or binary bodies are files NAME.request.body and NAME.response.body. \
            Files and folders in tests/content can be read by the contract; their CIDs are written \
            {cid:NAME}. Modules there can be called.

            With --json each line is an object with case, ok, end, status, gas and problems, and \
            the last one has engines, and profile: function and gas.


            """
                + Examples.text(
                    ("weft contract test", "build and test the one in this folder"),
                    ("weft contract test --update", "write down what comes, if it is right"),
                    ("weft contract test --module a.wasm hello", "test what is built already")))

    @OptionGroup var common: CommonOptions

    @Option(help: "Test this module instead of building one.", completion: .file())
    var module: String?

    @Option(help: "The gas that each case may use, unless it has a header weft-gas.")
    var gas: UInt64 = 1 << 32

    @Option(help: "The engine: wasmtime, which nodes use, or v8, by node; both if none is named.")
    var engine: EngineArgument?

    @Flag(help: "Write the responses that come into the files of the cases.")
    var update = false

    @Argument(help: "The contract's folder.", completion: .directory)
    var folder = "."

    func run() async throws {
        let project = try ContractProject(folder)
        let built: ContractModule
        var file = project.moduleFile
        if let module {
            built = try ContractModule(file: module)
            file = module
        } else {
            built = try await project.build()
        }
        let place = try TemporaryFolder()
        let isFine = try await CaseNode.with(place) { node in
            let job = try await ContractJob(project, built, file: file, gas: gas, node)
            var runs: [(engine: String, runs: [ContractRun])] = []
            if engine != .v8 { runs.append((CaseNode.engine, try await node.run(job))) }
            if engine != .wasmtime {
                runs.append((NodeEngine.name, try await NodeEngine(place: place).run(job)))
            }
            return try report(job, built, runs)
        }
        try StandardOutput.flush()
        if !isFine { throw ExitCode(ExitStatus.failed.rawValue) }
    }

    /// Shows what came, and says whether it is what had to come.
    private func report(
        _ job: ContractJob, _ module: ContractModule,
        _ engines: [(engine: String, runs: [ContractRun])]
    ) throws -> Bool {
        var isFine = true
        var profile: [String: Int64] = [:]
        for (index, item) in job.cases.enumerated() {
            let runs = engines.map { ($0.engine, $0.runs[index]) }
            // The last engine is the one that counts by function and keeps what was written.
            guard let (_, last) = runs.last, let (name, first) = runs.first else { continue }
            var problems: [String] = []
            if let (other, run) = runs.dropFirst().first {
                problems = run.differences(from: first, other, name)
            }
            if update, problems.isEmpty { try Self.write(last, item) }
            if !update { problems += item.expected?.differences(from: last) ?? [] }
            if !problems.isEmpty { isFine = false }
            if last.end == .ok { profile.merge(last.profile, uniquingKeysWith: +) }
            try show(item, last, problems)
        }
        try show(profile, of: module, engines.map(\.engine))
        return isFine
    }

    private func show(_ item: ContractCase, _ run: ContractRun, _ problems: [String]) throws {
        if common.json {
            return try StandardOutput.line(
                JSONText.text(
                    of: .object([
                        "case": .string(item.name), "ok": .bool(problems.isEmpty),
                        "end": .string(run.end.rawValue), "status": .number(run.status),
                        "gas": .number(run.gas), "problems": .list(problems.map { .string($0) }),
                    ])))
        }
        let mark = problems.isEmpty ? "✓" : "✗"
        let end = run.end == .ok ? "\(run.status)" : run.end.rawValue
        let gas = StandardOutput.dim("\(HumanNumber.text(run.gas)) gas")
        try StandardOutput.line("\(mark) \(StandardOutput.bold(item.name))  \(end)  \(gas)")
        for problem in problems { try StandardOutput.line("    \(problem)") }
        for line in run.notes.split(separator: "\n") {
            try StandardOutput.line(StandardOutput.dim("    \(line)"))
        }
    }

    private func show(
        _ profile: [String: Int64], of module: ContractModule, _ engines: [String]
    ) throws {
        let rows = profile.sorted { ($0.value, $1.key) > ($1.value, $0.key) }.map { name, gas in
            (UInt32(name).map { module.name(ofFunction: $0) } ?? name, gas)
        }
        if common.json {
            return try StandardOutput.line(
                JSONText.text(
                    of: .object([
                        "engines": .list(engines.map { .string($0) }),
                        "profile": .list(
                            rows.map {
                                .object(["function": .string($0.0), "gas": .number($0.1)])
                            }),
                    ])))
        }
        let names = engines.joined(separator: " and ")
        guard !rows.isEmpty else { return try StandardOutput.line("on \(names)") }
        let total = rows.reduce(0) { $0 + $1.1 }
        try StandardOutput.line("")
        try StandardOutput.line("gas by function, without what it calls; the same on \(names)")
        for (name, gas) in rows.prefix(12) {
            let share = "\(gas * 100 / max(total, 1)) %"
            let padding = String(repeating: " ", count: max(0, 5 - share.count))
            let short = name.count > 70 ? name.prefix(69) + "…" : name[...]
            let number = StandardOutput.dim(HumanNumber.text(gas))
            try StandardOutput.line("\(padding)\(share)  \(short)  \(number)")
        }
        if rows.count > 12 {
            let rest = rows.dropFirst(12).reduce(0) { $0 + $1.1 }
            try StandardOutput.line(
                StandardOutput.dim("       \(rows.count - 12) others  \(HumanNumber.text(rest))"))
        }
    }

    /// Writes down what came. A body that is no short text goes into a file of its own.
    private static func write(_ run: ContractRun, _ item: ContractCase) throws {
        var text = run.end == .ok ? "\(run.status)\n" : "\(run.end.rawValue)\n"
        for field in run.fields { text += "\(field.name): \(field.value)\n" }
        text += "gas: \(run.gas)\n"
        var bytes = Array(text.utf8)
        let bodyFile = item.responseFile + ".body"
        let isText =
            run.body.count <= 16 << 10 && !run.body.contains(0)
            && String(validating: run.body, as: UTF8.self) != nil
        if WholeFile.kind(of: bodyFile) == .file || !isText {
            try WholeFile.write(run.body, bodyFile)
        } else if run.end == .ok {
            bytes += [0x0a] + run.body
        }
        try WholeFile.write(bytes, item.responseFile)
    }
}

/// An engine on the command line.
enum EngineArgument: String, ExpressibleByArgument, CaseIterable {
    case wasmtime, v8
}

/// What engines are given to run.
struct ContractJob {
    /// The CID of the contract that is tested.
    let contract: String
    /// The modules that can be called, by CID.
    let modules: [String: [UInt8]]
    /// The files and folders that can be read, by CID.
    let content: [String: String]
    let cases: [ContractCase]
    private let gas: UInt64

    /// Gives a node what the cases of a project need.
    init(
        _ project: ContractProject, _ module: ContractModule, file: String, gas: UInt64,
        _ node: CaseNode
    ) async throws {
        self.gas = gas
        contract = try await node.add(file)
        var modules = [contract: module.bytes]
        var content: [String: String] = [:]
        var cids: [String: String] = [:]
        let folder = "\(project.folder)/tests/content"
        if WholeFile.kind(of: folder) == .folder {
            for name in try WholeFile.names(in: folder) {
                let path = "\(folder)/\(name)"
                let cid = try await node.add(path)
                cids[name] = cid
                content[cid] = path
                if name.hasSuffix(".wasm") { modules[cid] = try ContractModule(file: path).bytes }
            }
        }
        self.modules = modules
        self.content = content
        cases = try ContractCase.all(in: "\(project.folder)/tests", cids: cids)
    }

    /// The gas that a case may use.
    func gas(of item: ContractCase) -> UInt64 {
        item.headers.first { $0.name == "weft-gas" }.flatMap { UInt64($0.value) } ?? gas
    }
}

extension ContractModule {
    /// A module that counts the gas of each of its functions.
    static func profiled(_ bytes: [UInt8]) throws -> InstrumentedModule {
        do {
            return try InstrumentedModule(profiling: bytes)
        } catch {
            throw CommandFailure("\(error)")
        }
    }
}
