// Contracts that go to the limits, through `fetch()`: each has an exact end. What the rules end is
// a record that is the same everywhere; what this node does not grant is an error, and no record.

import Compute
import ContractText
import HTTPTypes
import Multiformats
import NIOCore
import NodeCore
import Testing
import WasmRules

@testable import Weft

@Suite struct BadInputTests {
    /// How a call of the contract that goes to the limits ended.
    private struct End {
        let response: Response
        let body: ByteBuffer
        let record: CallRecord

        var outcome: String? { response.headers[.weftOutcome] }
        /// What the contract wrote, as a number.
        var number: Int32? { body.getInteger(at: 0, endianness: .little) }
    }

    /// A node with that contract.
    private struct Limits {
        let node: Node
        let contract: CID

        func call(_ path: String, gas: UInt64 = 1 << 40) async throws -> End {
            let (response, _, body) = try await node.call("weft://\(contract)/\(path)") {
                $0.headers[try #require(HTTPField.Name("Weft-Gas"))] = "\(gas)"
                $0.cache = .reload
            }
            let info = try #require(response.mesh.call)
            let record = try #require(try await node.computation.tree(info.record).first).record
            #expect(info.gas == record.gas)
            return End(response: response, body: body, record: record)
        }

        /// The failure of a call that has no result.
        func failure(_ path: String, gas: UInt64 = 1 << 40) async throws -> FetchError? {
            await #expect(throws: FetchError.self, "\(path)") { try await call(path, gas: gas) }
        }
    }

    private func with(_ body: (Limits) async throws -> Void) async throws {
        try await granting({ _ in }, body)
    }

    /// Runs something with such a node whose settings are others.
    private func granting(
        _ change: (inout Configuration.Compute) -> Void,
        _ body: (Limits) async throws -> Void
    ) async throws {
        var configuration = Configuration.offline
        change(&configuration.compute)
        try await withNode(configuration) { node, _ in
            let contract = try await node.publish(contract: ContractText.limits)
            try await body(Limits(node: node, contract: contract))
        }
    }

    @Test("an endless loop ends with its gas, all of which is used")
    func endlessLoop() async throws {
        try await with { limits in
            for gas in [UInt64(100_000), 10_000_000] {
                let end = try await limits.call("loop", gas: gas)
                #expect(end.response.status == .internalServerError)
                #expect(end.outcome == "out-of-gas")
                #expect(end.record.gas == gas && end.record.ownGas == gas)
                #expect(end.record.output == nil)
            }
        }
    }

    @Test("recursion goes as deep as 256 KiB of frames, and no deeper")
    func recursion() async throws {
        try await with { limits in
            // A frame of `down` takes 64 bytes, and 8 for its parameter and each of two operands.
            var (fine, tooDeep) = (1, 10_000)
            while tooDeep - fine > 1 {
                let depth = (fine + tooDeep) / 2
                let end = try await limits.call("recurse?\(depth)", gas: 1_000_000)
                if end.outcome == nil { fine = depth } else { tooDeep = depth }
            }
            #expect((2_900...3_000).contains(fine), "\(fine)")
            let end = try await limits.call("recurse?\(tooDeep)", gas: 1_000_000)
            #expect(end.response.status == .internalServerError)
            #expect(end.outcome == "stack-exhausted" && end.record.gas == 1_000_000)
            #expect(try await limits.call("recurse?\(fine)", gas: 1_000_000).response.ok)
        }
    }

    @Test("memory grows to 256 MiB for 8,192 gas a page, then not, and never beyond this node's")
    func memory() async throws {
        try await with { limits in
            let first = try await limits.call("grow?1000")
            let second = try await limits.call("grow?2000")
            #expect(first.number == 1 && second.number == 1)
            #expect(second.record.gas - first.record.gas == 1_000 * 8_192)
            #expect(try await limits.call("grow?4095").number == 1)
            #expect(try await limits.call("grow?4096").number == -1)
            let poor = try await limits.call("grow?4095", gas: 10_000_000)
            #expect(poor.outcome == "out-of-gas" && poor.record.gas == 10_000_000)
        }
        try await granting({ $0.memory = 64 << 20 }) { limits in
            let failure = try await limits.failure("grow?1100")
            #expect(failure?.code == .resource)
            #expect(failure?.message.contains("compute.memory") == true)
            #expect(try await limits.call("grow?1000").number == 1)
        }
    }

    @Test("calls that have not all the memory they need beside each other wait for it")
    func sharedMemory() async throws {
        try await granting({ $0.memory = 300 << 20 }) { limits in
            // Each grows to 188 MiB, so that one of them fits at a time.
            let grown = try await withThrowingTaskGroup { group in
                for pages in 3_000..<3_006 {
                    group.addTask { try await limits.call("grow?\(pages)").number }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(grown == Array(repeating: 1, count: 6))
        }
    }

    @Test("4,096 calls of one activation are its limit; 10,000 are a trap that costs all")
    func manyChildren() async throws {
        try await with { limits in
            let most = try await limits.call("children?4096")
            #expect(most.response.ok && most.record.children.count == 4_096)
            let gas: UInt64 = 1 << 40
            for count in [4_097, 10_000] {
                let end = try await limits.call("children?\(count)", gas: gas)
                #expect(end.outcome == "trap" && end.record.gas == gas, "\(count)")
                #expect(end.record.children.isEmpty)
            }
        }
        try await granting({ $0.calls = 100 }) { limits in
            // This node grants fewer: that is no word about the call.
            let failure = try await limits.failure("children?100")
            #expect(failure?.code == .overLimit)
            #expect(failure?.message.contains("compute.calls") == true)
            #expect(try await limits.call("children?99").response.ok)
        }
    }

    @Test("calls lie 64 deep in each other; one more has no result")
    func depth() async throws {
        try await with { limits in
            #expect(try await limits.call("nest?63").response.ok)
            let failure = try await limits.failure("nest?64")
            #expect(failure?.code == .overLimit)
            #expect(failure?.message.contains("64 deep") == true, "\(failure?.message ?? "")")
        }
        try await granting({ $0.calls = 10 }) { limits in
            #expect(try await limits.call("nest?9").response.ok)
            let failure = try await limits.failure("nest?10")
            #expect(failure?.code == .overLimit)
            #expect(failure?.message.contains("compute.calls") == true)
        }
    }

    @Test("a child that traps costs what it was given, and its caller goes on")
    func childTraps() async throws {
        try await with { limits in
            let end = try await limits.call("child")
            #expect(end.response.ok && end.number == 3)
            // The caller said how much it may use: 10,000,000.
            #expect(end.record.gas == end.record.ownGas + 10_000_000)
            let children = try await limits.node.computation.tree(end.record.cid).dropFirst()
            #expect(children.map(\.record.outcome) == [.trap])
            #expect(children.map(\.record.gas) == [10_000_000])
        }
    }

    @Test("an answer larger than this node takes has no result")
    func output() async throws {
        try await granting({ $0.output = 1 << 20 }) { limits in
            #expect(try await limits.call("output?16").body.readableBytes == 1 << 20)
            let failure = try await limits.failure("output?17")
            #expect(failure?.code == .overLimit)
            #expect(failure?.message.contains("compute.output") == true)
        }
    }

    @Test("answers that wait for what they call count as memory")
    func piledOutput() async throws {
        try await granting({ $0.memory = 16 << 20 }) { limits in
            #expect(try await limits.call("pile?9").response.ok)
            let failure = try await limits.failure("pile?60")
            #expect(failure?.code == .resource)
            #expect(failure?.message.contains("compute.memory") == true)
            #expect(limits.node.computation.memory.taken == 0)
        }
    }

    @Test("what a call writes with all that it calls is bounded together")
    func written() async throws {
        try await granting({ $0.written = 1 << 20 }) { limits in
            #expect(try await limits.call("pile?1").response.ok)
            let failure = try await limits.failure("pile?3")
            #expect(failure?.code == .overLimit)
            #expect(failure?.message.contains("compute.written") == true)
        }
    }

    @Test("an answer of peers that is larger than this node takes is refused, too")
    func peersOutput() async throws {
        var modest = PeerFetchTests.configuration
        modest.compute.output = 100_000
        try await withNode(modest) { asker, _ in
            try await withNode(PeerFetchTests.configuration) { first, _ in
                try await withNode(PeerFetchTests.configuration) { second, _ in
                    let contract = try await first.publish(contract: ContractText.limits)
                    try await PeerFetchTests.connect(asker, to: first, second)
                    try await JoinTests.until("both have said what they speak") {
                        let peers = try await asker.mesh.peers()
                        return peers.count == 2 && asker.mesh.hasResponders
                            && peers.allSatisfy { !$0.protocols.isEmpty }
                    }
                    let url = "weft://\(contract)/output"
                    let fits = try await asker.call(url + "?1") { $0.mesh.audit = .quorum(2) }
                    #expect(fits.response.ok && fits.body.readableBytes == 65_536)
                    #expect(fits.response.mesh.call?.confidence.hasPrefix("2 peers agree") == true)
                    let failure = await #expect(throws: FetchError.self) {
                        try await asker.call(url + "?2") { $0.mesh.audit = .quorum(2) }
                    }
                    #expect(failure?.code == .overLimit)
                    #expect(failure?.message.contains("compute.output") == true)
                }
            }
        }
    }

    @Test("content that is longer than a call may read has no result")
    func input() async throws {
        var configuration = Configuration.offline
        configuration.compute.input = 1 << 20
        try await withNode(configuration) { node, _ in
            let contract = try await node.publish(contract: ContractText.many)
            let fits = try await node.addFile([UInt8](repeating: 1, count: 1_000_000))
            let url = "weft://\(contract)/all"
            #expect(try await node.call(url, "ipfs://\(fits)\n").body.readableBytes == 1_000_000)
            let longer = try await node.addFile([UInt8](repeating: 2, count: 1_100_000))
            let failure = await #expect(throws: FetchError.self) {
                try await node.call(url, "ipfs://\(longer)\nipfs://\(fits)\n")
            }
            #expect(failure?.code == .overLimit)
            #expect(failure?.message.contains("compute.input") == true)
        }
    }

    @Test("a URL's query is encoded as browsers do; a NUL in its path is called by its name")
    func urls() async throws {
        try await withNode { node, _ in
            let contract = try await node.publish(contract: ContractText.limits)
            let (response, _, _) = try await node.call(
                "weft://\(contract)/index?name=Zoë Ada&a=\"<%41>'#x y")
            let info = try #require(response.mesh.call)
            let record = try #require(try await node.computation.tree(info.record).first).record
            #expect(record.call.query == "name=Zo%C3%AB%20Ada&a=%22%3C%41%3E'")
            let error = await #expect(throws: FetchError.self) {
                _ = try await node.call("weft://\(contract)/index/a%00b")
            }
            #expect(error?.message.contains("NUL") == true, "\(String(describing: error))")
        }
    }
}
