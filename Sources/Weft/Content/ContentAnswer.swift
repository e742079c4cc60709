// One request being answered: what all forms of the answer have in common.

import HTTPTypes
import Multiformats
import NIOCore

/// One request being answered.
struct ContentAnswer {
    let request: ContentRequest
    let reader: ContentReader
    let accepted: AcceptedFormat
    let conversion: ContentResponder.CodecConversion
    /// The status of a good answer; another one when a rule for missing pages says so.
    var status = HTTPResponse.Status.ok
    /// What the path was rewritten to, if a rule did so.
    var rewritten: [String]?

    /// How caches may treat an answer.
    enum Caching {
        /// The bytes follow from the path.
        case content
        /// The page is made here and may look different tomorrow.
        case page
    }

    init(
        _ request: ContentRequest, reader: ContentReader,
        conversion: ContentResponder.CodecConversion
    ) throws(ContentError) {
        self.request = request
        self.reader = reader
        self.conversion = conversion
        self.accepted = try AcceptedFormat(
            query: request.query, accept: request.headers[.accept])
    }

    /// The last name of the path, or the root.
    var name: String { (rewritten ?? request.path.segments).last ?? request.path.root }

    var isHead: Bool { request.method == .head }

    /// The header fields that all good answers have.
    func headers(
        _ resolved: ResolvedContent, type: String, tag: String, caching: Caching = .content
    ) -> HTTPFields {
        var fields = HTTPFields()
        fields.reserveCapacity(12)
        fields[.contentType] = type
        fields[.eTag] = tag
        // Caches, those of browsers too, know an answer by its URL.
        if request.query["format"] == nil { fields[.vary] = "Accept" }
        fields[.ipfsPath] = request.path.encoded
        fields[.ipfsRoots] = resolved.roots.map(\.description).joined(separator: ",")
        switch (request.lifetime, caching) {
        case (.immutable, .content):
            fields[.cacheControl] = "public, max-age=29030400, immutable"
        case (.immutable, .page):
            fields[.cacheControl] = "public, max-age=604800, stale-while-revalidate=2678400"
        case (.mutable(let ttl?), _):
            fields[.cacheControl] = "public, max-age=\(max(0, ttl.components.seconds))"
        case (.mutable(nil), _): break
        }
        return fields
    }

    /// A 304 if the client has what `tag` stands for.
    func notModified(_ fields: HTTPFields) -> Response? {
        guard status == .ok, let known = request.headers[.ifNoneMatch], let tag = fields[.eTag],
            EntityTag.matches(known, tag)
        else { return nil }
        var fields = fields
        fields[.contentType] = nil
        return Response(status: .notModified, headers: fields)
    }

    /// Fields of the answer in an explicit form: how to save it, and the URL that is that form.
    func setForm(
        _ format: ResponseFormat, kind: ContentDisposition.Kind, cid: CID,
        in fields: inout HTTPFields
    ) {
        let filename = request.query["filename"].flatMap { $0.isEmpty ? nil : $0 }
        let isDownload = request.query["download"] == "true"
        fields[.contentDisposition] =
            ContentDisposition(
                kind: isDownload ? .attachment : kind,
                filename: filename ?? "\(cid).\(format.fileExtension)"
            ).value
        if accepted.comesFromHeader, accepted.format == format {
            var link = request.link(to: request.path.segments)
            if request.path.hasTrailingSlash || link.isEmpty { link += "/" }
            let rest = request.query.text.split(separator: "&").filter {
                !$0.hasPrefix("format=")
            }
            let query = (rest + ["format=\(format.rawValue)"]).joined(separator: "&")
            fields[.contentLocation] = "\(link)?\(query)"
        }
    }

    /// Answers bytes of a known size, in whole or in the ranges asked for.
    func bytes<Body: ByteStream>(
        _ fields: HTTPFields, size: UInt64, body: (Range<UInt64>?) -> Body
    ) -> Response {
        var fields = fields
        if let response = notModified(fields) { return response }
        fields[.acceptRanges] = "bytes"
        var ranges = ByteRanges.whole
        if status == .ok, request.method == .get, let field = request.headers[.range],
            request.headers[.ifRange].map({ $0 == fields[.eTag] }) ?? true
        {
            ranges = ByteRanges(field, size: size)
        }
        switch ranges {
        case .whole:
            fields[.contentLength] = "\(size)"
            return Response(
                status: status, headers: fields,
                body: isHead || size == 0 ? .empty : ResponseBody(body(nil)))
        case .unsatisfiable:
            var plain = HTTPFields()
            plain[.contentRange] = "bytes */\(size)"
            plain[.contentLength] = "0"
            return Response(status: .rangeNotSatisfiable, headers: plain)
        case .parts(let parts) where parts.count == 1:
            let part = parts[0]
            fields[.contentRange] = "bytes \(part.lowerBound)-\(part.upperBound - 1)/\(size)"
            fields[.contentLength] = "\(part.length)"
            return Response(
                status: .partialContent, headers: fields, body: ResponseBody(body(part)))
        case .parts(let parts):
            let stream = MultipartStream(
                parts, of: size, type: fields[.contentType] ?? "application/octet-stream",
                body: body)
            fields[.contentLength] = "\(stream.length)"
            fields[.contentType] = "multipart/byteranges; boundary=\(stream.boundary)"
            return Response(
                status: .partialContent, headers: fields, body: ResponseBody(stream))
        }
    }
}

/// Several ranges of one representation (RFC 9110, section 14.6).
struct MultipartStream<Part: ByteStream>: ByteStream {
    /// Content that somebody else has made must not be able to end a part of itself.
    let boundary = "weft-\(UInt64.random(in: .min ... .max))-\(UInt64.random(in: .min ... .max))"
    /// The length of the whole in bytes.
    let length: UInt64
    private var parts: [(head: ByteBuffer, body: Part)]
    private var tail: ByteBuffer?
    private var index = 0
    private var isInside = false

    init(
        _ ranges: [Range<UInt64>], of size: UInt64, type: String,
        body: (Range<UInt64>?) -> Part
    ) {
        var length: UInt64 = 0
        parts = []
        for range in ranges {
            let head = ByteBuffer(
                string: "\r\n--\(boundary)\r\nContent-Type: \(type)\r\n"
                    + "Content-Range: bytes \(range.lowerBound)-\(range.upperBound - 1)/\(size)"
                    + "\r\n\r\n")
            length += UInt64(head.readableBytes) + range.length
            parts.append((head, body(range)))
        }
        let end = ByteBuffer(string: "\r\n--\(boundary)--\r\n")
        self.length = length + UInt64(end.readableBytes)
        tail = end
    }

    mutating func next() async throws -> ByteBuffer? {
        while index < parts.count {
            if !isInside {
                isInside = true
                return parts[index].head
            }
            if let bytes = try await parts[index].body.next() { return bytes }
            index += 1
            isInside = false
        }
        defer { tail = nil }
        return tail
    }
}
