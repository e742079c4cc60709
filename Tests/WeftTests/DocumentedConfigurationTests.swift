// docs/configuration.md is written by hand; this keeps it complete and its defaults true.

import Foundation
import Testing
import Weft

@Test("docs/configuration.md has a row for each key", arguments: ConfigurationKey.all.map(\.name))
func documented(key: String) throws {
    let page = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "docs/configuration.md")
    let text = try String(contentsOf: page, encoding: .utf8)
    #expect(text.contains("| `\(key)` |"))
}
