// The same program bare, with Wasmtime's own fuel and NaNs, and as a contract.

import NIOCore
import WasmEngine
import WasmRules

/// Why there are no figures.
struct BenchFailure: Error {
    var text: String
}

/// Measures one program, and prints a line.
func measureProgram(_ path: String, rounds: Int) async throws {
    let bytes = file(path)
    let plain = try BareModule(bytes, in: BareEngine.plain.get())
    let metered = try BareModule(bytes, in: BareEngine.metered.get())
    let engine = try Engine.shared()
    let program = try Program(bytes, engine: engine)
    let request = ContractRequest(method: "run", gas: 1 << 60)
    var best = [Double](repeating: .infinity, count: 3)
    var gas: Int64 = 0
    var answer: [UInt8] = []
    for _ in 0..<rounds {
        let clock = ContinuousClock()
        for (place, module) in [plain, metered].enumerated() {
            let start = clock.now
            answer = try module.run()
            best[place] = min(best[place], milliseconds(start.duration(to: clock.now)))
        }
        let start = clock.now
        let outcome = try await engine.run(program, request)
        best[2] = min(best[2], milliseconds(start.duration(to: clock.now)))
        gas = outcome.gas
        guard outcome.status == .ok, [UInt8](buffer: outcome.response.body) == answer else {
            throw BenchFailure(
                text: "\(path): \(outcome.status), another answer than without rules")
        }
    }
    let name = path.split(separator: "/").last.map { String($0.prefix { $0 != "." }) } ?? path
    let sum = answer.reversed().map { String(0x100 + Int($0), radix: 16).dropFirst() }.joined()
    print(name, best[0], best[1], best[2], gas, sum)
}
