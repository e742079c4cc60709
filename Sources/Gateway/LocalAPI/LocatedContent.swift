// From a path in a call to blocks: what is meant, and where its blocks come from.

import IPLD
import Multiformats
import NIOCore
import Weft

/// Content that a call names.
struct LocatedContent: Sendable {
    let root: CID
    let segments: [String]
    let reader: ContentReader
    let trace: Trace

    /// The block at the end of the path.
    func resolve() async throws -> ResolvedContent {
        try await reader.resolve(segments, from: root)
    }

    /// The path of what is meant, without names that can change.
    var path: String { "/ipfs/" + ([root.description] + segments).joined(separator: "/") }

    /// The path form of what callers write: a CID, a path, or a URL. Only URLs are
    /// percent-encoded already.
    static func encodedPath(_ text: String) -> String {
        for scheme in ["ipfs", "ipns"] where text.lowercased().hasPrefix(scheme + "://") {
            return "/\(scheme)/" + text.dropFirst(scheme.count + 3)
        }
        var path = text.hasPrefix("/") ? text : "/ipfs/" + text
        if path.hasPrefix("/ipld/") { path = "/ipfs/" + path.dropFirst("/ipld/".count) }
        return path.split(separator: "/", omittingEmptySubsequences: false)
            .map { PercentCoding.encode($0, for: .pathSegment) }.joined(separator: "/")
    }
}

extension LocalServices {
    /// Looks up what a path names. Blocks come later, as they are read.
    func locate(
        _ text: String, _ call: APIRequest, _ extent: RetrievalScope.Extent
    ) async throws -> LocatedContent {
        let trace = Trace()
        let limits = try call.limits(node.configuration)
        let offline = try call.flag("offline") || node.configuration.network == .offline
        var path = LocatedContent.encodedPath(text)
        if path.hasPrefix("/ipns/") {
            path = try await node.names.resolve(
                path, cache: offline ? .onlyIfCached : .standard, limits: limits, trace: trace
            ).path
        }
        let parsed: ContentPath
        do {
            parsed = try ContentPath(encoded: path)
        } catch {
            throw APIError.badArgument(error.message)
        }
        let root = try APIRequest.cid(parsed.root)
        let source: any BlockSource =
            offline
            ? LocalBlocks(node.store)
            : node.retrieval.session(
                for: RetrievalScope(root: root, path: parsed.segments, extent: extent),
                limits: limits, trace: trace)
        return LocatedContent(
            root: root, segments: parsed.segments, reader: ContentReader(source), trace: trace)
    }

    /// The CID at the end of a path, which may name part of a block in no case.
    func locateBlock(_ text: String, _ call: APIRequest) async throws -> CID {
        // The root itself need not be here to be named.
        if let cid = try? CID(text: text) { return cid }
        let content = try await locate(text, call, .block)
        if content.segments.isEmpty { return content.root }
        let resolved = try await content.resolve()
        guard resolved.remainder.isEmpty else {
            throw APIError.badArgument("'\(text)' leads into a block, not to one")
        }
        return resolved.cid
    }
}
