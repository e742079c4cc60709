public import HTTPTypes
public import Multiformats
public import NIOCore

extension ContentResponder {
    /// Whether a request asks for a form that its client verifies itself.
    public static func isVerifiable(query: QueryItems, accept: String?) -> Bool {
        // An unknown format is refused when the request is answered.
        let accepted = try? AcceptedFormat(query: query, accept: accept)
        switch accepted?.format {
        case .raw, .car, .ipnsRecord: return true
        default: return false
        }
    }

    /// Answers the signed record of a name (specs.ipfs.tech/http-gateways/trustless-gateway).
    public func respond(
        withRecord record: ByteBuffer, of key: PeerID, ttl: Duration, path: ContentPath,
        query: QueryItems, method: HTTPRequest.Method, headers: HTTPFields
    ) -> Response {
        do {
            let request = ContentRequest(
                path, root: key.cid, method: method, headers: headers, query: query,
                lifetime: .mutable(ttl: ttl))
            let answer = try ContentAnswer(
                request, reader: ContentReader(NoBlocks()), conversion: .refused)
            return answer.record(record, of: key)
        } catch {
            return ErrorAnswer(error, to: method, headers: headers).response
        }
    }
}

extension ContentAnswer {
    fileprivate func record(_ record: ByteBuffer, of key: PeerID) -> Response {
        var fields = HTTPFields()
        fields[.contentType] = ResponseFormat.ipnsRecord.mediaType
        let digest = Multihash.sha2_256(of: record.readableBytesSpan).digest.prefix(12)
        let tag = Multibase.base36.encode(Array(digest))
        fields[.eTag] = "\"\(key.ipnsName).\(tag).ipns-record\""
        if case .mutable(let ttl?) = request.lifetime {
            fields[.cacheControl] = "public, max-age=\(max(0, ttl.components.seconds))"
        }
        fields[.ipfsPath] = request.path.encoded
        setForm(.ipnsRecord, kind: .attachment, cid: key.cid, in: &fields)
        fields[.xContentTypeOptions] = "nosniff"
        return bytes(fields, of: record)
    }
}

/// A source for answers that need no blocks.
private struct NoBlocks: BlockSource {
    func block(_ cid: CID) async throws -> ByteBuffer { throw BlockUnavailable(cid) }
    func prefetch(_ cids: [CID]) {}
}
