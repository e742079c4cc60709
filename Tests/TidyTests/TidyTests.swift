// The rules of CONTRIBUTING.md that a machine can check. They run with every `make test`, so that a
// review can be about ideas.

import Foundation
import Testing

@Suite struct TidyTests {
    /// What each product target may import. A module that is missing here is a new dependency and
    /// needs a reason.
    static let allowedImports: [String: Set<String>] = [
        "Wire": [],
        "Cryptography": [
            "Wire", "Crypto", "CryptoExtras", "CLibcrypto", "CSecp256k1", "CMonocypher",
        ],
        "Multiformats": ["Wire", "Cryptography"],
        "IPLD": ["Wire", "Cryptography", "Multiformats"],
        "Connections": ["Wire", "Cryptography", "Multiformats"],
        "Exchange": ["Wire", "Cryptography", "Multiformats", "IPLD"],
        "Peering": ["Wire", "Cryptography", "Multiformats", "IPLD"],
        "NodeCore": [
            "Wire", "Cryptography", "Multiformats", "IPLD", "Peering", "Exchange", "Compute",
        ],
        "WasmRules": ["Wire"],
        "Compute": ["Wire", "Cryptography", "Multiformats", "IPLD"],
        "Simulation": [
            "Wire", "Cryptography", "Multiformats", "IPLD", "Peering", "Exchange", "Compute",
            "NodeCore",
        ],
        "simulate": ["Wire", "Simulation", "Glibc"],
        "BrowserCore": [
            "Wire", "Cryptography", "Multiformats", "IPLD", "Connections", "Peering", "Exchange",
            "Compute", "WasmRules", "CFreestanding", "CMonocypher",
        ],
        "BlockStore": [
            "Wire", "Cryptography", "Multiformats", "IPLD", "NIOCore", "NIOPosix", "GRDB",
            "GRDBSQLite",
            "DequeModule", "Synchronization", "Glibc", "NIOConcurrencyHelpers", "Foundation",
            "Dispatch",
        ],
        "Transports": [
            "Wire", "Cryptography", "Multiformats", "Connections", "NIOCore", "NIOPosix", "NIOTLS",
            "NIOSSL", "NIOHTTP1", "NIOWebSocket", "X509", "SwiftASN1", "Crypto", "Synchronization",
            "Glibc", "FoundationEssentials", "CWebRTC",
        ],
        "WasmEngine": [
            "Wire", "Cryptography", "WasmRules", "CWasmtime", "NIOCore", "DequeModule",
            "Synchronization", "Glibc",
        ],
        // CoreFoundation holds one of the compiler's copies of the C struct `stat`; which copy it
        // takes depends on what else is imported.
        "Weft": [
            "Wire", "Cryptography", "Multiformats", "IPLD", "Connections", "Peering", "Exchange",
            "NodeCore", "WasmRules", "Compute", "BlockStore", "Transports", "WasmEngine",
            "CoreFoundation", "NIOCore", "NIOPosix", "HTTPTypes",
            "Logging", "AsyncHTTPClient", "NIOHTTP1", "DequeModule", "TOMLKit",
            "Synchronization", "Glibc", "NIOConcurrencyHelpers", "FoundationEssentials",
            "Foundation", "NIOSSL", "CMiniUPnPc",
        ],
        "Gateway": [
            "Wire", "Cryptography", "Multiformats", "IPLD", "NodeCore", "Peering", "Exchange",
            "Compute", "BlockStore", "Weft", "CoreFoundation", "NIOCore", "NIOPosix", "NIOHTTP1",
            "NIOHTTPTypes", "NIOSSL", "HTTPTypes", "Logging",
            "Hummingbird", "HummingbirdCore", "HummingbirdHTTP2", "HummingbirdTLS",
            "ServiceLifecycle", "NIOConcurrencyHelpers", "Synchronization", "Glibc", "DequeModule",
            "FoundationEssentials", "Foundation",
        ],
        "weft": [
            "CMimalloc", "ContractKit", "WasmRules",
            "Wire", "Cryptography", "Multiformats", "IPLD", "BlockStore", "Weft", "Gateway",
            "CoreFoundation", "NIOCore", "NIOPosix", "NIOHTTP1", "HTTPTypes", "Logging",
            "AsyncHTTPClient",
            "ArgumentParser", "Hummingbird", "ServiceLifecycle", "UnixSignals", "Synchronization",
            "Glibc",
            "FoundationEssentials", "Foundation",
        ],
    ]

    @Test("a target imports only what DESIGN allows it", arguments: SourceTree.swiftFiles)
    func imports(file: SourceFile) throws {
        guard let target = file.target else { return }
        let allowed = try #require(Self.allowedImports[target], "no import rule for \(target)")
        let foreign = Set(file.imports).subtracting(allowed)
        #expect(foreign.isEmpty, "\(file.path) imports \(foreign.sorted())")
    }

    @Test(
        "lines are at most 100 columns, files at most 700 lines", arguments: SourceTree.swiftFiles)
    func lengths(file: SourceFile) {
        for (number, line) in file.lines.enumerated() where line.count > 100 {
            Issue.record("\(file.path):\(number + 1) has \(line.count) columns")
        }
        #expect(file.lines.count <= 700, "\(file.path) has \(file.lines.count) lines")
    }

    @Test("functions have at most 70 lines", arguments: SourceTree.swiftFiles)
    func functionLengths(file: SourceFile) {
        var open: [(indent: Int, start: Int)] = []
        for (number, line) in file.lines.enumerated() {
            let indent = line.utf8.prefix { $0 == UInt8(ascii: " ") }.count
            if line.contains("func ") || line.contains("init"), !line.hasSuffix("}"),
                !line.contains("//"),
                line.contains(/^\s*([a-z@(]\S* )*(func [^ ]|init[?(<])/)
            {
                open.append((indent, number))
            }
            guard line.utf8.dropFirst(indent).first == UInt8(ascii: "}") else { continue }
            // What was opened deeper has no body, as in a protocol.
            while let last = open.last, last.indent > indent { open.removeLast() }
            if let last = open.last, last.indent == indent {
                open.removeLast()
                let length = number - last.start + 1
                #expect(length <= 70, "\(file.path):\(last.start + 1) has \(length) lines")
            }
        }
    }

    /// Words that stand for work left undone, or for a crash where an error belongs.
    static let forbidden: [(word: String, inTests: Bool)] = [
        ("TO" + "DO", true), ("FIX" + "ME", true), ("X" + "XX", true), ("HA" + "CK", true),
        ("fatal" + "Error(", false), ("try" + "!", false), (" as" + "! ", false),
        ("Thread.sl" + "eep", true), ("usl" + "eep(", true), (".disa" + "bled(", true),
        ("XCT" + "Skip", true), ("not impl" + "emented", true),
    ]

    @Test("no word of unfinished work", arguments: SourceTree.swiftFiles)
    func words(file: SourceFile) {
        for (number, line) in file.lines.enumerated() {
            for (word, inTests) in Self.forbidden
            where (file.isProduct || inTests) && line.contains(word) {
                Issue.record("\(file.path):\(number + 1) says \(word)")
            }
        }
    }

    @Test("only the command lines print", arguments: SourceTree.swiftFiles)
    func printing(file: SourceFile) {
        guard file.isProduct, file.target != "weft", file.target != "simulate" else { return }
        for (number, line) in file.lines.enumerated()
        where line.contains("rint(") && line.contains(/^\s*(debugP|p)rint\(/) {
            Issue.record("\(file.path):\(number + 1) prints")
        }
    }

    @Test("Core has no async code and no order that depends on hashing")
    func coreIsPure() {
        let words = ["async", "await", "actor"]
        for file in SourceTree.swiftFiles where file.path.hasPrefix("Core/Sources/") {
            for (number, line) in file.lines.enumerated() {
                let code = line.split(separator: "//", maxSplits: 1).first.map(String.init) ?? ""
                let place = "\(file.path):\(number + 1)"
                if words.contains(where: code.contains), code.contains(/\b(async|await|actor)\b/) {
                    Issue.record("\(place) is concurrent")
                }
                if code.contains("for "), code.contains(/for .* in .*\.(keys|values)\b/) {
                    Issue.record("\(place) iterates over a dictionary")
                }
            }
        }
    }

    private static let modifiers =
        "static|mutating|nonisolated|consuming|final|indirect|convenience"
    private static let kinds =
        "func|struct|class|actor|enum|protocol|var|let|init|subscript|typealias"
    private static let declaration =
        #"^ *(@\S+(\([^)]*\))? )*(public|open) ((\#(modifiers)) )*(\#(kinds))\b"#
    /// Requirements of the standard protocols, and rows of a table that a comment introduces.
    private static let undocumented =
        #"func ==|func hash\(|var (error)?[dD]escription|static let \w+ ?(=|:)|"#
        + #"func makeAsyncIterator|func next\(|func < ?\(|typealias"#

    @Test("every public declaration of a product says what it is for")
    func documentation() throws {
        let declaration = try Regex(Self.declaration)
        let exempt = try Regex(Self.undocumented)
        for file in SourceTree.swiftFiles where file.isProduct {
            var documented = false
            for (number, line) in file.lines.enumerated() {
                let text = line.drop { $0 == " " }
                if text.hasPrefix("///") {
                    documented = true
                } else if line.contains(declaration) {
                    let fine = documented || line.contains(exempt)
                    #expect(fine, "\(file.path):\(number + 1) has no documentation comment")
                    documented = false
                } else if !text.hasPrefix("@") && !text.hasPrefix("#if") {
                    documented = false
                }
            }
        }
    }

    @Test("ARCHITECTURE.md names every target")
    func architecture() {
        let text = SourceTree.text("ARCHITECTURE.md")
        for target in Set(SourceTree.swiftFiles.compactMap(\.target)) {
            #expect(text.contains("`\(target)`"), "ARCHITECTURE.md does not name \(target)")
        }
    }

    @Test("no large file, build product or lock file is tracked")
    func blobs() throws {
        for path in SourceTree.paths {
            let url = SourceTree.root.appending(path: path)
            let size = try url.resourceValues(forKeys: [.fileSizeKey]).fileSize ?? 0
            #expect(size <= 1 << 20, "\(path) has \(size) bytes")
            #expect(
                !path.contains(/(^|\/)(\.build|node_modules|__pycache__)\/|Package\.resolved$/),
                "\(path) does not belong in the repository")
        }
    }

    @Test("links between documents lead somewhere")
    func links() throws {
        for path in SourceTree.paths where path.hasSuffix(".md") {
            let folder = SourceTree.root.appending(path: path).deletingLastPathComponent()
            for match in SourceTree.text(path).matches(of: /\]\(([^)#:\s]+)(#[^)]*)?\)/) {
                let target = folder.appending(path: String(match.1)).path
                #expect(
                    FileManager.default.fileExists(atPath: target),
                    "\(path) links to \(match.1), which is not there")
            }
        }
    }

    @Test("the code is formatted as .swift-format says")
    func formatting() throws {
        let format = Process()
        format.executableURL = URL(filePath: "/usr/bin/env")
        format.arguments =
            ["swift", "format", "lint", "--strict", "--parallel"]
            + SourceTree.swiftFiles.map(\.path)
        format.currentDirectoryURL = SourceTree.root
        let output = Pipe()
        format.standardError = output
        try format.run()
        let report = output.fileHandleForReading.readDataToEndOfFile()
        format.waitUntilExit()
        #expect(format.terminationStatus == 0, "\(String(decoding: report, as: UTF8.self))")
    }
}
