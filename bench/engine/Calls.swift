// Many calls of a tiny contract.

import NIOCore
import WasmEngine

/// Measures calls of a method that is ready to run.
func measureCall(_ path: String, _ method: String, count: Int) async throws {
    let engine = try Engine.shared()
    let start = ContinuousClock.now
    let program = try Program(file(path), engine: engine)
    print("instrument and compile   \(milliseconds(start.duration(to: .now))) ms")
    let request = ContractRequest(
        method: method, body: .bytes(ByteBuffer(string: "world")), gas: 1 << 40)

    // On one thread of the engine, one after the other.
    let times = try await engine.onWorker(RunControl()) {
        let (control, host, limits) = (RunControl(), EmptyHost(), RunLimits())
        var times: [Double] = []
        for _ in 0..<(count / 4) {
            let start = ContinuousClock.now
            _ = try engine.execute(program, request, limits: limits, control: control, host: host)
            times.append(1_000 * milliseconds(start.duration(to: .now)))
        }
        return times.sorted()
    }
    printFigures("a call on its thread     ", times)

    // From a task, one after the other.
    var waits: [Double] = []
    for _ in 0..<(count / 20) {
        let start = ContinuousClock.now
        _ = try await engine.run(program, request)
        waits.append(1_000 * milliseconds(start.duration(to: .now)))
    }
    printFigures("a call from a task       ", waits.sorted())

    // From many tasks at once.
    for width in [2, 16, 64] {
        let start = ContinuousClock.now
        try await withThrowingTaskGroup { group in
            for _ in 0..<width {
                group.addTask { @concurrent in
                    for _ in 0..<(count / width) { _ = try await engine.run(program, request) }
                }
            }
            try await group.waitForAll()
        }
        let seconds = milliseconds(start.duration(to: .now)) / 1_000
        print("calls from \(width) tasks      \(Int(Double(count) / seconds)) a second")
    }
}

private func printFigures(_ name: String, _ sorted: [Double]) {
    let (median, late) = (sorted[sorted.count / 2], sorted[sorted.count * 99 / 100])
    print("\(name)\(median) µs median, \(late) µs p99")
}
