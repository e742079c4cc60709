// Brief calls run on the thread that asks for them. Whatever comes of that, it is what one of the
// engine's threads would have brought.

import Compute
import ContractText
import HTTPTypes
import Multiformats
import NIOCore
import Testing
import WasmEngine

@testable import Weft

@Suite struct BriefCallTests {
    /// A call of a method whose contract is ready and which has been brief before.
    private static func call(_ contract: CID, _ path: String, gas: UInt64) throws -> Call {
        try Call(url: "weft://\(contract)\(path)", gas: gas)
    }

    /// Runs a call on the thread of this task; gives its result if that could be done.
    private static func briefly(_ call: Call, _ node: Node) -> Weft.CallResult? {
        guard
            case .result(let result, _)? = node.computation.runBriefly(
                call, .unused, .network, Trace(), nil)
        else { return nil }
        return result
    }

    /// Runs a call on one of the engine's threads.
    private static func apart(_ call: Call, _ node: Node) async throws -> Weft.CallResult? {
        let engine = try Engine.shared()
        let control = RunControl()
        let run = CallRun(node.computation, engine, .unused, .network, control, Trace())
        let end = try await engine.onWorker(control) {
            try run.perform(call, control, depth: 1)
        }
        guard case .result(let result, _) = end else { return nil }
        return result
    }

    @Test("what has been brief is run at once, and leaves the record that it would leave elsewhere")
    func brief() async throws {
        try await withNode { node, _ in
            let contract = try await node.publish(contract: ContractText.many)
            let call = try Self.call(contract, "/hello?1", gas: 1_000_000)
            #expect(Self.briefly(call, node) == nil, "nothing is known of it")
            _ = try await Self.apart(call, node)
            let result = try #require(Self.briefly(call, node))
            #expect(result.cid == (try await Self.apart(call, node))?.cid)
            #expect(result.record.outcome == .ok)
        }
    }

    @Test("a trap and the end of the gas are results; what may be more gas is not")
    func ends() async throws {
        try await withNode { node, _ in
            let contract = try await node.publish(contract: ContractText.many)
            for path in ["/trap", "/loop"] {
                let short = try Self.call(contract, path, gas: 10_000)
                _ = try await Self.apart(short, node)
                let gas = UInt64(Engine.briefGas)
                let most = try Self.call(contract, path, gas: gas)
                let result = try #require(Self.briefly(most, node))
                #expect(result.cid == (try await Self.apart(most, node))?.cid)
                #expect(result.record.gas == gas)
            }
            let long = try Self.call(contract, "/loop", gas: UInt64(Engine.briefGas) + 1)
            // The averages that say what is brief are of little gas again.
            for number in 0..<40 {
                _ = try await Self.apart(
                    Self.call(contract, "/loop?\(number)", gas: 10_000), node)
            }
            // On a busy machine one of them may have taken too long, and be tried again later.
            #expect((0..<100).contains { _ in node.computation.load.isBrief(long) })
            #expect(Self.briefly(long, node) == nil)
            #expect(!node.computation.load.isBrief(long), "it is not tried again at once")
            let end = try #require(try await Self.apart(long, node))
            #expect(end.record.outcome == .outOfGas && end.record.gas == long.gas)
        }
    }

    @Test("an instance that costs more than a brief run may use is made by the engine's threads")
    func instance() async throws {
        try await withNode { node, _ in
            let text = ContractText.native("(func (export \"run\"))", pages: "200")
            let contract = try await node.publish(contract: text)
            // With so little gas it ends at once, which looks brief.
            _ = try await Self.apart(Self.call(contract, "/run", gas: 1_000), node)
            let call = try Self.call(contract, "/run", gas: 100_000_000)
            #expect(node.computation.load.isBrief(call))
            #expect(Self.briefly(call, node) == nil)
            #expect(try await Self.apart(call, node)?.record.outcome == .ok)
        }
    }

    @Test("what would have to wait is left to the engine's threads, and its answer is the same")
    func waiting() async throws {
        try await withNode { node, _ in
            let many = try await node.publish(contract: ContractText.many)
            // It calls nothing while its body is empty.
            _ = try await node.call("weft://\(many)/all", "")
            let urls = "/hello\n/hello?2\n"
            let (response, text, _) = try await node.call("weft://\(many)/all", urls)
            #expect(response.status == .ok && text == "hello hello ")
            let record = try #require(response.mesh.call?.record)
            #expect(try await node.computation.tree(record).count == 3)
            // And this one's output fits into its record, or does not.
            let limits = try await node.publish(contract: ContractText.limits)
            for count in [1, 2, 1, 2] {
                let answer = try await node.call("weft://\(limits)/output?\(count)") {
                    $0.cache = .reload
                }
                #expect(answer.body.readableBytes == count << 16)
            }
        }
    }
}
