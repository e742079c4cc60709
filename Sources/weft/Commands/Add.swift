// weft add

import ArgumentParser
import CoreFoundation
import Gateway
import Glibc
import IPLD
import NIOCore
import Weft

struct Add: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Add files and folders, and print their CIDs.",
        discussion: """
            Folders are added with everything in them. What is added is pinned, so it stays until \
            'weft pin rm'. With '-' the content comes from standard input.

            With --json each line is an object with path, cid and bytes; that of each PATH comes \
            last and has root true.


            """
                + Examples.text(
                    ("weft add album", "add a folder"),
                    ("weft add -q album", "print its CID alone"),
                    ("weft add --only-hash -q album", "print the CID it would have"),
                    ("tar c album | weft add -q -", "add what another program writes"),
                    ("weft add --nocopy film.mkv", "refer to the file instead of copying it"),
                    ("weft add --profile unixfs-v0-2015 a.txt", "get the CID that older nodes give")
                ))

    @OptionGroup var common: CommonOptions

    @Flag(name: .shortAndLong, help: "Print the root CIDs alone.")
    var quiet = false

    @Option(help: "The import profile: unixfs-v1-2025 (default) or unixfs-v0-2015.")
    var profile: String?

    @Option(
        name: .shortAndLong,
        help: "How files are cut: size-N, rabin-MIN-AVG-MAX or buzhash (default: the profile's).")
    var chunker: String?

    @Flag(help: "Store references to the files instead of their bytes.")
    var nocopy = false

    @Flag(name: [.customShort("n"), .long], help: "Print the CIDs and store nothing.")
    var onlyHash = false

    @Flag(name: [.customShort("w"), .long], help: "Put everything into one new folder.")
    var wrap = false

    @Flag(help: "Also add files in folders whose names begin with a dot.")
    var hidden = false

    @Flag(inversion: .prefixedNo, help: "Keep what is added.")
    var pin = true

    @Flag(help: "Record file modes and modification times.")
    var metadata = false

    @Argument(help: "Files and folders; '-' is standard input.", completion: .file())
    var paths: [String]

    func validate() throws {
        if paths.contains("-"), paths.count > 1 || nocopy || wrap || metadata {
            throw ValidationError("'-' stands alone and cannot be combined with such options")
        }
        if let chunker, Chunker(chunker) == nil {
            throw ValidationError(
                "'\(chunker)' is no chunker; use size-N, rabin-MIN-AVG-MAX or buzhash")
        }
        if let profile, Profile(name: profile) == nil {
            throw ValidationError(
                "there is no profile '\(profile)'; use unixfs-v1-2025 or unixfs-v0-2015")
        }
        if nocopy, onlyHash {
            throw ValidationError("--nocopy stores references, and --only-hash nothing; choose one")
        }
    }

    func run() async throws {
        try await LocalClient.with(common) { client in
            if paths == ["-"] { return try await addStandardInput(client) }
            let absolute = try paths.map { path in
                var information = stat()
                guard lstat(path, &information) == 0 else {
                    throw CommandFailure(
                        "cannot add '\(path)': \(String(cString: strerror(errno)))")
                }
                return try LocalPath.absolute(path)
            }
            let request = Value.object([
                "paths": .list(absolute.map { .string($0) }),
                "profile": profile.map { .string($0) },
                "chunker": chunker.map { .string($0) },
                "nocopy": .bool(nocopy), "wrap": .bool(wrap), "hidden": .bool(hidden),
                "pin": .bool(pin), "metadata": .bool(metadata), "roots": .bool(quiet),
                "onlyHash": .bool(onlyHash),
            ])
            var call = APICall("/weft/v1/add")
            call.body = .init("application/json", JSONText.bytes(of: request))
            let form = form
            let isWatched = form == .text && StandardError.isTerminal
            let progress = Progress("adding", isWatched ? .shown : .silent)
            let total = isWatched ? absolute.reduce(0) { $0 + TreeSize.bytes(of: $1) } : 0
            do {
                try await client.values(call) { event in
                    try await Self.show(event, form, progress, total)
                }
            } catch {
                await progress.finish()
                throw error
            }
            await progress.finish()
        }
    }

    private enum Form {
        case text
        case json
        case roots
        case jsonRoots
    }

    private var form: Form {
        switch (common.json, quiet) {
        case (true, true): .jsonRoots
        case (true, false): .json
        case (false, true): .roots
        case (false, false): .text
        }
    }

    private static func show(
        _ event: Value, _ form: Form, _ progress: Progress, _ total: UInt64 = 0
    ) async throws {
        guard let cid = event["cid"]?.text else {
            return await progress.update(
                bytes: event["bytes"]?.count ?? 0, of: total,
                event["path"]?.text ?? "")
        }
        let isRoot = event["root"]?.flag == true
        switch form {
        case .json: try StandardOutput.line(JSONText.text(of: event))
        case .jsonRoots: if isRoot { try StandardOutput.line(JSONText.text(of: event)) }
        case .roots: if isRoot { try StandardOutput.line(cid) }
        case .text:
            await progress.finish()
            let name = event["path"]?.text ?? ""
            try StandardOutput.line(
                "\(StandardOutput.dim("added")) \(isRoot ? StandardOutput.bold(cid) : cid) \(name)")
        }
    }

    private func addStandardInput(_ client: LocalClient) async throws {
        var query = [("progress", "true"), ("pin", pin ? "true" : "false")]
        if let profile { query.append(("profile", profile)) }
        if let chunker { query.append(("chunker", chunker)) }
        if onlyHash { query.append(("only-hash", "true")) }
        var call = APICall("/api/v0/add", query.map { (name: $0.0, value: $0.1) })
        call.body = .init(uploading: [("", InputFile(path: "-"))])
        let form = form
        let size = LastSize()
        let progress = Progress("adding", common.json || quiet ? .silent : .shown)
        do {
            try await client.values(call) { event in
                guard event["Hash"] != nil else {
                    await size.take(event["Bytes"])
                    return await progress.update(bytes: event["Bytes"]?.count ?? 0)
                }
                let bytes = await size.bytes
                let entry = Value.object([
                    "path": .string("-"), "cid": event["Hash"],
                    "bytes": bytes, "root": .bool(true),
                ])
                try await Self.show(entry, form, progress)
            }
        } catch {
            await progress.finish()
            throw error
        }
        await progress.finish()
    }
}

/// How many bytes the upload said last that it has.
private actor LastSize {
    private(set) var bytes = Value.number(0)

    func take(_ value: Value?) { bytes = value ?? bytes }
}
