// The pages of `weft up` in two browsers: what one visitor has, or computes, another gets.

import ContractText
import Foundation
import Testing

extension OwnPagesTests {
    /// The first visitor has seen the film, the second one its beginning, when the node is stopped.
    @Test("a film plays from the node, and from another browser when the node is stopped")
    func filmOfTwo() throws {
        // So slowly that the second visitor's browser cannot read the whole film ahead from it.
        let shown = try Shown(bandwidth: "1MiB")
        defer { shown.node.stop() }
        let report = try shown.browse(
            "film",
            [
                "start": shown.pages, "film": "\(shown.pages)video/#\(shown.film)/film.mp4",
                "node": shown.node.process.processIdentifier,
            ], by: "two_browsers.py")
        #expect((report["faults"] as? [String]) == [])
        for (name, isOver) in [("first", true), ("second", false), ("end", true)] {
            let picture = report[name] as? [String: Any] ?? [:]
            #expect(picture["width"] as? Int == 640 && picture["fault"] == nil, "\(report)")
            #expect(picture["isOver"] as? Bool == isOver, "\(name): \(report)")
        }
        func bytes(_ what: String, _ when: String, _ kind: String) -> Int {
            let peers = report[when] as? [[String: Any]] ?? []
            return peers.filter { $0["kind"] as? String == kind }
                .reduce(0) { $0 + ($1[what] as? Int ?? 0) }
        }
        #expect(bytes("bytesFetched", "before", "node") > 0, "\(report)")
        #expect(report["after"].map { "\($0)".contains("node") } == false, "\(report)")
        let given = bytes("bytesFetched", "after", "page")
        #expect(given > 200_000, "a part of the film came from the first visitor: \(report)")
        #expect(bytes("bytesServed", "given", "page") >= given)
    }

    /// The playground asks the node and a page of the other browser, then a page there that lies.
    @Test("a page of another browser runs calls, and one that lies is named")
    func callsOfTwo() throws {
        let shown = try Shown()
        defer { shown.node.stop() }
        let module = try shown.place.write(
            "many.wasm", Data(try ContractText.assemble(ContractText.many)))
        let contract = try shown.place.weft("add", "-q", module).output
        let liar = DocumentationTests.root.appending(path: "Tests/Browsers/liar.js").path
        let report = try shown.browse(
            "calls", ["url": "\(shown.pages)playground/#\(contract)/hello", "liar": liar],
            by: "two_browsers.py")
        #expect((report["faults"] as? [String]) == [])
        #expect(report["agreed"] as? String == "hello ", "\(report)")
        let served = report["served"] as? String ?? ""
        #expect(served.contains("run here for others") && served.contains("ok"), "\(report)")
        let said = report["said"] as? String ?? ""
        #expect(said.contains("\(report["liar"] ?? "") has lied"), "\(report)")
    }
}
