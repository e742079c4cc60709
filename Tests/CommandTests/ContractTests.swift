// weft contract, as an author uses it, and the examples: each is built from its sources and gives
// what its cases say, on every engine that there is.

import Foundation
import Testing

@Suite struct ContractTests {
    /// Builds the examples once; what the script says, one line each.
    static let built: Result<String, any Error> = Result {
        let place = try Workplace()
        let script = DocumentationTests.root.appending(path: "Scripts/build-contracts").path
        let outcome = try place.shell("'\(script)'")
        guard outcome.status == 0 else {
            throw BuildFailure(output: outcome.output + outcome.errors)
        }
        return outcome.output
    }

    struct BuildFailure: Error {
        let output: String
    }

    static let examples = ["life", "signature", "wordcount", "markdown", "thumbnail", "sqlite"]

    @Test("the examples give what their cases say", arguments: examples)
    func example(name: String) throws {
        let said = try Self.built.get()
        let root = DocumentationTests.root
        let module = root.appending(path: ".build/contracts/\(name).wasm").path
        guard FileManager.default.fileExists(atPath: module) else {
            // On a system without Debian's sources there is nothing to test, and it was said.
            #expect(said.contains("skipped \(name)"))
            return
        }
        let place = try Workplace()
        let folder = root.appending(path: "contracts/examples/\(name)").path
        let outcome = try place.weft(
            "contract", "test", "--json", "--module", module, folder,
            environment: try place.recording())
        #expect(outcome.status == 0, "\(outcome.output) \(outcome.errors)")
        #expect(try place.interpretRecorded(atMost: 12) > 2)
        let lines = try outcome.objects()
        let requests = try FileManager.default.contentsOfDirectory(atPath: folder + "/tests")
            .filter { $0.hasSuffix(".request") }
        #expect(lines.count == requests.count + 1)
        let both = ["Wasmtime", "V8"]
        #expect(lines.last?["engines"] as? [String] == both)
        // The gas of the functions, the host and the instances is what the calls cost.
        let profile = try #require(lines.last?["profile"] as? [[String: Any]])
        let counted = profile.reduce(0) { $0 + ($1["gas"] as? Int ?? 0) }
        let paid = lines.filter { $0["end"] as? String == "ok" }
            .reduce(0) { $0 + ($1["gas"] as? Int ?? 0) }
        #expect(counted == paid && paid > 0)
    }

    @Test("two builds of the same sources are the same contract, wherever they lie")
    func reproducible() throws {
        let place = try Workplace()
        #expect(try place.weft("contract", "new", "one").status == 0)
        try FileManager.default.createDirectory(
            atPath: place.path("elsewhere"), withIntermediateDirectories: true)
        try FileManager.default.copyItem(
            atPath: place.path("one"), toPath: place.path("elsewhere/two"))
        let built = try ["one", "elsewhere/two"].map { folder in
            let outcome = try place.weft("contract", "publish", "-q", folder)
            #expect(outcome.status == 0, "\(outcome.errors)")
            return outcome.output
        }
        #expect(built[0] == built[1] && !built[0].isEmpty)
    }

    @Test("both engines take and say the same", arguments: ["native", "files"])
    func engines(name: String) throws {
        let place = try Workplace()
        let folder = DocumentationTests.root.appending(path: "Tests/Contracts/\(name)")
        try FileManager.default.copyItem(
            at: folder, to: URL(filePath: place.path(name)))
        // What takes several blocks: a body, whose CID the seed depends on, and a file in a folder.
        let large = Data((0..<2_700_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) })
        if name == "native" {
            let body = "native/tests/seeds-of-several-blocks.request"
            try place.write(body, Data("POST /seeds\n".utf8))
            try place.write(body + ".body", large)
        } else {
            try place.write("files/tests/content/folder/large", large)
        }
        let outcome = try place.weft("contract", "test", "--json", name)
        let problems = try outcome.objects().filter { $0["ok"] as? Bool == false }
        #expect(outcome.status == 0 && problems.isEmpty, "\(problems) \(outcome.errors)")
    }

    /// The languages of the templates whose compilers are here: Rust is large, and not installed
    /// for tests (Debian has it: cargo, libstd-rust-dev-wasm32, lld-14).
    static let languages: [String] = {
        let line = """
            command -v cargo && test -d "$(rustc --print target-libdir \
                --target wasm32-unknown-unknown)"
            """
        let hasRust = try? Workplace().shell(line).status == 0
        return hasRust == true ? ["swift", "c", "rust"] : ["swift", "c"]
    }()

    @Test("from an empty folder to a published contract", arguments: languages)
    func newContract(language: String) throws {
        let place = try Workplace()
        try place.isolate()
        let made = try place.weft("contract", "new", "--json", "--language", language, "hello")
        #expect(try made.object()["language"] as? String == language)
        #expect(try place.weft("contract", "new", "hello").status == 1)
        let temporary = place.path("temporary")
        try FileManager.default.createDirectory(
            atPath: temporary, withIntermediateDirectories: true)
        let tested = try place.weft(
            "contract", "test", "hello", environment: ["TMPDIR": temporary])
        #expect(tested.status == 0, "\(tested.output) \(tested.errors)")
        let left = try FileManager.default.contentsOfDirectory(atPath: temporary)
        #expect(left.isEmpty, "nothing of the compilers is left behind")
        #expect(tested.output.hasPrefix("✓ greet  200  "))
        #expect(tested.output.contains("%"))
        let module = "hello/.build/hello.wasm"
        let inspected = try place.weft("contract", "inspect", "--json", module).object()
        let methods = try #require(inspected["methods"] as? [[String: Any]])
        #expect(methods.map { $0["name"] as? String } == ["/greet"])
        #expect(inspected["kind"] as? String == "native")
        let imports = try #require(inspected["imports"] as? [String])
        #expect(imports.allSatisfy { $0.hasPrefix("weft.") })

        let published = try place.weft("contract", "publish", "--json", "hello").object()
        let cid = try #require(published["cid"] as? String)
        #expect(published["urls"] as? [String] == ["weft://\(cid)/greet"])
        #expect(try place.weft("contract", "publish", "-q", module).output == cid)
        #expect(try place.weft("cat", cid).bytes == place.read(module))
        #expect(try place.weft("contract", "inspect", cid).output.contains("/greet"))
    }

    @Test("what cannot be built says why, once")
    func nothingToBuild() throws {
        let place = try Workplace()
        try FileManager.default.createDirectory(
            atPath: place.path("empty"), withIntermediateDirectories: true)
        let outcome = try place.weft("contract", "build", "empty")
        #expect(outcome.status == 1)
        #expect(
            outcome.errors.split(separator: "\n")
                == ["weft: cannot build empty: there is no .swift or .c file to compile"])
    }

    @Test("a case that is not met says what differs")
    func unmet() throws {
        let place = try Workplace()
        try place.isolate()
        #expect(try place.weft("contract", "new", "hello").status == 0)
        try place.write(
            "hello/tests/greet.response", Data("404\nx-other: 1\ngas: 1\n\nHello, Bob!\n".utf8))
        let failed = try place.weft("contract", "test", "hello")
        #expect(failed.status == 1)
        for text in [
            "✗ greet  200", "the status should be 404, and is 200",
            "x-other should be '1', and is not there", "it should use 1 gas",
            "at byte 7, in line 1, there is 'Hello, Ada!', not 'Hello, Bob!'",
        ] {
            #expect(failed.output.contains(text), "\(text) is not in \(failed.output)")
        }
        #expect(try place.weft("contract", "test", "--update", "hello").status == 0)
        #expect(try place.weft("contract", "test", "hello").status == 0)
        let written = String(decoding: try place.read("hello/tests/greet.response"), as: UTF8.self)
        #expect(written.hasPrefix("200\ncontent-type: text/plain; charset=utf-8\ngas: "))
    }

    @Test("who ends a command that runs a compiler or another engine ends those as well")
    func interrupted() throws {
        let place = try Workplace()
        try place.isolate()
        try place.write("hello/hello.c", Data("int answer(void) { return 42; }\n".utf8))
        // A compiler that never ends, whatever the kit's own needs of the folder of programs.
        try place.write(
            "bin/bash", Data("#!/bin/sh\necho $$ > '\(place.path("id"))'\nexec sleep 500\n".utf8))
        try FileManager.default.setAttributes(
            [.posixPermissions: 0o755], ofItemAtPath: place.path("bin/bash"))
        try FileManager.default.createDirectory(
            atPath: place.path("tmp"), withIntermediateDirectories: true)
        let usual = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        let process = place.process(
            ["contract", "build", "hello"],
            environment: [
                "PATH": "\(place.path("bin")):\(usual)", "TMPDIR": place.path("tmp"),
            ])
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try #require(mkfifo(place.path("id"), 0o600) == 0)
        let pipe = open(place.path("id"), O_RDONLY | O_NONBLOCK)
        defer { close(pipe) }
        try process.run()
        defer { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }
        var waiting = pollfd(fd: pipe, events: Int16(POLLIN), revents: 0)
        try #require(poll(&waiting, 1, 240_000) == 1)
        var text = [UInt8](repeating: 0, count: 16)
        let count = read(pipe, &text, text.count)
        let compiler = try #require(
            pid_t(String(decoding: text.prefix(max(0, count)).dropLast(), as: UTF8.self)))
        kill(process.processIdentifier, SIGTERM)
        process.waitUntilExit()
        #expect(process.terminationStatus == 128 + SIGTERM)
        #expect(kill(compiler, 0) == -1 && errno == ESRCH)
        #expect(try FileManager.default.contentsOfDirectory(atPath: place.path("tmp")) == [])
    }

    @Test("what cannot be a contract is refused by name")
    func refused() throws {
        let place = try Workplace()
        try place.isolate()
        try place.write(
            "bad/bad.c",
            Data(
                """
                #include "weft.h"
                __attribute__((import_module("env"), import_name("now"))) int now(void);
                WEFT_METHOD(time) { weft_respond(now()); }
                """.utf8))
        let foreign = try place.weft("contract", "build", "bad")
        #expect(foreign.status == 1)
        #expect(foreign.errors.contains("imports env.now"))
        // A function that hosts have, but of another type.
        try place.write(
            "bad/bad.c",
            Data(
                """
                #include "weft.h"
                __attribute__((import_module("weft"), import_name("write"))) void w(long long);
                WEFT_METHOD(time) { w(1); }
                """.utf8))
        #expect(try place.weft("contract", "build", "bad").errors.contains("imports weft.write"))
        #expect(try place.weft("contract", "new", "").errors.contains("needs a name"))
        try place.write("bad/bad.c", Data("int answer(void) { return 42; }\n".utf8))
        #expect(try place.weft("contract", "build", "bad").errors.contains("has no method"))
        try place.write("bad/bad.c", Data("int answer(void) { return }\n".utf8))
        let broken = try place.weft("contract", "build", "bad")
        #expect(broken.status == 1)
        #expect(broken.errors.contains("bad.c:1:27: error: expected expression"))
        // The first bytes of a module with a shared memory.
        let shared = Data([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 5, 4, 1, 3, 1, 1])
        try place.write("shared.wasm", shared)
        for command in ["inspect", "publish"] {
            let refused = try place.weft("contract", command, "shared.wasm")
            #expect(refused.status == 1)
            #expect(refused.errors.contains("threads and atomic memory operations"))
            #expect(refused.errors.contains("-pthread"))
        }
    }
}
