// weft dag, weft block

import ArgumentParser
import Gateway
import IPLD
import Weft

struct DAG: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dag", abstract: "Read and write linked data and archives of it.",
        subcommands: [DAGImport.self, DAGExport.self, DAGGet.self, DAGPut.self])
}

struct DAGImport: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Store the blocks of CAR files and pin their roots.",
        discussion: """
            Each block is checked against its CID. With --json each line is an object: one for \
            each root with root and, if it could not be pinned, error; then one with blocks and \
            bytes.


            """
                + Examples.text(
                    ("weft dag import album.car", "import an archive"),
                    ("curl -s URL | weft dag import -", "import from standard input")))

    @OptionGroup var common: CommonOptions

    @Flag(name: .customLong("pin-roots"), inversion: .prefixedNo, help: "Pin the roots.")
    var pinRoots = true

    @Argument(help: "CAR files; '-' is standard input.", completion: .file(extensions: ["car"]))
    var files: [String]

    func run() async throws {
        try await LocalClient.with(common) { client in
            var call = APICall(
                "/api/v0/dag/import",
                [("pin-roots", pinRoots ? "true" : "false"), ("stats", "true")])
            call.body = .init(uploading: files.map { ($0, InputFile(path: $0)) })
            let json = common.json
            try await client.values(call) { try Self.show($0, json: json) }
        }
    }

    private static func show(_ event: Value, json: Bool) throws {
        if let root = event["Root"] {
            let cid = root["Cid"]?["/"]?.text ?? ""
            let problem = root["PinErrorMsg"]?.text ?? ""
            if json {
                let entry = Value.object([
                    "root": .string(cid), "error": problem.isEmpty ? nil : .string(problem),
                ])
                try StandardOutput.line(JSONText.text(of: entry))
            } else {
                try StandardOutput.line(
                    problem.isEmpty ? "root \(cid)" : "root \(cid) not pinned: \(problem)")
            }
        }
        guard let stats = event["Stats"] else { return }
        let blocks = stats["BlockCount"]?.count ?? 0
        let bytes = stats["BlockBytesCount"]?.count ?? 0
        if json {
            let entry = Value.object(["blocks": .number(blocks), "bytes": .number(bytes)])
            try StandardOutput.line(JSONText.text(of: entry))
        } else {
            try StandardOutput.line("imported \(blocks) blocks, \(HumanBytes.text(bytes))")
        }
    }
}

struct DAGExport: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write a DAG as a CAR file.",
        discussion: Examples.text(
            ("weft dag export CID -o album.car", "write a file"),
            ("weft dag export CID | ssh host weft dag import -", "send it to another machine")))

    @OptionGroup var common: CommonOptions

    @Option(
        name: .shortAndLong, help: "Where to write (default: standard output).",
        completion: .file())
    var output: String?

    @Option(help: "Give up after this time, such as 30s.")
    var deadline: DeadlineArgument?

    @Argument(help: ContentArgument.help)
    var root: String

    func validate() throws {
        if common.json, output == nil { throw ValidationError("--json needs -o") }
    }

    func run() async throws {
        try await LocalClient.with(common) { client in
            if output == nil || output == "-", StandardOutput.isTerminal {
                throw CommandFailure("a CAR is not for a terminal; name a file with -o")
            }
            var query = [(name: "arg", value: root)]
            if let deadline { query.append(("timeout", deadline.text)) }
            let file = try OutputFile(output)
            try await Download.run(client, APICall("/api/v0/dag/export", query), to: file)
            guard common.json else { return }
            let summary = Value.object([
                "path": .string(output ?? "-"), "bytes": .number(await file.bytes),
            ])
            try StandardOutput.line(JSONText.text(of: summary))
        }
    }
}

struct DAGGet: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "get",
        abstract: "Print a node as dag-json, or in another codec.",
        discussion: Examples.text(
            ("weft dag get CID", "print a node"),
            ("weft dag get CID/author/name", "print a part of it"),
            ("weft dag get --output-codec dag-cbor CID > node.cbor", "convert it")))

    @OptionGroup var common: CommonOptions

    @Option(name: .customLong("output-codec"), help: "The codec to print in.")
    var codec = "dag-json"

    @Argument(help: "A CID, or a path through linked data.")
    var path: String

    func run() async throws {
        try await LocalClient.with(common) { client in
            let query = [
                (name: "arg", value: ContentArgument.path(path)), ("output-codec", codec),
            ]
            _ = try await client.content(APICall("/api/v0/dag/get", query)) {
                try StandardOutput.write($0)
            }
            if StandardOutput.isTerminal { try StandardOutput.line("") }
        }
    }
}

struct DAGPut: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "put",
        abstract: "Store a node and print its CID.",
        discussion: Examples.text(
            (#"echo '{"hello":"world"}' | weft dag put"#, "store dag-json as dag-cbor"),
            ("weft dag put --store-codec dag-json node.json", "choose the codec")))

    @OptionGroup var common: CommonOptions

    @Option(name: .customLong("store-codec"), help: "The codec to store in.")
    var storeCodec = "dag-cbor"

    @Option(name: .customLong("input-codec"), help: "The codec of the input.")
    var inputCodec = "dag-json"

    @Option(help: "The hash function.")
    var hash = "sha2-256"

    @Flag(inversion: .prefixedNo, help: "Keep the node and what it links to.")
    var pin = true

    @Argument(help: "Files; '-' is standard input.", completion: .file())
    var files: [String] = ["-"]

    func run() async throws {
        try await LocalClient.with(common) { client in
            var call = APICall(
                "/api/v0/dag/put",
                [
                    ("store-codec", storeCodec), ("input-codec", inputCodec), ("hash", hash),
                    ("pin", pin ? "true" : "false"),
                ])
            call.body = .init(uploading: files.map { ($0, InputFile(path: $0)) })
            let json = common.json
            try await client.values(call) { event in
                let cid = event["Cid"]?["/"]?.text ?? ""
                try StandardOutput.line(
                    json ? JSONText.text(of: .object(["cid": .string(cid)])) : cid)
            }
        }
    }
}

struct Block: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "block", abstract: "Read and write single blocks.",
        subcommands: [BlockGet.self, BlockPut.self, BlockStat.self])
}

struct BlockGet: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "get",
        abstract: "Print the bytes of a block.",
        discussion: Examples.text(("weft block get CID > block.bin", "save a block")))

    @OptionGroup var common: CommonOptions

    @Option(help: "Give up after this time, such as 30s.")
    var deadline: DeadlineArgument?

    @Argument(help: "The CID of the block.")
    var cid: String

    func run() async throws {
        try await LocalClient.with(common) { client in
            var query = [(name: "arg", value: cid)]
            if let deadline { query.append(("timeout", deadline.text)) }
            _ = try await client.content(APICall("/api/v0/block/get", query)) {
                try StandardOutput.write($0)
            }
        }
    }
}

struct BlockPut: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "put",
        abstract: "Store bytes as a block and print its CID.",
        discussion: Examples.text(
            ("weft block put block.bin", "store a raw block"),
            ("weft block put --cid-codec dag-cbor node.cbor", "say what it is")))

    @OptionGroup var common: CommonOptions

    @Option(name: .customLong("cid-codec"), help: "How the bytes are to be read.")
    var codec = "raw"

    @Option(name: .customLong("mhtype"), help: "The hash function.")
    var hash = "sha2-256"

    @Flag(inversion: .prefixedNo, help: "Keep the block.")
    var pin = true

    @Argument(help: "Files; '-' is standard input.", completion: .file())
    var files: [String] = ["-"]

    func run() async throws {
        try await LocalClient.with(common) { client in
            var call = APICall(
                "/api/v0/block/put",
                [("cid-codec", codec), ("mhtype", hash), ("pin", pin ? "true" : "false")])
            call.body = .init(uploading: files.map { ($0, InputFile(path: $0)) })
            let json = common.json
            try await client.values(call) { try BlockStat.show($0, json: json, full: json) }
        }
    }
}

struct BlockStat: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stat",
        abstract: "Print the size of a block.",
        discussion: """
            With --json an object with cid and size is printed.


            """ + Examples.text(("weft block stat CID", "print its size in bytes")))

    @OptionGroup var common: CommonOptions

    @Argument(help: "The CID of the block.")
    var cid: String

    func run() async throws {
        try await LocalClient.with(common) { client in
            let value = try await client.value(APICall("/api/v0/block/stat", [("arg", cid)]))
            try Self.show(value, json: common.json, full: true)
        }
    }

    fileprivate static func show(_ value: Value, json: Bool, full: Bool) throws {
        let cid = value["Key"]?.text ?? ""
        let size = value["Size"]?.count ?? 0
        if json {
            let entry = Value.object(["cid": .string(cid), "size": .number(size)])
            try StandardOutput.line(JSONText.text(of: entry))
        } else {
            try StandardOutput.line(full ? "\(cid) \(size)" : cid)
        }
    }
}
