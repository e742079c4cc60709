// What siblings come to does not depend on who is first: the same call, whose content comes in
// different orders, leaves the same record.

import ContractText
import IPLD
import Multiformats
import NIOCore
import Testing

@testable import Weft

@Suite struct TimingTests {
    @Test("siblings whose content comes in another order leave the same record")
    func order() async throws {
        let words = (0..<5).map { "part \($0)\n" }
        let files = words.map { EncodedBlock(Array($0.utf8), codec: .raw) }
        var records: Set<CID> = []
        for places in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 4, 0, 3, 1]] {
            // Later ones wait longer; whatever order they come in then, one record has to come out.
            let server = try await TestServer(
                TestGateway.honest(TestFile(of: files)) { request, steps in
                    let file = files.firstIndex { request.path.hasSuffix("\($0.cid)") } ?? 0
                    return [.wait(.milliseconds(Int64(25 * places[file])))] + steps
                })
            var configuration = Configuration()
            configuration.routing.delegated = []
            configuration.mesh.reach = .off
            configuration.providers.http = [server.url]
            try await withNode(configuration) { node, _ in
                let contract = try await node.publish(contract: ContractText.many)
                let lines = files.map { "ipfs://\($0.cid)\n/hello?\($0.cid)\n" }.joined()
                let answer = try await node.call("weft://\(contract)/all", lines)
                #expect(answer.text == words.map { $0 + "hello " }.joined())
                records.insert(try #require(answer.response.mesh.call).record)
            }
            #expect(server.requests.count >= files.count)
            try await server.stop()
        }
        #expect(records.count == 1)
    }
}

extension TestFile {
    /// Several files of one block each, of which the first is the root.
    fileprivate init(of files: [EncodedBlock]) {
        root = files[0].cid
        content = files[0].bytes
        blocks = Dictionary(uniqueKeysWithValues: files.map { ($0.cid.hash, $0.bytes) })
    }
}
