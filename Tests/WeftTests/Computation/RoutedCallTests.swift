// Calls on real connections: who runs them, what of them is spread over peers, and what becomes of
// those that nobody wants any more.

import BlockStore
import Compute
import ContractText
import HTTPTypes
import IPLD
import Multiformats
import NIOCore
import NodeCore
import Peering
import Synchronization
import Testing
import Wire

@testable import LyingWorker
@testable import Weft

/// Nodes for tests of calls between them.
enum CallNodes {
    /// A contract with a method that takes a while, besides those of ``ContractText/many``.
    static let slow =
        String(ContractText.many.dropLast()) + """
              (func (export "burn") (local $n i32)
                (local.set $n (i32.const 1500000))
                (loop $next
                  (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
                (call $seed (i32.const 0) (i32.const 8)) (call $write (i32.const 0) (i32.const 8))))
            """

    static func configuration(_ change: (inout Configuration) -> Void) -> Configuration {
        var configuration = PeerFetchTests.configuration
        change(&configuration)
        return configuration
    }

    /// Starts nodes, connects the first to all others, and stops them.
    static func run(
        _ configurations: [Configuration], _ body: ([Node]) async throws -> Void
    ) async throws {
        var bases: [TemporaryDirectory] = []
        var nodes: [Node] = []
        do {
            for configuration in configurations {
                bases.append(try TemporaryDirectory())
                nodes.append(
                    try await Node.start(
                        at: bases[bases.count - 1].path, configuration: configuration))
            }
            for other in nodes.dropFirst() {
                try await PeerFetchTests.connect(nodes[0], to: other)
            }
            try await JoinTests.until("word of who runs calls") {
                let peers = try await nodes[0].mesh.peers()
                return peers.allSatisfy { !$0.protocols.isEmpty }
            }
            try await body(nodes)
        } catch {
            for node in nodes { await node.stop() }
            throw error
        }
        for node in nodes { await node.stop() }
    }

    static let usual = configuration { _ in }
    /// Nothing runs there.
    static let idle = configuration { $0.compute.contracts = .off }
}

/// Does what its node does, but for what a test does instead.
struct OtherWorker: CallWorker {
    let node: Node
    /// Whether it looks for what others have answered before it runs a call; it finds nothing.
    var looks = false
    let instead:
        @Sendable (Call, RunPurpose, @escaping @Sendable (CallRecord?) -> Void) ->
            (@Sendable () -> Void)

    func start(
        _ call: Call, _ purpose: RunPurpose, done: @escaping @Sendable (CallRecord?) -> Void
    ) -> @Sendable () -> UInt64 {
        let stop = instead(call, purpose, done)
        return {
            stop()
            return 0
        }
    }

    var queue: Duration { .zero }
    func replay(_ activation: ReplayOrder) async -> Replay? {
        await node.computation.replay(activation)
    }
    func records(_ cids: [CID], from peer: PeerID?) async -> [[UInt8]]? {
        await node.computation.records(cids, from: peer)
    }
    func convicted(_ peer: PeerID, by evidence: Evidence) {
        node.computation.convicted(peer, by: evidence)
    }
    func refuted(_ right: CallRecord?) { node.computation.refuted(right) }
    func examine(file: [UInt8]) async -> ProofFinding {
        await node.computation.examine(file: file)
    }
    func mayRecall(_ call: Call) -> Bool { looks }
    func recall(_ call: Call) async -> ResultHistory? { nil }
    func vouched(_ answer: CallAnswer, via peer: PeerID?) {}
    func disbelieve(_ record: CallRecord) {}
    func keep(_ receipt: Receipt) throws { try node.computation.keep(receipt) }
    func changed(_ change: BalanceChange) { node.computation.changed(change) }
}

@Suite(.serialized, .timeLimit(.minutes(10))) struct RoutedCallTests {
    private func gas(_ gas: Int) -> (inout Request) throws -> Void {
        { $0.headers[try #require(HTTPField.Name("weft-gas"))] = "\(gas)" }
    }

    @Test("where nothing runs peers are asked; without any the error says that nobody runs it")
    func asking() async throws {
        try await CallNodes.run([CallNodes.idle, CallNodes.usual]) { nodes in
            #expect(!nodes[0].mesh.protocols.contains(CallProtocol.name))
            #expect(nodes[1].mesh.protocols.contains(CallProtocol.name))
            let contract = try await nodes[1].publish(contract: ContractText.many)
            let answer = try await nodes[0].call("weft://\(contract)/hello", "peers")
            #expect(answer.text == "hello peers")
            #expect(answer.response.mesh.call?.responder == .peer(nodes[1].mesh.peer))
        }
        try await CallNodes.run([CallNodes.idle, CallNodes.idle]) { nodes in
            let contract = try await nodes[1].publish(contract: ContractText.many)
            let error = await #expect(throws: FetchError.self) {
                try await nodes[0].call("weft://\(contract)/hello")
            }
            #expect(error?.code == .network)
            #expect(error?.description.contains("knows no peer that does") == true)
            let own = await #expect(throws: FetchError.self) {
                try await nodes[1].call("weft://\(contract)/hello") {
                    $0.mesh.audit = .selfExecution
                }
            }
            #expect(own?.code == .notSupported)
        }
    }

    @Test("a node that is connected to nobody who runs a contract finds one in the DHT")
    func finding() async throws {
        func configuration(by others: Node..., runs: Bool) -> Configuration {
            CallNodes.configuration {
                $0.mesh.listen = ["/ip4/127.0.0.1/tcp/0"]
                $0.mesh.bootstrap = others.flatMap { $0.mesh.addresses.map(\.description) }
                $0.compute.contracts = runs ? .on : .off
            }
        }
        try await withNode(configuration(runs: false)) { first, _ in
            try await first.listen()
            try await withNode(configuration(by: first, runs: true)) { second, _ in
                let contract = try await second.publish(contract: ContractText.many)
                try await second.listen()
                _ = try await second.call("weft://\(contract)/hello")
                try await withNode(configuration(by: first, runs: false)) { third, _ in
                    try await third.listen()
                    let key = CID(.raw, CallOffer.providerKey(of: contract))
                    try await JoinTests.until("word of it in the DHT") {
                        try await !third.mesh.providers(
                            of: key, limit: 1, within: .seconds(120)
                        ).isEmpty
                    }
                    if try await third.mesh.peers().contains(where: { $0.peer == second.peer }) {
                        try await third.mesh.disconnect(from: second.peer)
                    }
                    let answer = try await third.call("weft://\(contract)/hello", "stranger")
                    #expect(answer.text == "hello stranger")
                    #expect(answer.response.mesh.call?.responder == .peer(second.peer))
                }
            }
        }
    }

    @Test("what a contract calls is spread over peers, and nothing of it is vouched for")
    func spreading() async throws {
        try await CallNodes.run([Configuration](repeating: CallNodes.usual, count: 4)) { nodes in
            for other in nodes.dropFirst() { _ = try await nodes[0].mesh.ping(other.peer) }
            let contract = try await nodes[1].publish(contract: CallNodes.slow)
            let body = (1...40).map { "/burn?\($0)\n" }.joined()
            let call = try Call(
                url: "weft://\(contract)/all", body: .inline(Array(body.utf8)), gas: 1 << 40)
            let asking = CallAsking(MeshOptions())
            let end = try await withCheckedThrowingContinuation { continuation in
                _ = nodes[0].computation.run(call, asking) { continuation.resume(with: $0) }
            }
            guard case .result(let result, _) = end else {
                Issue.record("it has a result")
                return
            }
            // The same as anywhere.
            let alone = try await nodes[3].computation.run(
                call, policy: .network, deadline: nil, trace: Trace())
            guard case .result(let other, _) = alone else {
                Issue.record("it has a result")
                return
            }
            #expect(result.record == other.record && other.share.isNone)
            #expect(result.share.calls > 0 && result.share.calls <= 40)
            #expect(result.share.errorRate > 0 && result.share.amount > 0)
            #expect(nodes[0].computation.memo.record(of: call.cid) == nil)
            #expect(nodes[3].computation.memo.record(of: call.cid) == other.cid)
            let tree = try await nodes[0].computation.tree(result.cid)
            #expect(tree.count == 41)
            for check in tree { #expect(check.record.outcome == .ok) }
            let (accounts, _) = try await nodes[0].computation.balances()
            #expect(accounts.contains { $0.account.balance < 0 })
            // What this node runs for a peer runs here wholly.
            let before = nodes[2].computation.load.activations
            let served = await withCheckedContinuation { continuation in
                _ = nodes[2].computation.start(call, .peer(nodes[0].mesh.peer, mayRecall: false)) {
                    continuation.resume(returning: $0)
                }
            }
            #expect(served == other.record)
            #expect(nodes[2].computation.memo.record(of: call.cid) == other.cid)
            #expect(nodes[2].computation.load.activations > before)
        }
    }

    @Test("a peer that lies about a part of a call is found out, and the whole is right")
    func lyingChild() async throws {
        try await CallNodes.run([Configuration](repeating: CallNodes.usual, count: 4)) { nodes in
            let contract = try await nodes[1].publish(contract: CallNodes.slow)
            nodes[2].mesh.serveCalls(by: LyingWorker(nodes[2].computation))
            let body = (1...12).map { "/burn?\($0)\n" }.joined()
            let call = try Call(
                url: "weft://\(contract)/all", body: .inline(Array(body.utf8)), gas: 1 << 40)
            var options = MeshOptions()
            options.audit = .quorum(3)
            let asking = CallAsking(options)
            let end = try await withCheckedThrowingContinuation { continuation in
                _ = nodes[0].computation.run(call, asking) { continuation.resume(with: $0) }
            }
            let alone = try await nodes[3].computation.run(
                call, policy: .network, deadline: nil, trace: Trace())
            guard case .result(let result, _) = end, case .result(let other, _) = alone else {
                Issue.record("it has a result")
                return
            }
            #expect(result.record == other.record)
            let directory = nodes[0].repository.evidenceDirectory
            try await JoinTests.until("proof") {
                (try? Files.names(in: directory))?.isEmpty == false
            }
        }
    }

    @Test("the same call at the same time runs once, and whoever leaves leaves it to the others")
    func merging() async throws {
        try await CallNodes.run([CallNodes.usual, CallNodes.idle, CallNodes.idle]) { nodes in
            try await PeerFetchTests.connect(nodes[1], to: nodes[2])
            let contract = try await nodes[0].publish(contract: CallNodes.slow)
            let url = "weft://\(contract)/burn"
            let here = nodes[0].computation
            let texts = try await withThrowingTaskGroup(of: String.self) { group in
                for _ in 0..<30 { group.addTask { try await nodes[0].call(url).text } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(texts.count == 30 && Set(texts).count == 1)
            #expect(here.load.activations == 1)
            // Two peers at once.
            async let one = nodes[1].call(url + "?2").text
            async let two = nodes[2].call(url + "?2").text
            let both = try await [one, two]
            #expect(both[0] == both[1])
            #expect(here.load.activations == 2)
        }
        try await withNode(CallNodes.configuration { $0.compute.time = .seconds(300) }) { node, _ in
            let contract = try await node.publish(contract: CallNodes.slow)
            let calls = (0..<3).map { _ in
                Task {
                    try await node.call("weft://\(contract)/loop", nil) {
                        $0.headers[try #require(HTTPField.Name("weft-gas"))] = "\(UInt64(1) << 48)"
                    }
                }
            }
            try await JoinTests.until("three who wait for a run") {
                node.computation.underway.waiting == 3 && node.computation.memory.taken > 0
            }
            for call in calls.prefix(2) { call.cancel() }
            for call in calls.prefix(2) {
                await #expect(throws: CancellationError.self) { try await call.value }
            }
            #expect(node.computation.underway.waiting == 1)
            #expect(node.computation.memory.taken > 0, "it runs for the third")
            calls[2].cancel()
            await #expect(throws: CancellationError.self) { try await calls[2].value }
            try await JoinTests.until("end of the run") { node.computation.memory.taken == 0 }
        }
    }

    @Test("a price that is too high is not paid, one that is allowed is; slots are offered")
    func price() async throws {
        let dear = CallNodes.configuration {
            $0.compute.price = 3_000
            $0.compute.slots = 3
        }
        try await CallNodes.run([CallNodes.idle, dear]) { nodes in
            let contract = try await nodes[1].publish(contract: ContractText.many)
            let url = "weft://\(contract)/hello"
            await #expect(throws: FetchError.self) { try await nodes[0].call(url) }
            let paid = try await nodes[0].call(url) {
                $0.mesh.maxPrice = 3_000
                $0.mesh.value = 1_000_000
            }
            let info = try #require(paid.response.mesh.call)
            #expect(info.amount == info.gas * 3)
            let less = await #expect(throws: FetchError.self) {
                try await nodes[0].call(url) { $0.mesh.maxPrice = 2_999 }
            }
            #expect(less?.code == .network)
        }
    }

    @Test("a call that is over at once is answered at once, also after others' answers were sought")
    func lookingFirst() async throws {
        try await CallNodes.run([CallNodes.idle, CallNodes.usual]) { nodes in
            let contract = try await nodes[1].publish(contract: ContractText.many)
            nodes[1].mesh.serveCalls(
                by: OtherWorker(node: nodes[1], looks: true) { call, _, done in
                    let output = CallOutput(body: .inline(Array("at once".utf8)))
                    done(try? CallRecord(call, outcome: .ok, output: output, gas: 1, ownGas: 1))
                    return {}
                })
            for number in 0..<3 {
                let answer = try await nodes[0].call("weft://\(contract)/hello?\(number)") {
                    $0.mesh.audit = Audit.none
                    // Whatever happens next at the other node is later than this.
                    $0.mesh.deadline = .milliseconds(900)
                }
                #expect(answer.text == "at once")
            }
        }
    }

    @Test("who stalls is not waited for, and is told that he need not go on")
    func hedging() async throws {
        try await CallNodes.run([CallNodes.idle, CallNodes.usual, CallNodes.usual]) { nodes in
            let contract = try await nodes[1].publish(contract: ContractText.many)
            let counts = Mutex((begun: 0, stopped: 0))
            nodes[1].mesh.serveCalls(
                by: OtherWorker(node: nodes[1]) { _, _, _ in
                    counts.withLock { $0.begun += 1 }
                    return { counts.withLock { $0.stopped += 1 } }
                })
            // It is nearer, as far as is known, and so it is asked first.
            _ = try await nodes[0].mesh.ping(nodes[1].peer)
            for number in 0..<3 {
                let answer = try await nodes[0].call("weft://\(contract)/hello?\(number)") {
                    try gas(100_000)(&$0)
                    $0.mesh.audit = Audit.none
                }
                #expect(answer.response.mesh.call?.responder == .peer(nodes[2].mesh.peer))
            }
            #expect(counts.withLock { $0.begun } > 0)
            try await JoinTests.until("stop of each") {
                counts.withLock { $0.stopped == $0.begun }
            }
        }
    }

    @Test("a run that nobody waits for any more is broken off in the engine")
    func interruption() async throws {
        let patient = CallNodes.configuration { $0.compute.time = .seconds(300) }
        try await CallNodes.run([CallNodes.idle, patient]) { nodes in
            let contract = try await nodes[1].publish(contract: ContractText.many)
            let call = Task {
                try await nodes[0].call("weft://\(contract)/loop", nil, gas(1 << 48))
            }
            try await JoinTests.until("run") { nodes[1].computation.memory.taken > 0 }
            call.cancel()
            await #expect(throws: (any Error).self) { try await call.value }
            try await JoinTests.until("end of the run") {
                nodes[1].computation.memory.taken == 0 && nodes[1].computation.load.count == 0
            }
        }
    }
}

@Suite struct CallLoadTests {
    private func record(_ call: Call, gas: UInt64) throws -> CallRecord {
        try CallRecord(
            call, outcome: .ok, output: CallOutput(body: .empty), gas: gas, ownGas: gas)
    }

    private func call(_ path: String, gas: UInt64 = 1_000_000_000) throws -> Call {
        try Call(EncodedBlock([1], codec: .raw).cid, path: path, gas: gas)
    }

    @Test("what was measured counts, for each method by itself, and for others the machine's speed")
    func speed() throws {
        let load = CallLoad(slots: 2)
        let (quick, slow) = (try call("/quick"), try call("/slow"))
        #expect(load.expectedGas(of: quick) == nil)
        #expect(load.capacity(for: quick, loading: .zero).speed == CallLoad.usualSpeed)
        load.note(try record(slow, gas: 100_000_000), took: .milliseconds(200))
        #expect(load.speed == 500_000_000)
        #expect(load.expectedGas(of: slow) == 100_000_000)
        #expect(load.expectedTime(of: slow) == .milliseconds(200))
        load.note(try record(quick, gas: 1_000), took: .microseconds(10))
        #expect(load.expectedTime(of: quick) == .microseconds(10))
        #expect(load.capacity(for: quick, loading: .zero).speed == 100_000_000)
        #expect(load.capacity(for: try call("/other"), loading: .zero).speed == 500_000_000)
    }

    @Test("what a call calls takes its time too, and less of it where others may do a part")
    func called() throws {
        let load = CallLoad(slots: 2)
        let (leaf, parent) = (try call("/leaf"), try call("/parent"))
        let child = try record(leaf, gas: 100_000_000)
        load.note(child, took: .milliseconds(200))
        let record = try CallRecord(
            parent, outcome: .ok, output: CallOutput(body: .empty), gas: 600_000_000,
            ownGas: 100_000_000, children: [child.cid])
        load.note(record, took: .seconds(1))
        // A fifth of a second by itself, and a second for what it calls.
        #expect(load.capacity(for: parent, loading: .zero).speed == 500_000_000)
        #expect(load.capacity(for: parent, loading: .zero, sharers: 2).speed == 857_142_857)
    }

    @Test("what has begun makes others wait, and so does a module that has to come first")
    func queue() throws {
        let load = CallLoad(slots: 2)
        let slow = try call("/slow")
        load.note(try record(slow, gas: 100_000_000), took: .milliseconds(200))
        let work = (0..<4).map { _ in load.begin(slow, whole: true) }
        #expect(load.queue == .milliseconds(400) && load.count == 4)
        #expect(load.capacity(for: slow, loading: .milliseconds(5)).queue == .milliseconds(405))
        for work in work { load.end(work) }
        #expect(load.queue == .zero && load.count == 0)
    }

    @Test("so many of peers' calls run at a time as are offered, the others in their order")
    func line() {
        let line = PeerLine(slots: 2)
        let begun = Mutex([Int]())
        let gone = Mutex([Int]())
        let ends = Mutex<[Int: @Sendable () -> Void]>([:])
        let stops = (0..<5).map { number in
            line.enter { end in
                begun.withLock { $0.append(number) }
                ends.withLock { $0[number] = end }
                return { end() }
            } gone: {
                gone.withLock { $0.append(number) }
            }
        }
        #expect(begun.withLock { $0 } == [0, 1])
        #expect(stops[3]() == .zero)
        #expect(gone.withLock { $0 } == [3])
        ends.withLock { $0[0] }?()
        #expect(begun.withLock { $0 } == [0, 1, 2])
        #expect(stops[1]() > .zero)
        #expect(begun.withLock { $0 } == [0, 1, 2, 4])
    }

    @Test("lines have an end: who finds one full is sent away, or asks nobody")
    func fullLines() {
        let line = PeerLine(slots: 1, maxWaiting: 1)
        let begun = Mutex([Int]())
        let gone = Mutex([Int]())
        let ends = Mutex([@Sendable () -> Void]())
        for number in 0..<3 {
            _ = line.enter { end in
                begun.withLock { $0.append(number) }
                ends.withLock { $0.append(end) }
                return {}
            } gone: {
                gone.withLock { $0.append(number) }
            }
        }
        #expect(begun.withLock { $0 } == [0] && gone.withLock { $0 } == [2])
        ends.withLock { $0.removeFirst() }()
        #expect(begun.withLock { $0 } == [0, 1])

        let asking = AskingLine(places: 1, maxWaiting: 2)
        let asked = Mutex([Int]())
        for number in 0..<4 {
            asking.enter {
                asked.withLock { $0.append(number) }
                // The third is not wanted any more when it is its turn.
                return number != 2
            }
        }
        #expect(asked.withLock { $0 } == [0])
        asking.leave()
        #expect(asked.withLock { $0 } == [0, 1])
        asking.leave()
        asking.enter {
            asked.withLock { $0.append(4) }
            return true
        }
        #expect(asked.withLock { $0 } == [0, 1, 2, 4])
    }
}
