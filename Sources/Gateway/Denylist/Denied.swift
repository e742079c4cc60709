import HTTPTypes
import Multiformats
import NIOCore
import Weft

extension Gateway {
    /// The answer for what a rule denies: that it is not served, and nothing of the list.
    static func denied(_ rule: Denylist.Rule) -> Response {
        var fields = HTTPFields()
        fields[.contentType] = "text/plain; charset=utf-8"
        fields[.cacheControl] = "no-store"
        let isLegal = rule.status == 451
        let body =
            isLegal
            ? "This content cannot be served here for legal reasons.\n"
            : "This content is not served here.\n"
        fields[.contentLength] = "\(body.utf8.count)"
        return Response(
            status: isLegal ? .unavailableForLegalReasons : .gone, headers: fields,
            body: ResponseBody(ByteBuffer(string: body)))
    }
}

/// Blocks, without those that a deny list names.
struct DeniedBlocks: BlockSource {
    private let source: any BlockSource
    private let list: Denylist

    init(_ source: any BlockSource, _ list: Denylist) {
        self.source = source
        self.list = list
    }

    func block(_ cid: CID) async throws -> ByteBuffer {
        try check(cid)
        return try await source.block(cid)
    }

    func part(_ range: Range<Int>, of cid: CID, size: Int) async throws -> ByteBuffer? {
        try check(cid)
        return try await source.part(range, of: cid, size: size)
    }

    private func check(_ cid: CID) throws {
        if let rule = list.rule(for: cid) {
            throw ContentError(
                rule.status == 451 ? .unavailableForLegalReasons : .gone,
                "the block \(cid) is not served here")
        }
    }

    func prefetch(_ cids: [CID]) {
        source.prefetch(cids.filter { list.rule(for: $0) == nil })
    }
}
