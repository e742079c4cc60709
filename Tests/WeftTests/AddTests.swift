// Adding files and folders: the published CIDs through the real pipeline, and what is refused.

import Foundation
import IPLD
import Multiformats
import Testing

@testable import Weft

@Suite struct AddTests {
    @Test(
        "The published CIDs of small inputs come out of the pipeline",
        arguments: [
            ("unixfs-v0-2015", "Qmf412jQZiuVUtdgnB36FXFX7xg5V6KEbSJ4dpQuhkLyfD"),
            ("unixfs-v1-2025", "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"),
        ])
    func published(profile: String, cid: String) async throws {
        let base = try TemporaryDirectory()
        try base.write("in/hello", Array("hello world".utf8))
        let node = try await Node.start(at: base.path + "/repo")
        var options = AddOptions()
        options.profile = try #require(Profile(name: profile))
        let result = try await node.add([base.path + "/in/hello"], options)
        #expect(result.roots.map(\.cid.description) == [cid])
        await node.stop()
    }
}
