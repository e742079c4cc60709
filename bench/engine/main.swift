// Figures of the engine of contracts alone: how long a tiny contract takes that is ready, how many
// run in a second, what compiling a module costs. Usage: engine-bench MODULE METHOD [COUNT]

import Glibc
import NIOCore
import WasmEngine

func microseconds(_ duration: Duration) -> Double { Double(duration / .nanoseconds(1)) / 1_000 }

func file(_ path: String) -> [UInt8] {
    guard let stream = fopen(path, "rb") else { return [] }
    defer { fclose(stream) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while case let count = fread(&buffer, 1, buffer.count, stream), count > 0 {
        bytes += buffer[..<count]
    }
    return bytes
}

guard CommandLine.arguments.count >= 3 else {
    print("usage: engine-bench MODULE METHOD [COUNT]")
    exit(2)
}
let module = file(CommandLine.arguments[1])
let method = CommandLine.arguments[2]
let count = CommandLine.arguments.dropFirst(3).first.flatMap { Int($0) } ?? 200_000

let engine = try Engine.shared()
var start = ContinuousClock.now
let program = try Program(module, engine: engine)
print("instrument and compile   \(microseconds(start.duration(to: .now))) µs")
let request = ContractRequest(
    method: method, body: .bytes(ByteBuffer(string: "world")), gas: 1 << 40)

// On one thread of the engine, one after the other.
let times = try await engine.onWorker(RunControl()) {
    let (control, host, limits) = (RunControl(), EmptyHost(), RunLimits())
    var times: [Double] = []
    for _ in 0..<(count / 4) {
        let start = ContinuousClock.now
        _ = try engine.execute(program, request, limits: limits, control: control, host: host)
        times.append(microseconds(start.duration(to: .now)))
    }
    return times.sorted()
}
func figures(_ name: String, _ sorted: [Double]) {
    let (median, late) = (sorted[sorted.count / 2], sorted[sorted.count * 99 / 100])
    print("\(name)\(median) µs median, \(late) µs p99")
}
figures("a call on its thread     ", times)

// From a task, one after the other.
var waits: [Double] = []
for _ in 0..<(count / 20) {
    let start = ContinuousClock.now
    _ = try await engine.run(program, request)
    waits.append(microseconds(start.duration(to: .now)))
}
figures("a call from a task       ", waits.sorted())

// From many tasks at once.
for width in [2, 16, 64] {
    start = ContinuousClock.now
    try await withThrowingTaskGroup { group in
        for _ in 0..<width {
            group.addTask { @concurrent in
                for _ in 0..<(count / width) { _ = try await engine.run(program, request) }
            }
        }
        try await group.waitForAll()
    }
    let seconds = microseconds(start.duration(to: .now)) / 1_000_000
    print("calls from \(width) tasks      \(Int(Double(count) / seconds)) a second")
}
