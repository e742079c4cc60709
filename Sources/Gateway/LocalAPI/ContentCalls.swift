// The calls that read files and folders: cat, get, ls, resolve.

import HTTPTypes
import Hummingbird
import HummingbirdCore
import IPLD
import Multiformats
import NIOCore
import Weft

extension LocalServices {
    func addContentRoutes(to router: Router<LocalContext>) {
        router.call("/api/v0/cat") { call in try await cat(call) }
        router.call("/api/v0/get") { call in try await get(call) }
        router.call("/api/v0/ls") { call in try await list(call) }
        router.call("/api/v0/resolve") { call in
            let name = try call.only("name")
            let path = name.hasPrefix("/") ? name : "/ipfs/\(name)"
            let content = try await locate(path, call, .block)
            if content.segments.isEmpty { return APIAnswer.json(["Path": .string(content.path)]) }
            let resolved = try await content.resolve()
            let parts = ["/ipfs/\(resolved.cid)"] + resolved.remainder
            return APIAnswer.json(["Path": .string(parts.joined(separator: "/"))])
        }
    }

    private func cat(_ call: APIRequest) async throws -> ServerResponse {
        let paths = try call.atLeastOne("ipfs-path")
        var skip = try call.number("offset", "o") ?? 0
        var left = try call.number("length", "l", "count") ?? .max
        var bodies: [Weft.ResponseBody] = []
        var total: UInt64 = 0
        var trace = Trace()
        for path in paths where left > 0 {
            let extent = RetrievalScope.Extent.entity(Self.bytes(from: skip, count: left))
            let content = try await locate(path, call, paths.count == 1 ? extent : .entity(nil))
            trace = content.trace
            let resolved = try await content.resolve()
            guard case .file(let size, _) = resolved.entity, resolved.remainder.isEmpty else {
                var problem = "'\(path)' is not a file"
                if case .directory = resolved.entity { problem = "this dag node is a directory" }
                throw APIError(problem, status: .internalServerError)
            }
            let start = min(skip, size)
            skip -= start
            let end = start + min(left, size - start)
            guard end > start else { continue }
            left -= end - start
            total += end - start
            bodies.append(content.reader.read(resolved.cid, range: start..<end))
        }
        var headers: HTTPFields = [:]
        if let name = HTTPField.Name("X-Content-Length") { headers[name] = String(total) }
        return try await APIAnswer.bytes(
            call, type: "text/plain", headers: headers, trace: trace, Self.joined(bodies))
    }

    private static func bytes(from: UInt64, count: UInt64) -> RetrievalScope.Bytes? {
        guard from > 0 || count < .max, let first = Int64(exactly: from) else { return nil }
        let (end, overflow) = from.addingReportingOverflow(count)
        let last = overflow ? nil : Int64(exactly: end - 1)
        return RetrievalScope.Bytes(from: first, through: last)
    }

    /// Several bodies, one after the other.
    private static func joined(_ bodies: [Weft.ResponseBody]) -> Weft.ResponseBody {
        guard bodies.count != 1 else { return bodies[0] }
        return Weft.ResponseBody(
            state: { (rest: bodies[...], open: nil as Weft.ResponseBody.AsyncIterator?) },
            next: { state in
                while true {
                    if let chunk = try await state.open?.next() { return chunk }
                    guard let body = state.rest.popFirst() else { return nil }
                    state.open = body.makeAsyncIterator()
                }
            })
    }

    private func get(_ call: APIRequest) async throws -> ServerResponse {
        if try call.flag("compress", "C") {
            throw APIError.badArgument("compression is not supported; compress what you get")
        }
        let path = try call.only("ipfs-path")
        let content = try await locate(path, call, .all)
        let resolved = try await content.resolve()
        guard resolved.entity != .node else {
            throw APIError.badArgument("'\(path)' is neither a file nor a folder")
        }
        let name = content.segments.last ?? content.root.description
        return try await APIAnswer.bytes(
            call, type: "application/x-tar", trace: content.trace,
            content.reader.exportTar(resolved.cid, name: name))
    }

    private func list(_ call: APIRequest) async throws -> ServerResponse {
        let paths = try call.atLeastOne("ipfs-path")
        let detail: LinkDetail =
            try call.flag("resolve-type", or: true) || call.flag("size", or: true)
            ? .resolved : .asListed
        guard try call.flag("stream", "s") else {
            var objects: [Value] = []
            for path in paths {
                let (content, resolved) = try await folder(path, call)
                var links: [Value] = []
                for try await entry in LinkEntries(content, resolved) {
                    links.append(try await Self.link(entry, content.reader, detail))
                }
                objects.append(.object(["Hash": .string(path), "Links": .list(links)]))
            }
            return APIAnswer.json(["Objects": .list(objects)])
        }
        // The first folder is looked up before the answer begins, so that most failures have an
        // answer of their own.
        let first = try await folder(paths[0], call)
        return APIAnswer.lines { emit in
            for (index, path) in paths.enumerated() {
                let (content, resolved) = index == 0 ? first : try await folder(path, call)
                for try await entry in LinkEntries(content, resolved) {
                    let link = try await Self.link(entry, content.reader, detail)
                    let object = Value.object(["Hash": .string(path), "Links": .list([link])])
                    try await emit(.object(["Objects": .list([object])]))
                }
            }
        }
    }

    private func folder(
        _ path: String, _ call: APIRequest
    ) async throws -> (LocatedContent, ResolvedContent) {
        let content = try await locate(path, call, .entity(nil))
        return (content, try await content.resolve())
    }

    private enum LinkDetail {
        case asListed
        case resolved
    }

    /// An entry in the form of `ls`.
    private static func link(
        _ entry: DirectoryEntry, _ reader: ContentReader, _ detail: LinkDetail
    ) async throws -> Value {
        var type = 0
        var size = entry.tsize ?? 0
        var target = ""
        if detail == .resolved {
            if entry.cid.codec == .raw, entry.tsize != nil {
                type = 2
            } else if let found = try await look(at: entry.cid, reader) {
                (type, size, target) = found
            }
        }
        return .object([
            "Name": .string(entry.text), "Hash": .string(entry.cid.description),
            "Size": .number(size), "Type": .number(type), "Target": .string(target),
        ])
    }

    /// Kind, size and target of what an entry leads to; nil if its block cannot be had.
    private static func look(
        at cid: CID, _ reader: ContentReader
    ) async throws -> (Int, UInt64, String)? {
        let resolved: ResolvedContent
        do {
            resolved = try await reader.resolve([], from: cid)
        } catch is BlockUnavailable {
            return nil
        }
        switch resolved.entity {
        case .file(let size, _): return (2, size, "")
        case .directory: return (1, 0, "")
        case .symlink(let target, _):
            return (4, UInt64(target.count), String(decoding: target, as: UTF8.self))
        case .node: return (0, UInt64(resolved.block.readableBytes), "")
        }
    }
}

/// What `ls` shows: a folder's entries, or one file.
private struct LinkEntries: AsyncSequence, Sendable {
    typealias Element = DirectoryEntry

    private let folder: DirectoryListing?
    private let single: DirectoryEntry?

    init(_ content: LocatedContent, _ resolved: ResolvedContent) {
        if case .directory = resolved.entity {
            folder = content.reader.list(resolved.cid)
            single = nil
        } else {
            folder = nil
            let name = Array((content.segments.last ?? "").utf8)
            single = DirectoryEntry(name: name, cid: resolved.cid, tsize: nil)
        }
    }

    func makeAsyncIterator() -> Iterator {
        Iterator(folder: folder?.makeAsyncIterator(), single: single)
    }

    struct Iterator: AsyncIteratorProtocol {
        var folder: DirectoryListing.Iterator?
        var single: DirectoryEntry?

        mutating func next() async throws -> DirectoryEntry? {
            if folder != nil { return try await folder?.next() }
            defer { single = nil }
            return single
        }
    }
}
