// weft cat, weft get, weft ls

import ArgumentParser
import Gateway
import IPLD
import Weft

/// A way to name content on the command line.
enum ContentArgument {
    static let help: ArgumentHelp = "A CID, /ipfs/CID/path, /ipns/NAME/path or ipfs:// URL."

    /// The content path of a CID, a path or a URL.
    static func path(_ text: String) -> String {
        for scheme in ["ipfs", "ipns"] where text.lowercased().hasPrefix("\(scheme)://") {
            let rest = text.dropFirst(scheme.count + 3)
            return "/\(scheme)/" + (PercentCoding.decode(rest) ?? String(rest))
        }
        return text.hasPrefix("/") ? text : "/ipfs/\(text)"
    }
}

struct Cat: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print files.",
        discussion: Examples.text(
            ("weft cat CID/readme.md", "print a file of a folder"),
            ("weft cat /ipns/example.org/index.html", "print a file behind a name"),
            ("weft cat --offset 100 --length 50 CID", "print a part of a file")))

    @OptionGroup var common: CommonOptions

    @Option(help: "Skip this many bytes.")
    var offset: UInt64 = 0

    @Option(help: "Print at most this many bytes.")
    var length: UInt64?

    @Option(help: "Give up after this time, such as 30s.")
    var deadline: DeadlineArgument?

    @Argument(help: ContentArgument.help)
    var paths: [String]

    func run() async throws {
        try await LocalClient.with(common) { client in
            var query = paths.map { (name: "arg", value: ContentArgument.path($0)) }
            if offset > 0 { query.append(("offset", String(offset))) }
            if let length { query.append(("length", String(length))) }
            if let deadline { query.append(("timeout", deadline.text)) }
            _ = try await client.content(APICall("/api/v0/cat", query)) {
                try StandardOutput.write($0)
            }
        }
    }
}

struct Get: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write a file or a folder to disk.",
        discussion: """
            Nothing is written outside of the target, whatever the content says: names that would \
            lead elsewhere are refused and links are not followed. Each file appears when it is \
            complete. With --json an object with path, bytes and files is printed.


            """
                + Examples.text(
                    ("weft get CID", "write it under its name here"),
                    ("weft get -o album CID", "choose the name"),
                    ("weft get --archive -o album.tar CID", "write a tar archive")))

    @OptionGroup var common: CommonOptions

    @Option(
        name: .shortAndLong, help: "Where to write (default: the last name of the path).",
        completion: .file())
    var output: String?

    @Flag(name: .shortAndLong, help: "Write a tar archive; '-o -' is standard output.")
    var archive = false

    @Flag(name: .shortAndLong, help: "Replace files that are there already.")
    var force = false

    @Option(help: "Give up after this time, such as 30s.")
    var deadline: DeadlineArgument?

    @Argument(help: ContentArgument.help)
    var path: String

    func run() async throws {
        try await LocalClient.with(common) { client in
            let path = ContentArgument.path(path)
            var query = [(name: "arg", value: path)]
            if let deadline { query.append(("timeout", deadline.text)) }
            let name = path.split(separator: "/").last.map(String.init) ?? "download"
            if archive {
                let file = try OutputFile(output ?? "\(name).tar")
                return try await Download.run(client, APICall("/api/v0/get", query), to: file)
            }
            query.append(("target", try LocalPath.absolute(output ?? name)))
            query.append(("replace", force ? "true" : "false"))
            let json = common.json
            let progress = Progress("getting", json ? .silent : .shown)
            do {
                try await client.values(APICall("/weft/v1/get", query)) { event in
                    if event["path"] == nil {
                        await progress.update(bytes: event["bytes"]?.count ?? 0)
                    } else if json {
                        try StandardOutput.line(JSONText.text(of: event))
                    }
                }
                await progress.finish()
            } catch {
                await progress.finish()
                throw error
            }
        }
    }
}

struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls",
        abstract: "List a folder.",
        discussion: """
            Each line has the CID, the size in bytes and the name. With --json each line is an \
            object with name, cid, size and type (file, directory, symlink or data).


            """
                + Examples.text(
                    ("weft ls CID", "list a folder"),
                    ("weft ls ipns://example.org/docs", "list a folder behind a name")))

    @OptionGroup var common: CommonOptions

    @Option(help: "Give up after this time, such as 30s.")
    var deadline: DeadlineArgument?

    @Argument(help: ContentArgument.help)
    var path: String

    func run() async throws {
        try await LocalClient.with(common) { client in
            var query = [(name: "arg", value: ContentArgument.path(path)), ("stream", "true")]
            if let deadline { query.append(("timeout", deadline.text)) }
            let json = common.json
            try await client.values(APICall("/api/v0/ls", query)) { object in
                for link in object["Objects"]?[0]?["Links"]?.elements ?? [] {
                    try Self.show(link, json: json)
                }
            }
        }
    }

    private static func show(_ link: Value, json: Bool) throws {
        let type: String =
            switch link["Type"]?.count {
            case 1: "directory"
            case 2: "file"
            case 4: "symlink"
            default: "data"
            }
        let name = link["Name"]?.text ?? ""
        if json {
            let entry = Value.object([
                "name": .string(name), "cid": link["Hash"], "size": link["Size"],
                "type": .string(type),
            ])
            return try StandardOutput.line(JSONText.text(of: entry))
        }
        let size = type == "directory" ? "-" : String(link["Size"]?.count ?? 0)
        let padded = String(repeating: " ", count: max(0, 12 - size.count)) + size
        let shown = type == "directory" ? StandardOutput.bold(name + "/") : name
        try StandardOutput.line("\(link["Hash"]?.text ?? "") \(padded) \(shown)")
    }
}

/// Writes framed content to a file.
enum Download {
    /// Writes the content that a call answers and gives the file its name when it is complete.
    static func run(_ client: LocalClient, _ call: APICall, to file: OutputFile) async throws {
        do {
            _ = try await client.content(call) { try await file.write($0) }
            try await file.complete()
        } catch {
            await file.abandon()
            throw error
        }
    }
}

/// A duration on the command line.
struct DeadlineArgument: ExpressibleByArgument {
    let duration: Duration
    let text: String

    init?(argument: String) {
        guard let duration = DurationText.parse(argument), duration > .zero else { return nil }
        self.duration = duration
        self.text = argument
    }
}
