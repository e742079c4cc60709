// What several want at a time and one begins: nobody's leaving, trap or deadline takes it from the
// others.

import Compute
import ContractText
import HTTPTypes
import Multiformats
import NIOCore
import Synchronization
import Testing

@testable import WasmEngine
@testable import Weft

@Suite struct SharedWorkTests {
    /// A fetch of a method that runs until its gas is used.
    private static func loop(gas: Int64) -> ContractFetch {
        ContractFetch(url: "/loop", verb: "GET", headers: [], body: ByteBuffer(), gas: gas)
    }

    @Test("a call that two activations make goes on when the one that began it is stopped")
    func callee() async throws {
        try await withNode { node, _ in
            let contract = try await node.publish(contract: ContractText.many)
            let engine = try Engine.shared()
            let control = RunControl()
            let run = CallRun(node.computation, engine, .unused, .network, control, Trace())
            let (one, other) = (RunControl(within: control), RunControl(within: control))
            let status = try await engine.onWorker(control) {
                let first = CallHost(run, contract, one, depth: 2)
                let second = CallHost(run, contract, other, depth: 2)
                let fetch = Self.loop(gas: 500_000_000)
                let left = try first.begin(fetch)
                let answer = try second.begin(fetch)
                one.cancel()
                left.abandon()
                return try answer.value().status
            }
            #expect(status == 1, "it is out of gas, as it would be alone")
        }
    }

    @Test("a call ends when the last activation that wants it is stopped")
    func unwanted() async throws {
        try await withNode { node, _ in
            let contract = try await node.publish(contract: ContractText.many)
            let engine = try Engine.shared()
            let control = RunControl()
            let run = CallRun(node.computation, engine, .unused, .network, control, Trace())
            let caller = RunControl(within: control)
            let host = CallHost(run, contract, caller, depth: 2)
            // It would take minutes.
            let answer = try await engine.onWorker(control) {
                try host.begin(Self.loop(gas: 1 << 45))
            }
            let end = Task { try await engine.onWorker(control) { try answer.value() } }
            caller.cancel()
            await #expect(throws: CancellationError.self) { _ = try await end.value }
            #expect(!control.isCancelled)
        }
    }

    @Test("a long answer of a call that an earlier process made is there for who calls it again")
    func remembered() async throws {
        let base = try TemporaryDirectory()
        var node = try await Node.start(at: base.path, configuration: .offline)
        let contract = try await node.publish(contract: ContractText.many)
        let url = "weft://\(contract)/"
        let first = try await node.call(url + "all", "/much\n")
        await node.stop()
        node = try await Node.start(at: base.path, configuration: .offline)
        // The same callee, below another call.
        let again = try await node.call(url + "all?again", "/much\n")
        #expect(again.text == first.text && again.text.utf8.count == 131_072)
        let children = try await node.computation.tree(
            try #require(again.response.mesh.call).record)
        #expect(children.count == 2 && children[1].time == nil, "it did not run again")
        // And once more from memory, which may have been filled long ago.
        let third = try await node.call(url + "all?third", "/much\n")
        #expect(third.text == first.text)
        await node.stop()
    }

    /// A node whose provider takes every question and says nothing, with the URL of a contract.
    private static func withSilentProvider(
        _ body: (_ node: Node, _ url: String, _ provider: TestServer) async throws -> Void
    ) async throws {
        let server = try await TestServer { _ in [.stall] }
        var configuration = PeerFetchTests.configuration
        configuration.providers.http = [server.url]
        try await withNode(configuration) { node, _ in
            let contract = try await node.publish(contract: ContractText.many)
            try await body(node, "weft://\(contract)/", server)
        }
        try await server.stop()
    }

    @Test("reads that wait for a silent provider keep no other call from running")
    func silentReads() async throws {
        try await Self.withSilentProvider { node, url, server in
            _ = try await node.call(url + "hello", "warm")
            // More than there are threads.
            let missing = (0..<200 as Range<UInt8>).map { number in
                "ipfs://\(CID(.raw, Multihash.sha2_256(of: [number].span.bytes)))\n"
            }
            let slow = Task {
                try await node.call(url + "all", missing.joined()) {
                    $0.mesh.deadline = .seconds(50)
                }
                .text
            }
            try await JoinTests.until("somebody is asked") { !server.requests.isEmpty }
            for number in 0..<20 {
                let quick = try await node.call(url + "loop?\(number)") {
                    $0.mesh.deadline = .seconds(10)
                    $0.headers[try #require(HTTPField.Name("weft-gas"))] = "1000000"
                }
                #expect(quick.response.headers[try #require(.init("weft-outcome"))] == "out-of-gas")
            }
            slow.cancel()
            _ = await slow.result
        }
    }

    /// How calls have failed so far.
    private final class Failures: Sendable {
        private let state = Mutex<[FetchError.Code?]>([])

        var codes: [FetchError.Code?] { state.withLock { $0 } }

        func add(_ error: any Error) { state.withLock { $0.append((error as? FetchError)?.code) } }
    }

    @Test(
        "calls that wait for what nobody has leave threads to others, and one too many is refused",
        arguments: [true, false])
    func crowd(isContractHere: Bool) async throws {
        let places = try Engine.shared().workers.places
        try await JoinTests.until("end of what waited before") {
            places.free == Workers.maxDistant
        }
        let taken = Workers.maxDistant - 3
        for _ in 0..<taken { try places.take(having: 0) }
        defer { for _ in 0..<taken { places.giveBack() } }
        try await Self.withSilentProvider { node, url, server in
            let missing = CID(.raw, Multihash.sha2_256(of: [1 as UInt8].span.bytes))
            let refused = Failures()
            let waiting = (0..<5).map { number in
                Task {
                    do {
                        if isContractHere {
                            _ = try await node.call(url + "all?\(number)", "ipfs://\(missing)\n")
                        } else {
                            _ = try await node.call("weft://\(missing)/hello?\(number)")
                        }
                    } catch {
                        refused.add(error)
                    }
                }
            }
            try await JoinTests.until("refusal of two") { refused.codes.count == 2 }
            #expect(refused.codes == [.resource, .resource])
            #expect(places.free == 0)
            #expect(try await node.call(url + "hello", "you").text == "hello you")
            #expect(try await node.call(url + "all", "/index\n/much\n").text.utf8.count == 131_072)
            for task in waiting { task.cancel() }
            for task in waiting { await task.value }
            try await JoinTests.until("places of those that went") { places.free == 3 }
            #expect(refused.codes.count == 5)
        }
    }

    @Test("a contract is fetched for who has time, though one who had less asked for it first")
    func loading() async throws {
        let file = TestFile(try ContractText.assemble(ContractText.many))
        let honest = TestGateway.honest(file)
        let server = try await TestServer { $0.number == 0 ? [.stall] : honest($0) }
        var configuration = PeerFetchTests.configuration
        configuration.providers.http = [server.url]
        try await withNode(configuration) { node, _ in
            let url = "weft://\(file.root)/hello"
            let first = Task {
                try await node.call(url, "x") { $0.mesh.deadline = .milliseconds(800) }.text
            }
            try await JoinTests.until("the contract is asked for") { !server.requests.isEmpty }
            let second = try await node.call(url, "y") { $0.mesh.deadline = .seconds(30) }
            #expect(second.text == "hello y")
            await #expect(throws: FetchError.self) { _ = try await first.value }
        }
        try await server.stop()
    }
}
