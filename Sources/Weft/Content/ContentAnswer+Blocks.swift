// Answers in the forms that a client can verify itself, and archives: raw, CAR, tar
// (specs.ipfs.tech/http-gateways/trustless-gateway).

import HTTPTypes
import IPLD
import Multiformats
import NIOCore

extension ContentAnswer {
    /// How much of an archive is made before its status is sent, so that early errors show in it.
    private static var drawnAhead: Int { 64 << 10 }

    /// One block as it is.
    func raw(_ resolved: ResolvedContent) throws -> Response {
        try requireBlock(resolved)
        var fields = headers(
            resolved, type: ResponseFormat.raw.mediaType, tag: "\"\(resolved.cid).raw\"")
        setForm(.raw, kind: .attachment, cid: resolved.cid, in: &fields)
        fields[.xContentTypeOptions] = "nosniff"
        return bytes(fields, of: resolved.block)
    }

    /// The bytes of a block, in whole or in ranges.
    func bytes(_ fields: HTTPFields, of block: ByteBuffer) -> Response {
        bytes(fields, size: UInt64(block.readableBytes)) { range in
            guard let range else { return BufferStream(block) }
            let part = block.slice(Int(range.lowerBound)..<Int(range.upperBound))
            return BufferStream(part ?? ByteBuffer())
        }
    }

    /// The blocks that prove what a path leads to.
    func car(_ resolved: ResolvedContent, selection: CARRequest) async throws -> Response {
        try requireBlock(resolved)
        let tag = "W/\"\(request.root).car.\(selection.digest(of: request.segments))\""
        let type =
            "\(ResponseFormat.car.mediaType); version=1; order=dfs; "
            + "dups=\(selection.selection.duplicates.rawValue)"
        var fields = headers(resolved, type: type, tag: tag)
        setForm(.car, kind: .attachment, cid: resolved.cid, in: &fields)
        fields[.xContentTypeOptions] = "nosniff"
        fields[.acceptRanges] = "none"
        if let response = notModified(fields) { return response }
        guard !isHead else { return Response(status: .ok, headers: fields) }
        let stream = reader.carStream(resolved, root: request.root, selection: selection.selection)
        return Response(status: .ok, headers: fields, body: ResponseBody(stream))
    }

    /// A UnixFS tree as an archive.
    func tar(_ resolved: ResolvedContent) async throws -> Response {
        guard resolved.entity != .node else {
            throw ContentError(.notAcceptable, "only files and directories can be put into a tar")
        }
        var fields = headers(
            resolved, type: ResponseFormat.tar.mediaType, tag: "W/\"\(resolved.cid).x-tar\"")
        setForm(.tar, kind: .attachment, cid: resolved.cid, in: &fields)
        fields[.xContentTypeOptions] = "nosniff"
        fields[.acceptRanges] = "none"
        if let response = notModified(fields) { return response }
        guard !isHead else { return Response(status: .ok, headers: fields) }
        var stream = PrimedStream(reader.tarStream(resolved.cid, name: name))
        try await stream.draw(Self.drawnAhead)
        return Response(status: .ok, headers: fields, body: ResponseBody(stream))
    }

    /// Refuses a path that ends inside a block where a block is asked for.
    func requireBlock(_ resolved: ResolvedContent) throws(ContentError) {
        guard resolved.remainder.isEmpty else {
            throw ContentError(
                .notImplemented,
                "'\(resolved.remainder.joined(separator: "/"))' is a value inside the block "
                    + "\(resolved.cid), which has no CID of its own")
        }
    }
}

/// What a request says about the CAR it wants.
struct CARRequest: Equatable {
    var selection: CARSelection

    /// Reads the parameters of the URL, else those of the media type.
    init(
        query: QueryItems, parameters: [(name: String, value: String)]
    ) throws(ContentError) {
        func value(_ name: String) -> String? {
            query["car-\(name)"] ?? parameters.first { $0.name == name }?.value
        }
        if let version = value("version"), version != "1" {
            throw ContentError(.badRequest, "only CAR version 1 can be made, not \"\(version)\"")
        }
        if let order = value("order"), order != "dfs", order != "unk" {
            throw ContentError(.badRequest, "the order of a CAR is dfs or unk, not \"\(order)\"")
        }
        selection = CARSelection()
        if let text = value("dups") {
            guard let duplicates = CARSelection.Duplicates(rawValue: text) else {
                throw ContentError(.badRequest, "dups is y or n, not \"\(text)\"")
            }
            selection.duplicates = duplicates
        }
        let bytes = try query["entity-bytes"].map(Self.bytes)
        switch query["dag-scope"] {
        case nil, "": selection.scope = bytes.map { .entity($0) } ?? .all
        case "all": selection.scope = .all
        case "entity": selection.scope = .entity(bytes)
        case "block": selection.scope = .block
        case let other?:
            throw ContentError(.badRequest, "dag-scope is block, entity or all, not \"\(other)\"")
        }
    }

    private static func bytes(_ text: String) throws(ContentError) -> RetrievalScope.Bytes {
        let ends = text.split(separator: ":", omittingEmptySubsequences: false)
        guard ends.count == 2, let from = Int64(ends[0]) else {
            throw ContentError(.badRequest, "entity-bytes is from:to, not \"\(text)\"")
        }
        if ends[1] == "*" { return RetrievalScope.Bytes(from: from) }
        guard let through = Int64(ends[1]) else {
            throw ContentError(.badRequest, "entity-bytes is from:to, not \"\(text)\"")
        }
        guard (from < 0) != (through < 0) || from <= through else {
            throw ContentError(.badRequest, "entity-bytes ends before it begins: \"\(text)\"")
        }
        return RetrievalScope.Bytes(from: from, through: through)
    }

    /// Tells apart the CARs that one root can have (FNV-1a, 64 bits).
    func digest(of segments: [String]) -> String {
        var text = segments.joined(separator: "/") + "\n\(selection.duplicates.rawValue)\n"
        switch selection.scope {
        case .block: text += "block"
        case .all: text += "all"
        case .entity(nil): text += "entity"
        case .entity(let bytes?):
            text += "entity \(bytes.from):" + (bytes.through.map { "\($0)" } ?? "*")
        }
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return String(hash, radix: 36)
    }
}
