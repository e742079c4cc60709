// `weft://` on one node: answers, records, what is remembered, and what this node does not grant.

import Compute
import ContractText
import HTTPTypes
import IPLD
import Multiformats
import NIOCore
import Testing
import WasmEngine

@testable import Weft

@Suite struct ComputationTests {
    @Test("a contract answers, and its record says what came of it")
    func answer() async throws {
        try await withNode { node, _ in
            let contract = try await node.publish(contract: ContractText.many)
            let (response, text, _) = try await node.call("weft://\(contract)/hello", "world")
            #expect(response.status == .ok && text == "hello world")
            #expect(response.headers[.contentType] == "text/plain")
            #expect(response.headers[.contentLength] == "11")
            #expect(response.headers[.setCookie] == nil)
            let info = try #require(response.mesh.call)
            #expect(info.responder == .here)
            #expect(response.headers[.weftGas] == "\(info.gas)")
            #expect(response.headers[.weftRecord] == "\(info.record)")
            let record = try #require(try await node.computation.tree(info.record).first).record
            #expect(record.call.contract == contract && record.call.path == "/hello")
            #expect(record.output?.body == .inline(Array("hello world".utf8)))
            #expect(record.gas == info.gas && record.children.isEmpty)
        }
    }

    @Test("the same call is remembered, across a restart too, and made again when told so")
    func memory() async throws {
        let base = try TemporaryDirectory()
        var node = try await Node.start(at: base.path, configuration: .offline)
        let contract = try await node.publish(contract: ContractText.many)
        let url = "weft://\(contract)/"
        let first = try await node.call(url + "hello", "x")
        let second = try await node.call(url + "hello", "x")
        #expect(second.response.mesh.call?.responder == .memory)
        #expect(second.response.mesh.call?.record == first.response.mesh.call?.record)
        let again = try await node.call(url + "hello", "x") { $0.cache = .reload }
        #expect(again.response.mesh.call?.responder == .here)
        #expect(again.response.mesh.call?.record == first.response.mesh.call?.record)
        let large = try await node.call(url + "much")
        await node.stop()
        node = try await Node.start(at: base.path, configuration: .offline)
        let known = try await node.call(url + "hello", "x")
        #expect(known.response.mesh.call?.responder == .memory && known.text == "hello x")
        let largeAgain = try await node.call(url + "much")
        #expect(largeAgain.response.mesh.call?.responder == .memory)
        #expect(largeAgain.text == large.text && large.text.utf8.count == 131_072)
        await node.stop()
    }

    @Test("calls and content together, in the order of asking, with one record however they ran")
    func siblings() async throws {
        try await withNode { node, _ in
            let contract = try await node.publish(contract: ContractText.many)
            let file = try await node.addFile(Array("content\n".utf8))
            let urls = (0..<20).map { "/hello?\($0)\n" }.joined()
            let body = "\(urls)ipfs://\(file)\nweft://\(contract)/much\nipfs://\(file)/none\n"
            var records: Set<CID> = []
            for _ in 0..<10 {
                let (response, text, _) = try await node.call("weft://\(contract)/all", body) {
                    $0.cache = .reload
                }
                #expect(response.status == .ok)
                #expect(text.hasPrefix(String(repeating: "hello ", count: 20) + "content\n"))
                records.insert(try #require(response.mesh.call).record)
            }
            #expect(records.count == 1)
            let tree = try await node.computation.tree(try #require(records.first))
            try #require(tree.count == 22)
            #expect(tree.map(\.depth) == [0] + Array(repeating: 1, count: 21))
            #expect(tree[3].record.call.query == "2")
            #expect(tree[0].record.reads == [file])
            #expect(tree[0].record.gas == tree.reduce(0) { $0 + $1.record.ownGas })
        }
    }

    @Test("a record is verified by running it again, and a wrong one is found")
    func verification() async throws {
        try await withNode { node, _ in
            let contract = try await node.publish(contract: ContractText.many)
            let (response, _, _) = try await node.call(
                "weft://\(contract)/all", "/hello?a\n/trap\n/none\n/hello?b\n")
            let root = try #require(response.mesh.call).record
            var checks: [CallCheck] = []
            try await node.computation.verify(root, alone: false) { checks.append($0) }
            #expect(checks.count == 4 && checks.allSatisfy { $0.fault == nil })
            checks = []
            try await node.computation.verify(root, alone: true) { checks.append($0) }
            #expect(checks.count == 1 && checks[0].fault == nil)

            let good = checks[0].node.record
            let output = CallOutput(body: .inline(Array("a lie".utf8)))
            let lies = [
                try CallRecord(
                    good.call, outcome: .ok, output: output, gas: good.gas, ownGas: good.ownGas,
                    reads: good.reads, children: good.children),
                try CallRecord(
                    good.call, outcome: .ok, output: good.output, gas: good.gas + 1,
                    ownGas: good.ownGas + 1, reads: good.reads, children: good.children),
                try CallRecord(
                    good.call, outcome: .ok, output: good.output, gas: good.gas,
                    ownGas: good.ownGas, reads: good.reads,
                    children: good.children.reversed()),
                try CallRecord(
                    good.call, outcome: .ok, output: good.output, gas: good.ownGas,
                    ownGas: good.ownGas),
            ]
            for lie in lies {
                let cid = try await node.putBlock(
                    ByteBuffer(bytes: lie.encoded), codec: .dagCBOR)
                checks = []
                try await node.computation.verify(cid, alone: true) { checks.append($0) }
                #expect(checks.first?.fault != nil)
            }
        }
    }

    @Test("records deeper than calls can be are refused, so that a hostile tree ends")
    func deepRecords() async throws {
        try await withNode { node, _ in
            let call = try Call(url: "weft://\(try await node.addFile([0]))/x", gas: 1_000)
            let output = CallOutput(body: .inline([]))
            var cid: CID?
            for depth in 1...CallLimits.maxDepth + 1 {
                let children = cid.map { [$0, $0] } ?? []
                let record = try CallRecord(
                    call, outcome: .ok, output: output, gas: UInt64(depth), ownGas: 1,
                    children: children)
                cid = try await node.putBlock(
                    ByteBuffer(bytes: record.encoded), codec: .dagCBOR)
            }
            let root = try #require(cid)
            await #expect(throws: FetchError.self) { try await node.computation.tree(root) }
        }
    }

    @Test("a record that stands in a tree thousands of times is read and kept once")
    func repeatedRecords() async throws {
        try await withNode { node, _ in
            let call = try Call(url: "weft://\(try await node.addFile([0]))/x", gas: 1_000_000)
            let leaf = try CallRecord(
                call, outcome: .ok,
                output: CallOutput(body: .inline(Array(repeating: 7, count: 32 << 10))), gas: 1,
                ownGas: 1)
            var cid = try await node.putBlock(ByteBuffer(bytes: leaf.encoded), codec: .dagCBOR)
            for gas in [301, 90_301] as [UInt64] {
                let record = try CallRecord(
                    call, outcome: .ok, output: CallOutput(body: .inline([])), gas: gas, ownGas: 1,
                    children: Array(repeating: cid, count: 300))
                cid = try await node.putBlock(
                    ByteBuffer(bytes: record.encoded), codec: .dagCBOR)
            }
            // Each by itself would be 90,000 times 32 KiB: almost 3 GB.
            let tree = try await node.computation.tree(cid)
            #expect(tree.count == 1 + 300 + 90_000)
            let bodies = tree.suffix(300).compactMap { node -> UnsafeRawPointer? in
                guard case .inline(let bytes)? = node.record.output?.body else { return nil }
                return bytes.withUnsafeBytes { $0.baseAddress }
            }
            #expect(bodies.count > 290 && Set(bodies).count == 1)
        }
    }

    @Test("what is no answer has a status, and what nothing ran has no record")
    func statuses() async throws {
        try await withNode { node, _ in
            let contract = try await node.publish(contract: ContractText.many)
            let url = "weft://\(contract)"
            #expect(try await node.call(url + "/").response.status == .noContent)
            let none = try await node.call(url + "/none").response
            #expect(none.status == .notFound && none.mesh.call == nil)
            let text = try await node.addFile(Array("no module".utf8))
            let refused = try await node.call("weft://\(text)/hello").response
            #expect(refused.status == .unprocessableContent && refused.mesh.call == nil)
            for (method, word) in [("trap", "trap"), ("loop", "out-of-gas")] {
                let end = try await node.call("\(url)/\(method)") {
                    $0.headers[try #require(HTTPField.Name("Weft-Gas"))] = "1000000"
                }.response
                #expect(end.status == .internalServerError)
                #expect(end.headers[.weftOutcome] == word)
                #expect(end.mesh.call?.gas == 1_000_000)
            }
            // As a contract sees them that called.
            let seen = [
                "/trap": 3, "/hello": 200, "/none": 404, "weft://\(text)/hello": 422,
                "ipfs://\(text)": 200, "ipfs://\(text)/x": 404, "/loop": 1,
            ]
            for (path, status) in seen {
                let answer = try await node.call("\(url)/outcome", path)
                let found = answer.body.getInteger(at: 0, endianness: .little, as: Int32.self)
                #expect(found == Int32(status), "\(path)")
            }
            for path in ["http://example.org/", "nonsense", "weft://nonsense/x"] {
                let answer = try await node.call("\(url)/outcome", path).response
                #expect(answer.headers[.weftOutcome] == "trap", "\(path)")
            }
        }
    }

    @Test("10,000 calls of one contract end it after the 4,096th")
    func manyCalls() async throws {
        try await withNode { node, _ in
            let contract = try await node.publish(contract: ContractText.many)
            let answer = try await node.call("weft://\(contract)/many") {
                $0.headers[try #require(HTTPField.Name("Weft-Gas"))] = "\(UInt64(1) << 48)"
            }
            #expect(answer.response.headers[.weftOutcome] == "trap")
        }
    }

    @Test("what this node does not grant is an error, and leaves no record")
    func limits() async throws {
        var configuration = Configuration.offline
        configuration.compute.output = 100_000
        configuration.compute.calls = 3
        configuration.compute.input = 1_000_000
        configuration.compute.gas = 1 << 48
        try await withNode(configuration) { node, _ in
            let contract = try await node.publish(contract: ContractText.many)
            let url = "weft://\(contract)"
            func code(_ path: String, _ body: String? = nil) async throws -> FetchError.Code? {
                await #expect(throws: FetchError.self) {
                    try await node.call(url + path, body)
                }?.code
            }
            #expect(try await code("/much") == .overLimit)
            #expect(try await code("/all", "/index?1\n/index?2\n/index?3\n") == .overLimit)
            #expect(try await node.call(url + "/all", "/index?1\n/index?2\n").response.ok)
            #expect(
                try await code("/hello", String(repeating: "x", count: 1_000_001)) == .tooLarge)
            let absent = EncodedBlock([1, 2, 3], codec: .raw).cid
            #expect(try await code("/outcome", "ipfs://\(absent)") == .offline)
        }
        configuration = .offline
        configuration.compute.time = .milliseconds(200)
        configuration.compute.gas = 1 << 48
        try await withNode(configuration) { node, _ in
            let contract = try await node.publish(contract: ContractText.many)
            let error = await #expect(throws: FetchError.self) {
                try await node.call("weft://\(contract)/loop")
            }
            #expect(error?.code == .deadline)
            #expect(error?.message.contains("0.2 seconds (compute.time)") == true)
            let sooner = await #expect(throws: FetchError.self) {
                try await node.call("weft://\(contract)/loop") {
                    $0.mesh.deadline = .milliseconds(50)
                }
            }
            #expect(sooner?.code == .deadline)
            #expect(sooner?.message.contains("0.05 seconds (the request's deadline)") == true)
        }
        configuration = .offline
        configuration.compute.contracts = .off
        try await withNode(configuration) { node, _ in
            let contract = try await node.publish(contract: ContractText.many)
            let error = await #expect(throws: FetchError.self) {
                try await node.call("weft://\(contract)/hello")
            }
            #expect(error?.code == .network)
        }
    }

    @Test("long bodies are content, and the seed belongs to the call")
    func bodiesAndSeeds() async throws {
        try await withNode { node, _ in
            let contract = try await node.publish(contract: ContractText.many)
            let url = "weft://\(contract)"
            let long = String(repeating: "abcdefgh", count: 200_000)
            let answer = try await node.call(url + "/hello", long)
            #expect(answer.text == "hello " + long)
            let content = try await node.addFile(Array(answer.text.utf8))
            let named = HTTPField.Name("Weft-Content").flatMap { answer.response.headers[$0] }
            #expect(named == "\(content)")
            let record = try #require(answer.response.mesh.call).record
            let tree = try await node.computation.tree(record)
            guard case .content(let body)? = tree.first?.record.call.body else {
                Issue.record("the body is not named")
                return
            }
            #expect(body == (try await node.addFile(Array(long.utf8))))
            let one = try await node.call(url + "/seed?1").text
            let other = try await node.call(url + "/seed?2").text
            #expect(one != other)
            #expect(try await node.call(url + "/seed?1") { $0.cache = .reload }.text == one)
        }
    }

    @Test("a program for WASI reads the directory that its request names")
    func directory() async throws {
        try await withNode { node, base in
            let contract = try await node.publish(contract: ContractText.reader)
            try base.write("folder/a.txt", Array("in the folder".utf8))
            let folder = try await node.add([base.path + "/folder"]).roots[0].cid
            let url = "weft://\(contract)/any"
            #expect(try await node.call(url + "?dir=\(folder)").text.hasPrefix("in the folder"))
            let named = try await node.call(url) {
                $0.headers[try #require(HTTPField.Name("Weft-Dir"))] = "\(folder)"
            }
            #expect(named.text.hasPrefix("in the folder"))
            let record = try #require(named.response.mesh.call).record
            #expect(try await node.computation.tree(record)[0].record.reads == [folder])
            let none = try await node.call(url).response
            #expect(none.status == .internalServerError)
        }
    }
}
