// The Swift of docs/library.md: this file is where it is compiled and run, and a test sees that the
// document shows the same lines.

import ContractText
import Foundation
import HTTPTypes
import Multiformats
import NIOCore
import NIOHTTP1
import Testing
import Weft

func share(_ folder: String, from node: Node) async throws -> String {
    let added = try await node.add([folder])
    let url = "ipfs://\(added.roots[0].cid)/readme.txt"

    let response = try await node.fetch(url)
    var size = 0
    for try await bytes in response.body {  // verified; pulled as fast as you read
        size += bytes.readableBytes
    }
    return "\(url): \(size) bytes of \(response.headers[.contentType] ?? "something")"
}

func share(_ folder: String, keepingIn directory: String) async throws -> String {
    let node = try await Node.start(at: directory)
    do {
        let text = try await share(folder, from: node)
        await node.stop()
        return text
    } catch {
        await node.stop()  // in any case: a node holds threads, files and connections
        throw error
    }
}

func look(for url: String, with node: Node) async throws -> String {
    do {
        let response = try await node.fetch(url, mesh: MeshOptions(deadline: .seconds(10)))
        return String(buffer: try await response.body.collect(upTo: 1 << 20))
    } catch let error as FetchError where error.code == .notFound {
        return error.trace.map(\.description).joined(separator: "\n")
    }
}

func ask(_ contract: String, toGreet name: String, with node: Node) async throws -> String {
    var request = Request("weft://\(contract)/hello", method: .post)
    request.body = ResponseBody(ByteBuffer(string: name))
    request.mesh.audit = .quorum(2)  // two peers have to agree, or this node computes it itself
    request.mesh.maxPrice = 1_000  // credits for 1,000 units of gas: the usual price

    let response = try await node.fetch(request)
    guard let call = response.mesh.call else {
        return "nothing ran: \(response.status)"  // no such method, or no contract
    }
    let answer = String(buffer: try await response.body.collect(upTo: 1 << 20))
    return "\(answer), for \(call.gas) gas, \(call.confidence)"
}

func answerOnce(on topic: String, with node: Node) async throws {
    let questions = try await node.subscribe(to: topic)
    for await question in questions where question.author != node.peer {
        try await node.publish(Array("heard you".utf8), to: topic)
        break  // the subscription ends when nobody holds it any more
    }
}

@Suite struct LibraryGuideTests {
    @Test("what the guide shows is what is compiled here") func same() throws {
        let root = URL(filePath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let guide = try String(contentsOf: root.appending(path: "docs/library.md"), encoding: .utf8)
        let source = try String(contentsOf: URL(filePath: #filePath), encoding: .utf8)
        let blocks = guide.components(separatedBy: "```swift\n").dropFirst().map {
            $0.components(separatedBy: "\n```")[0]
        }
        #expect(blocks.count == 4)
        for block in blocks {
            let lines = block.components(separatedBy: "\n")
            let code = lines.drop { $0.isEmpty || $0.hasPrefix("import ") }.joined(separator: "\n")
            #expect(source.contains("\n" + code + "\n"), "\(code)")
        }
    }

    @Test func runs() async throws {
        let base = try TemporaryDirectory()
        let folder = base.path + "/album"
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true)
        try Data("twelve bytes".utf8).write(to: URL(filePath: folder + "/readme.txt"))
        let text = try await share(folder, keepingIn: base.path + "/repository")
        #expect(text.hasSuffix("readme.txt: 12 bytes of text/plain; charset=utf-8"))

        let router = try await TestServer { _ in [.head(.notFound)] }
        var configuration = Configuration()
        configuration.routing.delegated = [router.url]
        configuration.providers.http = []
        let node = try await Node.start(at: base.path + "/other", configuration: configuration)
        let cid = "bafkreieq5jui4j25lacwomsqgjeswwl3y5zcdrresptwgmfylxo2depppq"
        let trace = try? await look(for: "ipfs://\(cid)", with: node)
        #expect(trace?.contains("providers of \(cid)") == true)
        await node.stop()
        try await router.stop()
    }

    @Test func calls() async throws {
        try await withNode { node, _ in
            let contract = "\(try await node.publish(contract: ContractText.many))"
            let text = try await ask(contract, toGreet: "Ada", with: node)
            #expect(text.hasPrefix("hello Ada, for ") && text.contains(" gas, computed here"))
            let none = "\(try await node.addFile(Array("no module".utf8)))"
            let nothing = try await ask(none, toGreet: "Ada", with: node)
            #expect(nothing.hasPrefix("nothing ran: 422"))
        }
    }

    @Test func topics() async throws {
        try await withNode { mine, _ in
            try await withNode { theirs, _ in
                let there = try await theirs.mesh.listen(
                    on: [Multiaddr(text: "/ip4/127.0.0.1/tcp/0")])
                try await mine.mesh.connect(to: try #require(there.last))
                let heard = try await mine.subscribe(to: "lobby")
                let answering = Task { try await answerOnce(on: "lobby", with: theirs) }
                while try await mine.mesh.topicPeers(of: Array("lobby".utf8)).isEmpty {
                    await Task.yield()
                }
                try await mine.publish([1], to: "lobby")
                for await message in heard where message.author == theirs.peer {
                    #expect(message.data == Array("heard you".utf8))
                    break
                }
                try await answering.value
            }
        }
    }
}
