// Figures of the engine of contracts alone.
//
// Usage: engine-bench call MODULE METHOD [COUNT]
//        engine-bench programs ROUNDS MODULE…
//        engine-bench node REPOSITORY TINY LARGE
//
// The first prints how long a tiny contract takes that is ready, how many run in a second, and what
// compiling a module costs. The second runs the method `run` of each module, as it is in Wasmtime,
// in Wasmtime that counts fuel and makes NaNs canonical, and as a contract, in turn; it prints a
// line for each: its name, three times in milliseconds (the least of the rounds), gas, the answer.
// The third calls contracts as users do, by `fetch` of a node on an empty repository, and prints a
// line of a name and a number for each figure.

import CMimalloc
import Glibc
import WasmEngine

let arguments = CommandLine.arguments
switch arguments.dropFirst().first {
case "call" where arguments.count >= 4:
    try await measureCall(
        arguments[2], arguments[3],
        count: arguments.dropFirst(4).first.flatMap { Int($0) } ?? 200_000)
case "programs" where arguments.count >= 4:
    for path in arguments.dropFirst(3) {
        try await measureProgram(path, rounds: Int(arguments[2]) ?? 5)
    }
case "node" where arguments.count == 5:
    try await measureNode(arguments[2], tiny: arguments[3], large: arguments[4])
default:
    print(
        """
        usage: engine-bench call MODULE METHOD [COUNT] | programs ROUNDS MODULE…
                            | node REPOSITORY TINY LARGE
        """)
    exit(2)
}

func milliseconds(_ duration: Duration) -> Double { Double(duration / .nanoseconds(1)) / 1e6 }

/// The bytes of a file; none if it cannot be read.
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
