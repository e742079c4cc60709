// weft id, weft config

import ArgumentParser
import Gateway
import IPLD
import Weft

struct Identity: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "id",
        abstract: "Print who this node is.",
        discussion: """
            With --json one object: peer, publicKey, agent, addresses, repository and running \
            (whether a node serves the repository); then also gateway and api, if it listens \
            there.


            """ + Examples.text(("weft id", "print the peer id")))

    @OptionGroup var common: CommonOptions

    func run() async throws {
        try await LocalClient.with(common) { client in
            let value = try await client.value(APICall("/weft/v1/status"))
            if common.json { return try StandardOutput.line(JSONText.text(of: value)) }
            try Settings.table(value)
        }
    }
}

/// Objects as tables for people.
enum Settings {
    static func table(_ value: Value) throws {
        guard case .map(let entries) = value else { return }
        let width = entries.map(\.key.count).max() ?? 0
        for entry in entries {
            let name = StandardOutput.dim(entry.key.padded(to: width))
            try StandardOutput.line("\(name)  \(text(of: entry.value))")
        }
    }

    static func text(of value: Value) -> String {
        switch value {
        case .list(let elements): elements.map(text(of:)).joined(separator: ", ")
        case .string(let text): text
        default: JSONText.text(of: value)
        }
    }
}

struct Config: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "Read and change the configuration.",
        discussion: """
            The configuration is the file config.toml in the repository; every key is explained \
            there. A running node uses a change at once where it can; 'config set' says where not.
            """,
        subcommands: [ConfigGet.self, ConfigSet.self, ConfigShow.self])
}

struct ConfigGet: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "get",
        abstract: "Print the value of a key.",
        discussion: """
            The items of a list are on lines of their own. With --json an object with key and \
            value is printed.


            """ + Examples.text(("weft config get storage.max", "print the limit of the store")))

    @OptionGroup var common: CommonOptions

    @Argument(help: "The key, such as storage.max.")
    var key: String

    func run() async throws {
        try await LocalClient.with(common) { client in
            let value = try await client.value(APICall("/weft/v1/config", [("key", key)]))
            if common.json { return try StandardOutput.line(JSONText.text(of: value)) }
            switch value["value"] {
            case .list(let items)?:
                for item in items { try StandardOutput.line(Settings.text(of: item)) }
            case let single?: try StandardOutput.line(Settings.text(of: single))
            case nil: break
            }
        }
    }
}

struct ConfigSet: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set",
        abstract: "Change a key.",
        discussion: """
            Lists are given as items joined by commas, or as a JSON list; '' is the empty list. \
            With --json an object with key and value is printed.


            """
                + Examples.text(
                    ("weft config set storage.max 50GiB", "raise the limit of the store"),
                    ("weft config set providers.http https://a.example,https://b.example", "a list")
                ))

    @OptionGroup var common: CommonOptions

    @Argument(help: "The key, such as storage.max.")
    var key: String

    @Argument(help: "The value.")
    var value: String

    func run() async throws {
        try await LocalClient.with(common) { client in
            let answer = try await client.value(
                APICall("/weft/v1/config", [("key", key), ("value", value)]))
            if common.json { return try StandardOutput.line(JSONText.text(of: answer)) }
            if answer["restart"]?.flag == true {
                StandardError.write("weft: the running node uses this when it starts again\n")
            }
        }
    }
}

struct ConfigShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Print all keys and their values.",
        discussion: """
            With --json one object from keys to values.


            """ + Examples.text(("weft config show", "print everything")))

    @OptionGroup var common: CommonOptions

    func run() async throws {
        try await LocalClient.with(common) { client in
            let value = try await client.value(APICall("/weft/v1/config"))
            if common.json { return try StandardOutput.line(JSONText.text(of: value)) }
            try Settings.table(value)
        }
    }
}
