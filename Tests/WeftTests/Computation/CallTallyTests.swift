// What an operator sees of calls: how they ended, and that the log tells of those for which the
// machine was too small without letting callers fill it.

import ContractText
import HTTPTypes
import Logging
import Synchronization
import Testing

@testable import Weft

@Suite struct CallTallyTests {
    /// Keeps the lines that are written.
    private final class Lines: Sendable {
        let lines = Mutex<[String]>([])

        var logger: Logger { Logger(label: "test") { _ in Handler(lines: self) } }

        private struct Handler: LogHandler {
            let lines: Lines
            var metadata: Logger.Metadata = [:]
            var logLevel = Logger.Level.notice

            subscript(metadataKey key: String) -> Logger.Metadata.Value? {
                get { metadata[key] }
                set { metadata[key] = newValue }
            }

            func log(event: LogEvent) {
                let details = event.metadata?.map { " \($0.key)=\($0.value)" }.joined() ?? ""
                lines.lines.withLock { $0.append("\(event.level) \(event.message)\(details)") }
            }
        }
    }

    private func withLimits(
        _ log: Lines = Lines(), _ change: (inout Configuration.Compute) -> Void,
        _ body: (_ node: Node, _ call: (String, String) async -> Void) async throws -> Void
    ) async throws {
        let base = try TemporaryDirectory()
        var configuration = Configuration.offline
        change(&configuration.compute)
        let node = try await Node.start(
            at: base.path, configuration: configuration, logger: log.logger)
        do {
            let contract = try await node.publish(contract: ContractText.limits)
            try await body(node) { path, gas in
                // How it ends is what is counted.
                _ = try? await node.call("weft://\(contract)/\(path)") {
                    $0.headers[.weftGas] = gas
                }
            }
        } catch {
            await node.stop()
            throw error
        }
        await node.stop()
    }

    @Test("each way in which a call ends is counted, and what is remembered is no new one")
    func endings() async throws {
        try await withLimits {
            $0.output = 100_000
        } _: { node, call in
            let gas = "10000000000"
            for path in ["index", "index", "none", "trap", "output?2", "nest?70"] {
                await call(path, gas)
            }
            await call("loop", "100000")
            await call("recurse?9000", "1000000")
            let figures = node.computation.figures
            #expect(
                figures.counts.endings == [
                    .ok: 1, .notCalled: 1, .trap: 1, .output: 1, .depth: 1, .outOfGas: 1,
                    .stackExhausted: 1,
                ])
            // The trap and the loop used all that they had, the recursion up to a million.
            #expect((10_000_100_000..<10_002_000_000).contains(figures.counts.gas))
            #expect(figures.running == 0 && figures.waiting == 0)
            #expect(figures.memory.bytes == 0 && figures.memory.limit == 1 << 30)
            #expect(figures.remembered >= 4)
        }
    }

    @Test("a machine that is too small is told of once, however many calls it fails")
    func shortage() async throws {
        let log = Lines()
        try await withLimits(log) {
            $0.memory = 4 << 20
        } _: { node, call in
            for number in 1000..<1010 {
                await call("grow?\(number)", "1000000000")
                await call("trap?\(number)", "1000000")
            }
            #expect(node.computation.figures.counts.endings == [.memory: 10, .trap: 10])
            let lines = log.lines.withLock { $0 }.filter { $0.contains("no result") }
            #expect(lines.count == 1 && lines.first?.hasPrefix("warning") == true, "\(lines)")
            #expect(lines.first?.contains("compute.memory") == true, "\(lines)")
            let finding = Finding.contracts(.on, node.computation.figures.counts)
            #expect(finding.verdict == .note)
            #expect(finding.details.contains("memory: 10 (compute.memory)"), "\(finding)")
        }
        let counts = CallCounts()
        #expect(Finding.contracts(.on, counts).verdict == .good)
    }

    @Test(
        "a call that takes longer than this node lets it is told from one whose caller has no time")
    func time() async throws {
        let long = "\(UInt64(1) << 48)"
        try await withLimits {
            $0.time = .milliseconds(200)
        } _: { node, call in
            await call("loop", long)
            #expect(node.computation.figures.counts.endings == [.time: 1])
        }
        try await withNode { node, _ in
            let contract = try await node.publish(contract: ContractText.limits)
            await #expect(throws: FetchError.self) {
                _ = try await node.call("weft://\(contract)/loop") {
                    $0.headers[.weftGas] = long
                    $0.mesh.deadline = .milliseconds(100)
                }
            }
            let endings = node.computation.figures.counts.endings
            #expect(endings.values.reduce(0, +) == 1 && endings[.time] == nil, "\(endings)")
        }
    }
}
