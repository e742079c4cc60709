// The configuration file: what it takes, what it refuses and how it is changed.

import Testing

@testable import Weft

@Suite struct ConfigurationTests {
    @Test("A file that says nothing gives the defaults, and so does the template")
    func defaults() throws {
        #expect(try ConfigurationFile(text: "").configuration == Configuration())
        let template = try ConfigurationFile(text: ConfigurationFile.template)
        #expect(template.configuration == Configuration())
        #expect(template.setKeys.isEmpty)
    }

    @Test("Every key of the template can be uncommented as it stands")
    func templateExamples() throws {
        let lines = ConfigurationFile.template.split(separator: "\n").map { line in
            let rest = line.drop { $0 == "#" || $0 == " " }
            return line.hasPrefix("#") && rest.contains(" = ") ? String(rest) : String(line)
        }
        let file = try ConfigurationFile(text: lines.joined(separator: "\n"))
        #expect(file.setKeys == Set(ConfigurationKey.all.map(\.name)))
        #expect(file.configuration == Configuration())
    }

    @Test(
        "Values are read in every form that people write",
        arguments: [
            ("[storage]\nmax = 16777216", 16 << 20), ("[storage]\nmax = \"10GiB\"", 10 << 30),
            ("[storage]\nmax = \"1.5 GiB\"", 3 << 29), ("storage.max = \"2TB\"", 2_000_000_000_000),
        ] as [(String, UInt64)])
    func sizes(text: String, bytes: UInt64) throws {
        #expect(try ConfigurationFile(text: text).configuration.storage.maxBytes == bytes)
    }

    @Test(
        "Values that do not fit are refused with the name of the key",
        arguments: [
            "[storage]\nmax = \"ten\"", "[storage]\nmax = -5", "[storage]\nmax = true",
            "[storage]\nmax = \"99999999999TiB\"", "[storage]\ncache-ttl = \"soon\"",
            "[routing]\ndelegated = \"https://x\"", "[routing]\ndelegated = [1]",
            "[network]\nmode = \"maybe\"", "[fetch]\nmax-providers = 0",
        ])
    func badValues(text: String) throws {
        #expect {
            try ConfigurationFile(text: text)
        } throws: { error in
            guard case ConfigurationError.badValue = error else { return false }
            return true
        }
    }

    @Test(
        "What makes no sense is refused when it is set, not at the next start",
        arguments: [
            ("storage.max", "8MiB", "8388607"), ("reprovide.interval", "1m", "59s"),
            ("ipns.republish", "1m", "0s"), ("ipns.lifetime", "1m", "0"),
            ("fetch.deadline", "100ms", "0"), ("compute.time", "10ms", "0"),
            ("compute.memory", "1MiB", "1"), ("compute.output", "64KiB", "0"),
            ("compute.offer", "[\"bafkqaaa\"]", "[\"nonsense\"]"),
            ("gateway.address", "[::1]:0", "nonsense"),
            ("gateway.address", "", "127.0.0.1:99999"), ("api.address", "localhost:5001", ":1"),
            ("api.address", "", "0.0.0.0:5001"), ("routing.delegated", "https://a", "not-a-url"),
            ("providers.http", "http://a:1/b", "javascript:x"),
            ("mesh.listen", "/ip4/127.0.0.1/tcp/0", "nonsense"),
            ("mesh.listen", "", "/ip4/127.0.0.1/tcp/99999"),
        ])
    func bounds(key: String, right: String, wrong: String) throws {
        var file = try ConfigurationFile(text: "")
        try file.set(key, to: right)
        #expect {
            try file.set(key, to: wrong)
        } throws: { error in
            guard case ConfigurationError.badValue(let named, _, _) = error else { return false }
            return named == key
        }
        #expect(throws: Never.self) { try ConfigurationFile(text: file.text) }
    }

    @Test("A private network asks no public router, but those that are named")
    func privateRouters() throws {
        var configuration = Configuration()
        #expect(configuration.routers == Configuration.Routing.publicRouters)
        configuration.mesh.privateKeyFile = "swarm.key"
        #expect(configuration.routers.isEmpty)
        #expect(RetrievalOptions(configuration).routers.isEmpty)
        configuration.routing.delegated = ["https://router.example/routing/v1"]
        #expect(configuration.routers == configuration.routing.delegated)
    }

    @Test(
        "An unknown key names the nearest one that exists",
        arguments: [
            ("[storage]\nmaximum = 1", "storage.max"),
            ("[storage]\ncachettl = 1", "storage.cache-ttl"),
            ("[route]\ndelegated = []", "routing.delegated"),
        ])
    func unknownKeys(text: String, nearest: String) throws {
        #expect {
            try ConfigurationFile(text: text)
        } throws: { error in
            guard case ConfigurationError.unknownKey(_, let found) = error else { return false }
            return found == nearest
        }
    }

    @Test("A syntax error names its line")
    func syntax() throws {
        #expect {
            try ConfigurationFile(text: "[storage]\nmax = \n")
        } throws: { error in
            guard case ConfigurationError.syntax(let line, _) = error else { return false }
            return line == 2
        }
    }

    @Test("Setting a key keeps comments and everything else")
    func setKeepsComments() throws {
        var file = try ConfigurationFile(
            text: """
                # mine
                [storage]
                max = "9MiB" # nine
                # a note
                [providers]
                http = [
                    "http://a", # with ] in it
                    "http://b",
                ]
                """)
        try file.set("storage.max", to: "20GiB")
        try file.set("providers.http", to: "http://c,http://d")
        try file.set("storage.cache-ttl", to: "1h30m")
        try file.set("gateway.address", to: "127.0.0.1:0")
        #expect(file.configuration.storage.maxBytes == 20 << 30)
        #expect(file.configuration.providers.http == ["http://c", "http://d"])
        #expect(file.configuration.storage.cacheTTL == .seconds(5400))
        #expect(file.configuration.gateway.address == "127.0.0.1:0")
        #expect(file.text.contains("# mine") && file.text.contains("# a note"))
        #expect(!file.text.contains("http://b"))
    }

    @Test("Every key can be set to its default in the template and is then set once")
    func setAll() throws {
        var file = try ConfigurationFile(text: ConfigurationFile.template)
        for key in ConfigurationKey.all {
            let value = key.read(Configuration())
            let text = if case .list = value { value.toml } else { value.text }
            try file.set(key.name, to: text)
            try file.set(key.name, to: text)
        }
        #expect(file.setKeys.count == ConfigurationKey.all.count)
        #expect(file.configuration == Configuration())
    }

    @Test("Setting refuses what does not fit, and leaves the file as it was")
    func setRefuses() throws {
        var file = try ConfigurationFile(text: "[storage]\nmax = \"9MiB\"\n")
        let before = file
        #expect(throws: ConfigurationError.self) { try file.set("storage.max", to: "lots") }
        #expect(throws: ConfigurationError.self) { try file.set("storage.mex", to: "5") }
        #expect(file == before)
    }

    @Test("Odd layouts are either changed rightly or refused, never spoilt")
    func oddLayouts() throws {
        for text in [
            "storage.max = \"5GB\"", "storage = { max = \"5GB\" }", "\"storage\".max = \"5GB\"",
        ] {
            var file = try ConfigurationFile(text: text)
            do {
                try file.set("storage.max", to: "8MiB")
                #expect(file.configuration.storage.maxBytes == 8 << 20)
            } catch {
                #expect(error == .cannotEdit(key: "storage.max"))
                #expect(file.text == text)
            }
        }
    }

    @Test("Text of values reads back", arguments: ["0s", "250ms", "1h30m", "7d", "2d1s"])
    func durations(text: String) throws {
        let duration = try #require(DurationText.parse(text))
        #expect(DurationText.text(duration) == text)
    }

    @Test("Strings with quotes, backslashes and controls survive", arguments: ["a\"b\\c\n\u{1}é"])
    func quoting(text: String) throws {
        var file = try ConfigurationFile(text: "")
        try file.set("dns.static", to: text)
        #expect(file.configuration.dns.staticFile == text)
    }
}
