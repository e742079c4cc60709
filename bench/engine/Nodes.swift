// Calls as users make them: `fetch` of a node that runs them itself and keeps their records.

import Glibc
import Multiformats
import NIOCore
import WasmRules
import Weft

/// Measures calls of a tiny contract, new ones and known ones, and first calls of a large one.
func measureNode(_ repository: String, tiny: String, large: String) async throws {
    var configuration = Configuration()
    configuration.network = .offline
    let node = try await Node.start(at: repository, configuration: configuration)
    let contract = try await publish(file(tiny), repository, node)
    try await measureWarm("weft://\(contract)/echo", node)
    try await measureCold(file(large), repository, node)
    await node.stop()
}

/// Calls a URL; gives what it answers.
@discardableResult
private func call(_ url: String, _ node: Node) async throws -> ByteBuffer {
    let response = try await node.fetch(url)
    guard response.ok else { throw BenchFailure(text: "\(url): status \(response.status)") }
    return try await response.body.collect(upTo: 1 << 20)
}

private func publish(_ bytes: [UInt8], _ repository: String, _ node: Node) async throws -> CID {
    let path = repository + ".wasm"
    guard let stream = fopen(path, "wb") else { throw BenchFailure(text: "\(path) is no file") }
    fwrite(bytes, 1, bytes.count, stream)
    fclose(stream)
    guard let root = try await node.add([path]).roots.first else {
        throw BenchFailure(text: "nothing was added")
    }
    return root.cid
}

private func measureWarm(_ url: String, _ node: Node) async throws {
    var times: [Double] = []
    for number in 0..<20_000 {
        let start = ContinuousClock.now
        try await call("\(url)?\(number)", node)
        times.append(1_000 * milliseconds(start.duration(to: .now)))
    }
    printMedian("new", times.dropFirst(1_000))
    times = []
    for _ in 0..<20_000 {
        let start = ContinuousClock.now
        try await call("\(url)?1", node)
        times.append(1_000 * milliseconds(start.duration(to: .now)))
    }
    printMedian("known", times.dropFirst(1_000))
    let (tasks, each) = (64, 3_000)
    let start = ContinuousClock.now
    try await withThrowingTaskGroup { group in
        for task in 0..<tasks {
            group.addTask { @concurrent in
                for number in 0..<each { try await call("\(url)?\(task)-\(number)", node) }
            }
        }
        try await group.waitForAll()
    }
    let seconds = milliseconds(start.duration(to: .now)) / 1_000
    print("each-second", Double(tasks * each) / seconds)
}

/// The first call of a contract that is in the store, and what of that the compiler takes alone.
private func measureCold(_ module: [UInt8], _ repository: String, _ node: Node) async throws {
    var (cold, compiling, instrumenting, both): ([Double], [Double], [Double], [Double]) =
        ([], [], [], [])
    let engine = try BareEngine.plain.get()
    for round in 0..<9 {
        // A section that nobody reads makes it another contract.
        let bytes = module + [0, 3, 2, UInt8(ascii: "n"), UInt8(ascii: "0") + UInt8(round)]
        let contract = try await publish(bytes, repository, node)
        var start = ContinuousClock.now
        _ = try BareModule(bytes, in: engine)
        compiling.append(milliseconds(start.duration(to: .now)))
        start = .now
        let instrumented = try InstrumentedModule(bytes).bytes
        instrumenting.append(milliseconds(start.duration(to: .now)))
        start = .now
        _ = try BareModule(instrumented, in: engine)
        both.append(milliseconds(start.duration(to: .now)))
        start = .now
        try await call("weft://\(contract)/version", node)
        cold.append(milliseconds(start.duration(to: .now)))
        // The node compiles it once more, which is to disturb nothing that is measured.
        try await Task.sleep(for: .seconds(5) + .milliseconds(Int64(4 * (both.last ?? 0))))
    }
    printMedian("cold", cold[...])
    printMedian("compile", compiling[...])
    printMedian("instrument", instrumenting[...])
    printMedian("compile-instrumented", both[...])
}

private func printMedian(_ name: String, _ values: ArraySlice<Double>) {
    print(name, values.sorted()[values.count / 2])
}
