// What a node offers to run for others, and when it looks for them itself.

import BlockStore
import Compute
import ContractText
import Multiformats
import Synchronization
import Testing

@testable import Weft

@Suite struct OfferingTests {
    @Test("a contract that was run and is not pinned is offered again after a restart")
    func restart() async throws {
        let base = try TemporaryDirectory()
        func node() async throws -> Node {
            try await Node.start(at: base.path, configuration: PeerFetchTests.configuration)
        }
        let first = try await node()
        let contract = try await first.publish(contract: ContractText.many)
        let other = try await first.publish(contract: ContractText.limits)
        for pin in try await first.store.pins() { try await first.store.unpin(pin.cid) }
        #expect(try await first.call("weft://\(contract)/hello", "you").text == "hello you")
        await first.stop()
        // Twice, the second time without running anything.
        for _ in 0..<2 {
            let again = try await node()
            #expect(again.computation.announced.withLock { $0 } == [])
            await again.computation.announceKept()
            let offered = again.computation.announced.withLock { $0 }
            #expect(offered == [contract.v1] && other != contract)
            await again.stop()
        }
    }

    @Test("a node with too much to do asks peers for what its contracts call, even unknown ones")
    func busy() async throws {
        try await withNode(PeerFetchTests.configuration) { node, _ in
            let contract = try await node.publish(contract: ContractText.many)
            let call = try Call(contract, path: "/hello", gas: 1_000_000_000)
            let computation = node.computation
            #expect(!computation.isWorthAsking(call))
            let work = (0..<64).map { _ in computation.load.begin(call, whole: true) }
            #expect(computation.isWorthAsking(call))
            for work in work { computation.load.end(work) }
            #expect(!computation.isWorthAsking(call))
        }
    }
}
