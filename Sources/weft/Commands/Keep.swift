// weft pin, weft repo

import ArgumentParser
import Gateway
import IPLD
import Weft

struct Pin: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pin", abstract: "Say what is to stay.",
        subcommands: [PinAdd.self, PinRemove.self, PinList.self])
}

struct PinAdd: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add",
        abstract: "Keep content, fetching what is missing.",
        discussion: """
            With --json each line is an object with cid, type and, if given, name.


            """
                + Examples.text(
                    ("weft pin add CID", "keep a whole DAG"),
                    ("weft pin add --name holidays CID", "give the pin a name"),
                    ("weft pin add --direct CID", "keep the one block alone")))

    @OptionGroup var common: CommonOptions

    @Option(help: "A name for the pin.")
    var name: String?

    @Flag(help: "Keep the block alone, not what it links to.")
    var direct = false

    @Option(help: "Give up after this time, such as 5m.")
    var deadline: DeadlineArgument?

    @Argument(help: ContentArgument.help)
    var paths: [String]

    func run() async throws {
        try await LocalClient.with(common) { client in
            var query = paths.map { (name: "arg", value: ContentArgument.path($0)) }
            query.append(("recursive", direct ? "false" : "true"))
            query.append(("progress", "true"))
            if let name { query.append(("name", name)) }
            if let deadline { query.append(("timeout", deadline.text)) }
            let (json, type, name) = (common.json, direct ? "direct" : "recursive", name)
            let progress = Progress("pinning", json ? .silent : .shown)
            try await client.values(APICall("/api/v0/pin/add", query)) { event in
                let blocks = event["Progress"]?.count ?? 0
                await progress.update(
                    bytes: event["Bytes"]?.count ?? 0, blocks == 0 ? "" : "\(blocks) blocks")
                let pins = event["Pins"]?.elements ?? []
                if !pins.isEmpty { await progress.finish() }
                for cid in pins.compactMap(\.text) {
                    let entry = Value.object([
                        "cid": .string(cid), "type": .string(type),
                        "name": name.map { .string($0) },
                    ])
                    try StandardOutput.line(json ? JSONText.text(of: entry) : "pinned \(cid)")
                }
            }
        }
    }
}

struct PinRemove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm",
        abstract: "Let go of content.",
        discussion: """
            It then counts as cache and goes when its time or the space runs out.


            """ + Examples.text(("weft pin rm CID", "remove a pin")))

    @OptionGroup var common: CommonOptions

    @Argument(help: "The CIDs of the pins.")
    var paths: [String]

    func run() async throws {
        try await LocalClient.with(common) { client in
            let query = paths.map { (name: "arg", value: ContentArgument.path($0)) }
            let value = try await client.value(APICall("/api/v0/pin/rm", query))
            for cid in (value["Pins"]?.elements ?? []).compactMap(\.text) {
                let entry = Value.object(["cid": .string(cid)])
                try StandardOutput.line(
                    common.json ? JSONText.text(of: entry) : "unpinned \(cid)")
            }
        }
    }
}

struct PinList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls",
        abstract: "List what stays.",
        discussion: """
            Each line has the CID, the type and the name. With --json each line is an object \
            with cid, type and, if it has one, name.


            """
                + Examples.text(
                    ("weft pin ls", "list all pins"),
                    ("weft pin ls --type direct", "list the direct ones")))

    @OptionGroup var common: CommonOptions

    @Option(help: "recursive, direct, indirect or all (default: recursive and direct).")
    var type: PinKind?

    @Argument(help: "Only these.")
    var paths: [String] = []

    enum PinKind: String, ExpressibleByArgument, CaseIterable {
        case all
        case recursive
        case direct
        case indirect
    }

    func run() async throws {
        try await LocalClient.with(common) { client in
            var query = paths.map { (name: "arg", value: ContentArgument.path($0)) }
            query += [
                ("stream", "true"), ("names", "true"), ("type", type?.rawValue ?? "roots"),
            ]
            let json = common.json
            try await client.values(APICall("/api/v0/pin/ls", query)) { pin in
                let cid = pin["Cid"]?.text ?? ""
                let name = pin["Name"]?.text ?? ""
                if json {
                    let entry = Value.object([
                        "cid": .string(cid), "type": pin["Type"],
                        "name": name.isEmpty ? nil : .string(name),
                    ])
                    return try StandardOutput.line(JSONText.text(of: entry))
                }
                let parts = [cid, pin["Type"]?.text ?? "", name].filter { !$0.isEmpty }
                try StandardOutput.line(parts.joined(separator: " "))
            }
        }
    }
}

struct Repo: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "repo", abstract: "Look after the repository.",
        subcommands: [RepoStat.self, RepoCollect.self, RepoCheck.self])
}

struct RepoStat: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stat",
        abstract: "Print how much is stored.",
        discussion: """
            With --json one object: path, version, blocks, bytes (on disk), max, pins.


            """ + Examples.text(("weft repo stat", "print sizes and the limit")))

    @OptionGroup var common: CommonOptions

    func run() async throws {
        try await LocalClient.with(common) { client in
            let value = try await client.value(APICall("/weft/v1/stat"))
            if common.json { return try StandardOutput.line(JSONText.text(of: value)) }
            guard case .map(let entries) = value else { return }
            for entry in entries {
                var text = entry.value.text ?? entry.value.count.map { String($0) } ?? ""
                if ["bytes", "max"].contains(entry.key), let bytes = entry.value.count {
                    text = HumanBytes.text(bytes)
                }
                let name = entry.key.padded(to: 10)
                try StandardOutput.line("\(StandardOutput.dim(name)) \(text)")
            }
        }
    }
}

struct RepoCollect: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gc",
        abstract: "Remove everything that is not pinned.",
        discussion: """
            With --json one object with blocks and bytes: what was freed.


            """ + Examples.text(("weft repo gc", "make room now")))

    @OptionGroup var common: CommonOptions

    func run() async throws {
        try await LocalClient.with(common) { client in
            let value = try await client.value(APICall("/weft/v1/gc"))
            if common.json { return try StandardOutput.line(JSONText.text(of: value)) }
            let bytes = HumanBytes.text(value["bytes"]?.count ?? 0)
            try StandardOutput.line("removed \(value["blocks"]?.count ?? 0) blocks, freed \(bytes)")
        }
    }
}

extension String {
    /// The text with spaces behind it, at least `width` characters wide.
    func padded(to width: Int) -> String {
        self + String(repeating: " ", count: max(0, width - count))
    }
}
