// What an engine made of one case.

import Gateway
import IPLD
import Multiformats
import NIOCore
import WasmRules
import Weft

/// How a call went on one engine.
struct ContractRun: Sendable {
    var end: ContractEnd
    var status: Int
    var fields: [ContractField]
    var body: [UInt8]
    var gas: UInt64
    /// What a command wrote to standard error, and why the call trapped.
    var notes: String = ""
    /// The gas by the functions' numbers, or the names of what else it went to, if it was counted.
    var profile: [String: Int64] = [:]

    /// What is not the same as on another engine.
    func differences(from other: ContractRun, _ engine: String, _ otherEngine: String) -> [String] {
        var differences: [String] = []
        func compare(_ what: String, _ mine: String, _ theirs: String) {
            guard mine != theirs else { return }
            differences.append("\(what) is \(mine) on \(engine), \(theirs) on \(otherEngine)")
        }
        compare("the end", end.rawValue, other.end.rawValue)
        compare("the status", "\(status)", "\(other.status)")
        compare("the gas", "\(gas)", "\(other.gas)")
        compare("the number of headers", "\(fields.count)", "\(other.fields.count)")
        for (mine, theirs) in zip(fields, other.fields) {
            compare("a header", "\(mine.name): \(mine.value)", "\(theirs.name): \(theirs.value)")
        }
        if body != other.body {
            differences.append("the body on \(engine) is not that on \(otherEngine)")
        }
        return differences
    }
}

/// V8, by node and the host in contracts/host.
struct NodeEngine {
    static let name = "V8"

    let place: TemporaryFolder

    /// Runs calls one after the other.
    func run(_ job: ContractJob) async throws -> [ContractRun] {
        let kit = "\(place.path)/kit"
        try ContractProject.writeKit(kit)
        let file = "\(place.path)/job.json"
        try WholeFile.write(Array(buffer: JSONText.bytes(of: try value(of: job))), file)
        let output = "\(place.path)/answers.json"
        let errors = "\(place.path)/node.txt"
        // Deep calls of contracts need more of the engine's stack than node usually has.
        let words = ["node", "--stack-size=3900", "\(kit)/host/weft-host.mjs", file]
        guard
            let code = try await ChildProgram(
                words: ["bash", "-c", "ulimit -s 16384; exec \"$@\"", "bash"] + words,
                output: output, errors: errors
            ).run(), ChildProgram.exists("node")
        else {
            throw CommandFailure(
                "node is missing, by which the second engine runs: install nodejs, or use"
                    + " --engine wasmtime")
        }
        guard code == 0 else {
            let text = String(decoding: try WholeFile.read(errors, limit: 1 << 20), as: UTF8.self)
            throw CommandFailure(
                "the second engine failed", trace: text.split(separator: "\n").map(String.init))
        }
        let lines = try WholeFile.read(output, limit: 1 << 30).split(separator: 0x0a)
        guard lines.count == job.cases.count else {
            throw CommandFailure("V8 answered \(lines.count) of \(job.cases.count) cases")
        }
        return try lines.map {
            try Self.run(JSONText.value(of: ByteBuffer(bytes: $0)), job.contract)
        }
    }

    private func value(of job: ContractJob) throws -> Value {
        var contracts: [Value.Entry] = []
        for (cid, module) in job.modules {
            let file = "\(place.path)/\(cid).wasm"
            let profiled = try ContractModule.profiled(module)
            try WholeFile.write(profiled.bytes, file)
            contracts.append(
                Value.Entry(
                    cid,
                    .object([
                        "file": .string(file),
                        "instantiationGas": .string("\(profiled.instantiationGas)"),
                    ])))
        }
        return .object([
            "contracts": .map(contracts),
            "content": .map(job.content.map { Value.Entry($0.key, .string($0.value)) }),
            "calls": .list(
                job.cases.map { item in
                    .object([
                        "url": .string("weft://\(job.contract)\(item.target)"),
                        "method": .string(item.method),
                        "headers": .list(
                            item.headers.map { .list([.string($0.name), .string($0.value)]) }),
                        "body": .string(Multibase.base64Pad.encodeBody(item.body)),
                        "gas": .string("\(job.gas(of: item))"),
                    ])
                }),
        ])
    }

    private static func run(_ answer: Value, _ contract: String) throws -> ContractRun {
        let ends: [UInt64: ContractEnd] = [0: .ok, 1: .outOfGas, 2: .stackExhausted, 4: .trap]
        let reason = answer["reason"]?.text ?? ""
        guard let end = answer["outcome"]?.count.flatMap({ ends[$0] }),
            let gas = answer["gas"]?.text.flatMap({ UInt64($0) })
        else { throw CommandFailure("V8 gave no result: \(reason)") }
        var profile: [String: Int64] = [:]
        if case .map(let contracts)? = answer["profile"] {
            for entry in contracts {
                guard case .map(let counts) = entry.value else { continue }
                for count in counts {
                    // What other contracts use is not divided any further.
                    let name = entry.key == contract ? count.key : "contract \(entry.key)"
                    profile[name, default: 0] += count.value.text.flatMap { Int64($0) } ?? 0
                }
            }
        }
        let body = try answer["body"]?.text.map { try Multibase.base64Pad.decodeBody($0) } ?? []
        return ContractRun(
            end: end, status: Int(answer["status"]?.count ?? 0),
            fields: (answer["headers"]?.elements ?? []).map { pair in
                ContractField(name: pair[0]?.text ?? "", value: pair[1]?.text ?? "")
            },
            body: body, gas: gas,
            notes: (answer["errors"]?.text ?? "") + (reason.isEmpty ? "" : reason + "\n"),
            profile: profile)
    }
}
