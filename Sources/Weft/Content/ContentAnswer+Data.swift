// Answers for blocks of the data codecs: dag-json, dag-cbor, json and cbor, as they are, and as
// a page that people can read (specs.ipfs.tech/http-gateways/path-gateway, IPIP-524).

import HTTPTypes
import IPLD
import Multiformats
import NIOCore
import Wire

extension ContentAnswer {
    /// A block of a data codec in the form asked for, or its own.
    func data(_ resolved: ResolvedContent) throws -> Response {
        guard let own = Self.form(of: resolved.cid.codec) else {
            throw ContentError(
                .notAcceptable,
                "the codec of \(resolved.cid) cannot be shown; ask for format=raw or format=car")
        }
        if accepted.format == nil, accepted.wantsHTML, own != .json, own != .cbor {
            return try preview(resolved)
        }
        try requireBlock(resolved)
        let form = accepted.format ?? own
        var block = resolved.block
        if !Self.isSame(form, as: own) {
            guard conversion == .allowed else {
                throw ContentError(
                    .notAcceptable,
                    "\(resolved.cid) is \(own.rawValue) and is not converted to "
                        + "\(form.rawValue); ask for format=raw and convert it yourself")
            }
            block = try convert(resolved, to: form)
        } else if accepted.format != nil {
            try validate(resolved)
        }
        var fields = headers(
            resolved, type: form.mediaType, tag: "\"\(resolved.cid).\(form.rawValue)\"")
        let isText = form == .json || form == .dagJSON
        setForm(form, kind: isText ? .inline : .attachment, cid: resolved.cid, in: &fields)
        if form == .dagCBOR || form == .cbor { fields[.xContentTypeOptions] = "nosniff" }
        return bytes(fields, of: block)
    }

    /// Refuses a data form for what is no data.
    func refuseData(_ resolved: ResolvedContent, _ form: ResponseFormat) throws -> Response {
        guard conversion == .allowed, resolved.cid.codec == .dagPB else {
            throw ContentError(
                .notAcceptable,
                "\(resolved.cid) is not \(form.rawValue) and is not converted to it; "
                    + "ask for format=raw and convert it yourself")
        }
        var fields = headers(
            resolved, type: form.mediaType, tag: "\"\(resolved.cid).\(form.rawValue)\"")
        let isText = form == .json || form == .dagJSON
        setForm(form, kind: isText ? .inline : .attachment, cid: resolved.cid, in: &fields)
        return bytes(fields, of: try convert(resolved, to: form))
    }

    private static func form(of codec: Codec) -> ResponseFormat? {
        switch codec {
        case .dagJSON: .dagJSON
        case .dagCBOR: .dagCBOR
        case .json: .json
        case .cbor: .cbor
        default: nil
        }
    }

    /// Whether bytes of one form can be labelled as the other: the DAG forms are plain JSON and
    /// CBOR too, but not the other way round.
    private static func isSame(_ form: ResponseFormat, as own: ResponseFormat) -> Bool {
        form == own || (form == .json && own == .dagJSON) || (form == .cbor && own == .dagCBOR)
    }

    private func validate(_ resolved: ResolvedContent) throws(ContentError) {
        _ = try value(of: resolved)
    }

    private func value(of resolved: ResolvedContent) throws(ContentError) -> Value {
        do throws(DecodeError) {
            return try IPLDCodec.decode(
                resolved.block.readableBytesSpan, codec: resolved.cid.codec)
        } catch {
            throw ContentError(.internalServerError, "\(resolved.cid) is not valid: \(error)")
        }
    }

    private func convert(
        _ resolved: ResolvedContent, to form: ResponseFormat
    ) throws(ContentError) -> ByteBuffer {
        let codec: Codec =
            switch form {
            case .dagJSON, .json: .dagJSON
            default: .dagCBOR
            }
        let value = try value(of: resolved)
        do throws(EncodeError) {
            return ByteBuffer(bytes: try IPLDCodec.encode(value, codec: codec))
        } catch {
            throw ContentError(
                .notAcceptable, "\(resolved.cid) cannot be written as \(form.rawValue): \(error)")
        }
    }

    /// A page that shows the value with working links.
    private func preview(_ resolved: ResolvedContent) throws -> Response {
        let tag = "\"DagIndex-\(DirectoryPage.version)_CID-\(resolved.cid)\""
        let fields = headers(
            resolved, type: "text/html; charset=utf-8", tag: tag, caching: .page)
        if let response = notModified(fields) { return response }
        guard !isHead else { return Response(status: status, headers: fields) }
        var value = try value(of: resolved)
        for segment in resolved.remainder {
            value = value[segment] ?? Int(segment).flatMap { value[$0] } ?? .null
        }
        var page = PageStyle.opening(title: "\(resolved.cid)")
        page += "<h1 translate=\"no\">\(PageStyle.escaped("\(resolved.cid)"))</h1>\n"
        page += "<p class=\"soft\">\(resolved.cid.codec.name ?? "data") · "
        page += "<a href=\"?format=raw&amp;download=true\">block</a> · "
        page += "<a href=\"?format=car&amp;download=true\">CAR</a></p>\n<pre>"
        ValuePage(links: request.site).append(value, indent: 0, to: &page)
        page += "</pre>\n" + PageStyle.closing
        return Response(
            status: status, headers: fields, body: ResponseBody(ByteBuffer(string: page)))
    }
}

/// Writes a value as indented DAG-JSON with links that can be followed.
private struct ValuePage {
    /// A page stops here; the block itself can be downloaded.
    private static let maxBytes = 1 << 20
    private static let maxIndent = 64

    let links: ContentRequest.Site

    func append(_ value: Value, indent: Int, to page: inout String) {
        guard page.utf8.count < Self.maxBytes, indent < Self.maxIndent else {
            page += "…"
            return
        }
        switch value {
        case .null: page += "null"
        case .bool(let flag): page += flag ? "true" : "false"
        case .integer(let number): page += "\(number)"
        case .float(let number): page += "\(number)"
        case .string(let text): page += quoted(text)
        case .bytes(let bytes): page += "<i>\(bytes.count) bytes</i>"
        case .link(let cid): appendLink(cid, to: &page)
        case .list(let items):
            page += "[\n"
            for (index, item) in items.enumerated() {
                page += margin(indent + 1)
                append(item, indent: indent + 1, to: &page)
                page += index + 1 < items.count ? ",\n" : "\n"
            }
            page += margin(indent) + "]"
        case .map(let entries):
            page += "{\n"
            for (index, entry) in entries.enumerated() {
                page += margin(indent + 1) + quoted(entry.key) + ": "
                append(entry.value, indent: indent + 1, to: &page)
                page += index + 1 < entries.count ? ",\n" : "\n"
            }
            page += margin(indent) + "}"
        }
    }

    private func appendLink(_ cid: CID, to page: inout String) {
        let host =
            switch links {
            case .path: ""
            case .subdomain(let gateway): "//\(gateway)"
            case .dnslink: ""
            }
        if case .dnslink = links {
            page += "{\"/\": \"\(cid)\"}"
        } else {
            page += "{\"/\": \"<a href=\"\(PageStyle.escaped(host))/ipfs/\(cid)\">\(cid)</a>\"}"
        }
    }

    private func quoted(_ text: String) -> String { "\"\(PageStyle.escaped(text))\"" }

    private func margin(_ indent: Int) -> String { String(repeating: "  ", count: indent) }
}
