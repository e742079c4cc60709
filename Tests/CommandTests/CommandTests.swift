// Every command, with and without a running node: what it prints, its JSON and its exit code.

import Foundation
import Testing

@Suite struct CommandTests {
    /// Whether a node runs while the commands are given.
    enum Mode: CaseIterable {
        case alone
        case withNode
    }

    private static func prepare(_ mode: Mode) throws -> (Workplace, RunningNode?) {
        let place = try Workplace()
        try place.isolate()
        return (place, mode == .withNode ? try RunningNode(place) : nil)
    }

    @Test("files go in and come out", arguments: Mode.allCases)
    func files(mode: Mode) throws {
        let (place, node) = try Self.prepare(mode)
        defer { node?.stop() }
        let big = Data((0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7 >> 3) })
        try place.write("album/one.txt", Data("one\n".utf8))
        try place.write("album/inner/two.bin", big)
        try place.write("album/.hidden", Data("h".utf8))

        let added = try place.weft("add", "--json", "--hidden", "album").objects()
        #expect(added.count == 5)
        #expect(Set(added.flatMap(\.keys)) == ["path", "cid", "bytes", "root"])
        let last = try #require(added.last)
        #expect(last["root"] as? Bool == true)
        #expect(last["bytes"] as? Int == 3_000_005)
        let root = try #require(last["cid"] as? String)
        #expect(try place.weft("add", "-q", "--hidden", "album").output == root)
        #expect(try place.weft("add", "--hidden", "album").output.hasSuffix("added \(root) album"))
        let bare = try place.weft("add", "-q", "album").output
        #expect(bare != root)

        #expect(try place.weft("cat", "\(root)/one.txt").output == "one")
        let part = try place.weft(
            "cat", "--offset", "100", "--length", "50", "/ipfs/\(root)/inner/two.bin")
        #expect(part.bytes == big[100..<150])
        let listed = try place.weft("ls", "--json", root).objects()
        #expect(listed.map { $0["name"] as? String } == [".hidden", "inner", "one.txt"])
        #expect(listed.map { $0["type"] as? String } == ["file", "directory", "file"])
        #expect(listed[2]["size"] as? Int == 4)
        #expect(try place.weft("ls", root).output.split(separator: "\n").count == 3)

        #expect(try place.weft("get", "-o", "copy", root).status == 0)
        #expect(try place.read("copy/inner/two.bin") == big)
        #expect(try place.weft("get", "-o", "copy", root).status == 1)
        let got = try place.weft("get", "--json", "--force", "-o", "copy", root).object()
        #expect(got["bytes"] as? Int == 3_000_005)
        #expect(try place.weft("get", "--archive", "-o", "copy.tar", root).status == 0)
        #expect(try place.read("copy.tar").count > 3_000_000)

        let piped = try place.weft("add", "-q", "-", input: Data("one\n".utf8)).output
        #expect(listed[2]["cid"] as? String == piped)
        let legacy = try place.weft(
            "add", "-q", "--profile", "unixfs-v0-2015", "-", input: Data("hello world\n".utf8))
        #expect(legacy.output == "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o")
        let nowhere = try place.weft("cat", "\(root)/nowhere")
        #expect(nowhere.status == 1)
        #expect(nowhere.errors.hasPrefix("weft: "))
        #expect(try place.weft("cat", root).errors.contains("directory"))
    }

    @Test("a name from somewhere else does not command the terminal")
    func controlCharacters() throws {
        let (place, _) = try Self.prepare(.alone)
        try place.write("folder/a\u{1b}[31mred\u{9b}2J", Data("x".utf8))
        let root = try place.weft("add", "-q", "folder").output
        let piped = try place.weft("ls", root).output
        #expect(piped.contains("a\u{1b}[31mred"), "a program gets it as it is")
        let weft = DocumentationTests.executable.path
        let shown = try place.shell("script -qec \"'\(weft)' ls \(root)\" /dev/null").output
        #expect(shown.contains(#"a\x1b[31mred\x9b2J"#), "\(shown.debugDescription)")
    }

    @Test("blocks, linked data, archives and pins", arguments: Mode.allCases)
    func graphs(mode: Mode) throws {
        let (place, node) = try Self.prepare(mode)
        defer { node?.stop() }
        let block = try place.weft("block", "put", "--json", input: Data("raw".utf8)).object()
        let raw = try #require(block["cid"] as? String)
        #expect(raw == "bafkreigxion64jdxhpf7uliks6kh5y3ce6yq2ebcwgsvqr7jfclfxnv73y")
        #expect(block["size"] as? Int == 3)
        #expect(try place.weft("block", "get", raw).output == "raw")
        #expect(try place.weft("block", "stat", "--json", raw).object()["size"] as? Int == 3)

        let text = Data("{\"list\":[1,{\"link\":{\"/\":\"\(raw)\"}}]}".utf8)
        let put = try place.weft("dag", "put", "--json", input: text).object()
        let root = try #require(put["cid"] as? String)
        #expect(root.hasPrefix("bafyrei"))
        #expect(try place.weft("dag", "get", root).bytes == text)
        #expect(try place.weft("dag", "get", "\(root)/list/0").output == "1")

        let exported = try place.weft("dag", "export", "--json", "-o", "a.car", root).object()
        #expect(exported["bytes"] as? Int == (try place.read("a.car")).count)
        let other = try place.shell(
            "weft dag import --repo other --json a.car && weft --repo other block get \(raw)")
        let lines = other.output.split(separator: "\n")
        #expect(lines.first == "{\"root\":\"\(root)\"}")
        #expect(lines.last == "raw")

        let pins = try place.weft("pin", "ls", "--json").objects()
        #expect(Set(pins.compactMap { $0["cid"] as? String }) == [raw, root])
        #expect(try place.weft("pin", "rm", "--json", root).object()["cid"] as? String == root)
        #expect(try place.weft("pin", "rm", root).status == 1)
        let pinned = try place.weft("pin", "add", "--name", "mine", "--json", root).object()
        #expect(pinned["type"] as? String == "recursive")
        let named = try place.weft("pin", "ls", "--json", root).object()
        #expect(named["name"] as? String == "mine")
        #expect(try place.weft("pin", "ls", "--type", "direct").output == "")

        let stat = try place.weft("repo", "stat", "--json").object()
        #expect(stat["blocks"] as? Int == 2)
        #expect(stat["pins"] as? Int == 2)
        #expect(Set(stat.keys).isSuperset(of: ["path", "version", "bytes", "max"]))
        #expect(try place.weft("pin", "rm", raw, root).status == 0)
        #expect(try place.weft("repo", "gc", "--json").object()["blocks"] as? Int == 2)
        let check = try place.weft("repo", "check", "--json").objects()
        #expect(check.last?["ok"] as? Bool == true)
        #expect(try place.weft("--repo", place.repository, "block", "get", raw).status == 1)
    }

    @Test("keys, names, configuration and identity", arguments: Mode.allCases)
    func names(mode: Mode) throws {
        let (place, node) = try Self.prepare(mode)
        defer { node?.stop() }
        let page = try place.weft("add", "-q", "-", input: Data("page".utf8)).output
        let key = try place.weft("key", "gen", "--json", "blog").object()
        let id = try #require(key["id"] as? String)
        #expect(id.hasPrefix("k51"))
        let keys = try place.weft("key", "list", "--json").objects()
        #expect(keys.compactMap { $0["name"] as? String } == ["blog", "self"])
        let published = try place.weft(
            "name", "publish", "--key", "blog", "--json", page
        ).object()
        #expect(published["name"] as? String == id)
        #expect(published["value"] as? String == "/ipfs/\(page)")
        for name in [id, "blog"] {
            #expect(try place.weft("name", "resolve", name).output == "/ipfs/\(page)")
        }
        #expect(try place.weft("cat", "/ipns/\(id)").output == "page")
        #expect(try place.weft("key", "export", "blog", "-o", "blog.key").status == 0)
        let mode =
            try FileManager.default.attributesOfItem(atPath: place.path("blog.key"))[
                .posixPermissions] as? Int
        #expect(mode == 0o600)
        #expect(try place.weft("key", "rm", "blog").status == 0)
        #expect(try place.weft("key", "import", "again", "blog.key").output == id)
        #expect(try place.weft("key", "rename", "again", "third").status == 0)
        #expect(try place.weft("key", "rm", "self").status == 1)

        #expect(try place.weft("config", "set", "storage.max", "5GiB").status == 0)
        #expect(try place.weft("config", "get", "storage.max").output == "5GiB")
        let got = try place.weft("config", "get", "--json", "providers.http").object()
        #expect(got["value"] as? [String] == [])
        #expect(try place.weft("config", "show", "--json").object()["storage.max"] != nil)
        #expect(try place.weft("config", "set", "storage.max", "lots").status == 1)
        #expect(try place.weft("config", "get", "no.key").errors.contains("no.key"))

        let identity = try place.weft("id", "--json").object()
        #expect((identity["peer"] as? String)?.hasPrefix("12D3Koo") == true)
        #expect(identity["running"] as? Bool == (node != nil))
        #expect(identity["gateway"] as? String == node?.gateway)
    }

    @Test("fetch answers as curl would", arguments: Mode.allCases)
    func fetch(mode: Mode) throws {
        let (place, node) = try Self.prepare(mode)
        defer { node?.stop() }
        let cid = try place.weft("add", "-q", "-", input: Data("content of a file\n".utf8)).output
        let url = "ipfs://\(cid)"
        #expect(try place.weft("fetch", url).output == "content of a file")
        let included = try place.weft("fetch", "-i", url).output
        #expect(included.hasPrefix("HTTP/1.1 200 "))
        #expect(included.lowercased().contains("content-type: text/plain"))
        #expect(included.hasSuffix("\r\n\r\ncontent of a file"))
        #expect(try place.weft("fetch", "-H", "Range: bytes=0-6", url).output == "content")
        let head = try place.weft("fetch", "-I", url).output
        #expect(head.hasPrefix("HTTP/1.1 200 ") && !head.contains("content of"))
        let saved = try place.weft("fetch", "--json", "-o", "file", url).object()
        #expect(saved["status"] as? Int == 200)
        #expect(saved["bytes"] as? Int == 18)
        #expect(try place.read("file") == Data("content of a file\n".utf8))
        #expect(try !place.weft("fetch", "--trace", url).errors.isEmpty)
        let missing = "bafkreieq5jui4j25lacwomsqgjeswwl3y5zcdrresptwgmfylxo2depppq"
        let failed = try place.weft("fetch", "-o", "missing", "ipfs://\(missing)")
        #expect(failed.status == 1)
        #expect(failed.errors.hasPrefix("weft: "))
        #expect(!FileManager.default.fileExists(atPath: place.path("missing")))
    }

    @Test(
        "what cannot be understood ends with 2 and one line",
        arguments: [
            ["nonsense"], ["add"], ["cat"], ["fetch", "--deadline", "soon", "ipfs://x"],
            ["up", "--api", "0.0.0.0:5001"], ["up", "--listen", "nonsense"], ["dag", "nonsense"],
            ["help", "nonsense"], ["cid", "format", "-b", "base3", "x"],
            ["pin", "ls", "--type", "strange"], ["fetch", "-H", "noheader", "ipfs://x"],
        ])
    func usage(arguments: [String]) throws {
        let place = try Workplace()
        let process = place.process(arguments)
        let errors = Pipe()
        process.standardError = errors
        try process.run()
        let report = errors.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        let text = String(decoding: report, as: UTF8.self)
        #expect(process.terminationStatus == 2)
        #expect(text.hasPrefix("weft: ") && text.split(separator: "\n").count == 1, "\(text)")
    }

    @Test("a deadline that passes ends with 124 and the trace")
    func deadline() throws {
        let place = try Workplace()
        try place.isolate()
        // A place that takes connections and never answers.
        let silent = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(silent) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = bind(silent, $0, size)
                _ = listen(silent, 16)
                _ = getsockname(silent, $0, &size)
            }
        }
        let port = UInt16(bigEndian: address.sin_port)
        try place.weft("config", "set", "providers.http", "http://127.0.0.1:\(port)")
        let cid = "bafkreieq5jui4j25lacwomsqgjeswwl3y5zcdrresptwgmfylxo2depppq"
        let start = ContinuousClock.now
        let outcome = try place.weft("fetch", "--deadline", "500ms", "ipfs://\(cid)")
        #expect(outcome.status == 124, "\(outcome.errors)")
        #expect(outcome.errors.contains("127.0.0.1:\(port)"))
        #expect(start.duration(to: ContinuousClock.now) < .seconds(15))
    }

    @Test("cid works without a repository")
    func identifiers() throws {
        let place = try Workplace()
        let old = "QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n"
        let new = "bafybeihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
        #expect(try place.weft("cid", "base32", old).output == new)
        #expect(try place.weft("cid", "format", "-v", "0", new).output == old)
        let format = "%v %c %h %L %b"
        #expect(
            try place.weft("cid", "format", "-f", format, new).output
                == "cidv1 dag-pb sha2-256 32 base32")
        #expect(try place.weft("cid", "format", "-b", "base36", new).output.hasPrefix("k"))
        let inspected = try place.weft("cid", "inspect", "--json", old).object()
        #expect(inspected["prefix"] as? String == "cidv0-dag-pb-sha2-256-32")
        #expect(try place.weft("cid", "base32", input: Data("\(old)\n".utf8)).output == new)
        #expect(try place.weft("cid", "inspect", "nonsense").status == 1)
        #expect(!FileManager.default.fileExists(atPath: place.repository))
    }

    @Test("every command has help with examples, and stands in the manual page")
    func help() throws {
        let place = try Workplace()
        let commands = [
            "up", "add", "cat", "get", "ls", "fetch", "dag import", "dag export", "dag get",
            "dag put", "block get", "block put", "block stat", "pin add", "pin rm", "pin ls",
            "repo stat", "repo gc", "repo check", "name publish", "name resolve", "key gen",
            "key list", "key rm", "key import", "key export", "cid format", "cid base32",
            "cid inspect", "id", "config get", "config set", "config show", "help",
            "contract new", "contract build", "contract test", "contract inspect",
            "contract publish",
        ]
        let manual = try place.weft("help", "--man").output
        for command in commands {
            let words = command.split(separator: " ").map(String.init)
            let help = try place.shell("weft help \(words.joined(separator: " "))")
            #expect(help.status == 0)
            #expect(help.output.contains("Examples:\n  "), "\(command) has no examples")
            #expect(manual.contains(".SS weft \(command)\n"))
        }
        #expect(try place.weft("--version").output.hasPrefix("weft "))
        #expect(try place.weft("add", "--help").status == 0)
        for shell in ["bash", "zsh", "fish"] {
            let script = try place.weft("--generate-completion-script", shell)
            #expect(script.status == 0 && script.bytes.count > 1000)
        }
    }

    @Test("--only-hash says the CID and stores nothing")
    func onlyHash() throws {
        let place = try Workplace()
        try place.isolate()
        try place.write("album/a.txt", Data("a".utf8))
        let hashed = try place.weft("add", "--only-hash", "-q", "album")
        #expect(hashed.status == 0)
        #expect(try place.weft("repo", "stat", "--json").object()["blocks"] as? Int == 0)
        #expect(try place.weft("pin", "ls").output == "")
        #expect(try place.weft("add", "-q", "album").output == hashed.output)
    }

    @Test("get gives folders their modes and times, after what is in them")
    func folderAttributes() throws {
        let place = try Workplace()
        try place.isolate()
        let made = try place.shell(
            """
            mkdir -p album/inner; echo one > album/inner/one.txt; ln -s inner album/link
            touch -d @1000000 album/inner/one.txt; chmod 640 album/inner/one.txt
            chmod 555 album/inner; touch -d @2000000 album/inner; touch -d @3000000 album
            weft get -o copy "$(weft add -q --metadata album)"
            (cd album && stat -c '%n %a %Y' . inner inner/one.txt) > before
            (cd copy && stat -c '%n %a %Y' . inner inner/one.txt) > after
            diff before after; result=$?; chmod 755 album/inner copy/inner; exit $result
            """)
        #expect(made.status == 0, "\(made.output)\(made.errors)")
    }

    @Test("a small file with metadata in a dag-pb leaf is one block")
    func metadataInLeaf() throws {
        let place = try Workplace()
        try place.isolate()
        try place.write("a.txt", Data("hello world\n".utf8))
        let block = try place.shell(
            """
            chmod 644 a.txt; touch -d @5 a.txt
            weft block get "$(weft add -q --metadata --profile unixfs-v0-2015 a.txt)" | od -An -tx1
            """)
        let found = block.output.split(whereSeparator: \.isWhitespace).joined()
        // By hand: Type file, Data, filesize 12, mode 0644, mtime 5 s; no links.
        let data = Data("hello world\n".utf8).map { String($0, radix: 16) }
            .map { $0.count == 1 ? "0" + $0 : $0 }.joined()
        #expect(found == "0a19" + "0802" + "120c" + data + "180c" + "38a403" + "42020805")
    }
}
