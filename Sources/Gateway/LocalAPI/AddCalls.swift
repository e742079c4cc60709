// The calls that add: Kubo's upload of files and folders, and our own addition of local paths.

import HTTPTypes
import Hummingbird
import HummingbirdCore
import IPLD
import Multiformats
import NIOCore
import Weft

extension LocalServices {
    func addUploadRoutes(to router: Router<LocalContext>) {
        router.call("/api/v0/add") { call in try await addUpload(call) }
    }

    func addLocalAddRoutes(to router: Router<LocalContext>) {
        router.call("/weft/v1/add") { call in try await addPaths(call) }
    }

    /// Kubo's own limit for blocks that are held by their CIDs.
    private static let usualInlineBytes: UInt64 = 32

    /// How many entries are held back while files still come. There are clients that stop sending
    /// once an answer begins; and an error before has a status of its own.
    private static let heldEntries = 4096

    private func addUpload(_ call: APIRequest) async throws -> ServerResponse {
        let run = UploadRun(
            try Upload(into: node, try uploadOptions(call)), try UploadReader(call),
            naming: try call.flag("silent")
                ? .nothing : try call.flag("quieter", "Q") ? .last : .everything)
        if try call.flag("progress", "p") {
            return APIAnswer.lines { emit in
                while let entries = try await WorkEvents.follow(emit, { try await run.next($0) }) {
                    for entry in entries { try await emit(entry) }
                }
            }
        }
        var held: [Value] = []
        var isComplete = false
        while held.count < Self.heldEntries, !isComplete {
            guard let entries = try await run.next(nil) else {
                isComplete = true
                continue
            }
            held += entries
        }
        return APIAnswer.lines { [held, isComplete] emit in
            for entry in held { try await emit(entry) }
            while !isComplete, let entries = try await run.next(nil) {
                for entry in entries { try await emit(entry) }
            }
        }
    }

    private func uploadOptions(_ call: APIRequest) throws(APIError) -> AddOptions {
        for option in ["trickle", "t", "nocopy", "fscache", "to-files"]
        where try call.flag(option) {
            throw .badArgument("the option '\(option)' is not supported by uploads here")
        }
        if let hash = call["hash"], hash != "sha2-256" {
            throw .badArgument("files are hashed with sha2-256 here, not with '\(hash)'")
        }
        var options = AddOptions()
        options.profile = try profile(call["profile"], cidVersion: call["cid-version"])
        if call["raw-leaves"] != nil {
            options.profile.leaves = try call.flag("raw-leaves") ? .raw : .dagPB
        }
        try Self.setChunker(call["chunker"] ?? call["s"], of: &options.profile)
        if try call.flag("wrap-with-directory", "w") { options.wrapping = .folder }
        if try call.flag("only-hash", "n") { options.placement = .nowhere }
        if try call.flag("inline") {
            let limit = try call.number("inline-limit") ?? Self.usualInlineBytes
            guard (1...UInt64(Profile.maxInlineBytes)).contains(limit) else {
                throw .badArgument("'inline-limit' must be 1 to \(Profile.maxInlineBytes)")
            }
            options.profile.inlineBytes = Int(limit)
        }
        options.pinning = try pinning(call, or: true)
        return options
    }

    /// The profile of a name; else what Kubo makes for a CID version that was asked for; else the
    /// default.
    private func profile(
        _ name: String?, cidVersion: String?
    ) throws(APIError) -> Profile {
        if let name {
            guard let profile = Profile(name: name) else {
                throw .badArgument(
                    "there is no profile '\(name)'; use unixfs-v1-2025 or unixfs-v0-2015")
            }
            return profile
        }
        switch cidVersion {
        case nil: return .v1_2025
        case "0": return .v0_2015
        case "1":
            var profile = Profile.v0_2015
            profile.cidVersion = .v1
            profile.leaves = .raw
            return profile
        case let other?: throw .badArgument("there is no CID version \(other)")
        }
    }

    private static func setChunker(
        _ text: String?, of profile: inout Profile
    ) throws(APIError) {
        guard let text else { return }
        guard let chunker = Chunker(text) else {
            throw .badArgument(
                "'\(text)' is no chunker; use size-N, rabin-MIN-AVG-MAX or buzhash")
        }
        profile.chunker = chunker
    }

    private func addPaths(_ call: APIRequest) async throws -> ServerResponse {
        let json = try await call.json()
        let paths = (json["paths"]?.elements ?? []).compactMap(\.text)
        guard paths.allSatisfy({ $0.hasPrefix("/") }) else {
            throw APIError.badArgument("the paths must begin with '/'")
        }
        var options = AddOptions()
        options.profile = try profile(json["profile"]?.text, cidVersion: nil)
        try Self.setChunker(json["chunker"]?.text, of: &options.profile)
        if json["nocopy"]?.flag == true { options.placement = .referenced }
        if json["onlyHash"]?.flag == true { options.placement = .nowhere }
        options.hidden = json["hidden"]?.flag == true ? .included : .excluded
        if json["metadata"]?.flag == true { options.attributes = .kept }
        if json["wrap"]?.flag == true { options.wrapping = .folder }
        if json["pin"]?.flag == false { options.pinning = .unpinned }
        let rootsAlone = json["roots"]?.flag == true
        return APIAnswer.lines { [options] emit in
            let result = try await WorkEvents.follow(emit) { events in
                try await node.add(
                    paths, options, observer: Self.observer(events, rootsAlone: rootsAlone))
            }
            for root in result.roots { try await emit(root.json(isRoot: true)) }
        }
    }

    /// Passes on what happens. Entries that are not below another come with the result.
    private static func observer(_ events: WorkEvents, rootsAlone: Bool) -> AddObserver {
        var observer = AddObserver(progress: { progress in
            events.tell(
                progress: .object([
                    "files": .number(progress.files), "bytes": .number(progress.bytes),
                ]))
        })
        if !rootsAlone {
            observer.added = { entry in
                guard entry.path.utf8.contains(UInt8(ascii: "/")) else { return }
                events.push(entry.json(isRoot: false))
            }
        }
        return observer
    }

    func addGetRoute(to router: Router<LocalContext>) {
        router.call("/weft/v1/get") { call in
            let path = LocatedContent.encodedPath(try call.only("ipfs-path"))
            guard let target = call["target"], target.hasPrefix("/") else {
                throw APIError.badArgument("'target' must be a path that begins with '/'")
            }
            var options = GetOptions()
            if try call.flag("replace") { options.existing = .replaced }
            let deadline = try call.limits(node.configuration).deadline
            return APIAnswer.lines { [options] emit in
                let result = try await WorkEvents.follow(emit) { events in
                    try await Deadline.within(deadline) {
                        try await node.get(path, to: target, options) { progress in
                            events.tell(progress: progress.json)
                        }
                    }
                }
                try await emit(
                    .object([
                        "path": .string(target), "bytes": .number(result.bytes),
                        "files": .number(result.files),
                    ]))
            }
        }
    }
}

extension GetProgress {
    fileprivate var json: Value {
        .object(["files": .number(files), "bytes": .number(bytes)])
    }
}

extension AddedEntry {
    /// The entry as our own event.
    func json(isRoot: Bool) -> Value {
        .object([
            "path": .string(path), "cid": .string(cid.description),
            "bytes": .number(contentSize), "root": isRoot ? .bool(true) : nil,
        ])
    }
}
