// weft name, weft key

import ArgumentParser
import Gateway
import IPLD
import Weft

struct Name: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "name", abstract: "Publish and resolve names whose content can change.",
        subcommands: [NamePublish.self, NameResolve.self])
}

struct NamePublish: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "publish",
        abstract: "Point a key's name at content.",
        discussion: """
            The record is signed, valid for --lifetime and renewed while a node runs. With --json \
            an object with name and value is printed.


            """
                + Examples.text(
                    ("weft name publish CID", "publish under this node's own key"),
                    ("weft name publish --key blog CID", "publish under another key")))

    @OptionGroup var common: CommonOptions

    @Option(name: .shortAndLong, help: "The key's name or id.")
    var key = "self"

    @Option(help: "How long the record is valid, such as 48h.")
    var lifetime: DeadlineArgument?

    @Flag(help: "Tell no router; whoever asks this node gets the record.")
    var offline = false

    @Option(help: "How long others may use the record without looking again, such as 5m.")
    var ttl: DeadlineArgument?

    @Argument(help: ContentArgument.help)
    var path: String

    func run() async throws {
        try await LocalClient.with(common) { client in
            var query = [(name: "arg", value: ContentArgument.path(path)), ("key", key)]
            if let lifetime { query.append(("lifetime", lifetime.text)) }
            if let ttl { query.append(("ttl", ttl.text)) }
            if offline { query.append(("offline", "true")) }
            let value = try await client.value(APICall("/api/v0/name/publish", query))
            let entry = Value.object(["name": value["Name"], "value": value["Value"]])
            try StandardOutput.line(
                common.json
                    ? JSONText.text(of: entry)
                    : "published \(value["Name"]?.text ?? "") → \(value["Value"]?.text ?? "")")
        }
    }
}

struct NameResolve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resolve",
        abstract: "Print what a name points to.",
        discussion: """
            With --json an object with path is printed.


            """
                + Examples.text(
                    ("weft name resolve k51…", "resolve a key"),
                    ("weft name resolve blog", "resolve a key of this node's"),
                    ("weft name resolve example.org", "resolve a domain with DNSLink")))

    @OptionGroup var common: CommonOptions

    @Option(help: "Give up after this time, such as 30s.")
    var deadline: DeadlineArgument?

    @Argument(
        help: "A key's name or id, a domain, or /ipns/NAME (default: this node's own key).")
    var name: String?

    func run() async throws {
        try await LocalClient.with(common) { client in
            var query: [(name: String, value: String)] = []
            if let name { query.append(("arg", name)) }
            if let deadline { query.append(("timeout", deadline.text)) }
            let value = try await client.value(APICall("/api/v0/name/resolve", query))
            let entry = Value.object(["path": value["Path"]])
            try StandardOutput.line(
                common.json ? JSONText.text(of: entry) : value["Path"]?.text ?? "")
        }
    }
}

struct Key: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "key", abstract: "Make and keep the keys of names.",
        subcommands: [
            KeyGenerate.self, KeyList.self, KeyRemove.self, KeyImport.self, KeyExport.self,
            KeyRename.self, KeyPrivate.self,
        ])

    /// Prints the name and id of a key.
    static func show(_ value: Value, json: Bool, id idOnly: Bool = false) throws {
        let entry = Value.object(["name": value["Name"], "id": value["Id"]])
        let id = value["Id"]?.text ?? ""
        if json { return try StandardOutput.line(JSONText.text(of: entry)) }
        try StandardOutput.line(idOnly ? id : "\(id) \(value["Name"]?.text ?? "")")
    }
}

struct KeyGenerate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gen",
        abstract: "Make a key and print its id.",
        discussion: """
            With --json an object with name and id is printed.


            """ + Examples.text(("weft key gen blog", "make an Ed25519 key called blog")))

    @OptionGroup var common: CommonOptions

    @Argument(help: "A name for the key.")
    var name: String

    func run() async throws {
        try await LocalClient.with(common) { client in
            let value = try await client.value(APICall("/api/v0/key/gen", [("arg", name)]))
            try Key.show(value, json: common.json, id: true)
        }
    }
}

struct KeyList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the keys.",
        discussion: """
            With --json each line is an object with name and id.


            """ + Examples.text(("weft key list", "print ids and names")))

    @OptionGroup var common: CommonOptions

    func run() async throws {
        try await LocalClient.with(common) { client in
            let value = try await client.value(APICall("/api/v0/key/list"))
            for key in value["Keys"]?.elements ?? [] { try Key.show(key, json: common.json) }
        }
    }
}

struct KeyRemove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm",
        abstract: "Remove keys. Their names can then never be changed again.",
        discussion: Examples.text(("weft key rm blog", "remove a key")))

    @OptionGroup var common: CommonOptions

    @Argument(help: "The keys' names.")
    var names: [String]

    func run() async throws {
        try await LocalClient.with(common) { client in
            let query = names.map { (name: "arg", value: $0) }
            let value = try await client.value(APICall("/api/v0/key/rm", query))
            for key in value["Keys"]?.elements ?? [] { try Key.show(key, json: common.json) }
        }
    }
}

struct KeyRename: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rename",
        abstract: "Give a key another name.",
        discussion: Examples.text(("weft key rename blog journal", "rename a key")))

    @OptionGroup var common: CommonOptions

    @Argument(help: "The key's name.")
    var name: String

    @Argument(help: "Its new name.")
    var newName: String

    func run() async throws {
        try await LocalClient.with(common) { client in
            let value = try await client.value(
                APICall("/api/v0/key/rename", [("arg", name), ("arg", newName)]))
            let entry = Value.object(["Name": value["Now"], "Id": value["Id"]])
            try Key.show(entry, json: common.json)
        }
    }
}

struct KeyImport: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Take over a key that was exported.",
        discussion: Examples.text(("weft key import blog blog.key", "import a key")))

    @OptionGroup var common: CommonOptions

    @Argument(help: "A name for the key.")
    var name: String

    @Argument(help: "The file of the key; '-' is standard input.", completion: .file())
    var file: String

    func run() async throws {
        try await LocalClient.with(common) { client in
            var call = APICall("/api/v0/key/import", [("arg", name)])
            call.body = .init(uploading: [(file, InputFile(path: file))])
            try Key.show(try await client.value(call), json: common.json, id: true)
        }
    }
}

struct KeyExport: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write a key to a file. Whoever has the file owns the name.",
        discussion: """
            The format is the libp2p protobuf that Kubo reads and writes.


            """ + Examples.text(("weft key export blog -o blog.key", "save a key")))

    @OptionGroup var common: CommonOptions

    @Option(
        name: .shortAndLong, help: "Where to write (default: NAME.key).", completion: .file())
    var output: String?

    @Argument(help: "The key's name.")
    var name: String

    func run() async throws {
        try await LocalClient.with(common) { client in
            let path = output ?? "\(name).key"
            let file = try OutputFile(path, .secret)
            let call = APICall("/weft/v1/key/export", [("arg", name)])
            try await Download.run(client, call, to: file)
            guard common.json else { return }
            let entry = Value.object(["name": .string(name), "path": .string(path)])
            try StandardOutput.line(JSONText.text(of: entry))
        }
    }
}
