// Answers as a web server gives them: files with their media type, directories with their index
// page or a listing (specs.ipfs.tech/http-gateways/path-gateway).

import HTTPTypes
import IPLD
import Multiformats
import NIOCore

extension ContentAnswer {
    /// Entries up to this number are sorted by name; a larger directory is listed as it is read.
    private static var sortedEntries: Int { 20_000 }

    /// A file.
    ///
    /// - Parameter tag: The entity tag's CID if it is not the file's own, as with an index page.
    func file(_ resolved: ResolvedContent, tag: CID? = nil, name: String? = nil) async throws
        -> Response
    {
        let filename = request.query["filename"].flatMap { $0.isEmpty ? nil : $0 }
        let file = try reader.file(resolved)
        var stream = PrimedStream(file.stream(nil))
        let hint = filename ?? name ?? (rewritten ?? request.path.segments).last
        var type = hint.flatMap(MediaType.byExtension)
        if type == nil {
            // A range elsewhere must not need the first blocks, but the type does. If they are
            // missing the type stays unknown, which is what the bytes say too.
            do {
                try await stream.draw(MediaType.sniffLength)
                type = MediaType.bySniffing(stream.head(MediaType.sniffLength))
            } catch {
                guard request.headers[.range] != nil else { throw error }
            }
        } else if !isHead, request.headers[.range] == nil {
            try await stream.draw(1)
        }
        var fields = headers(
            resolved, type: type ?? "application/octet-stream", tag: "\"\(tag ?? resolved.cid)\"")
        let isDownload = request.query["download"] == "true"
        if isDownload || filename != nil {
            fields[.contentDisposition] =
                ContentDisposition(
                    kind: isDownload ? .attachment : .inline,
                    filename: filename ?? self.name
                ).value
        }
        if let modified = file.modified { fields[.lastModified] = HTTPDate.text(modified) }
        let whole = stream
        return bytes(fields, size: file.size) { range in
            guard let range else { return AnyFileStream.whole(whole) }
            return AnyFileStream.part(file.stream(range))
        }
    }

    /// A symbolic link: its target, as text.
    func symlink(_ resolved: ResolvedContent, target: [UInt8]) -> Response {
        var fields = headers(
            resolved, type: "inode/symlink", tag: "\"\(resolved.cid)\"")
        fields[.xContentTypeOptions] = "nosniff"
        return bytes(fields, of: ByteBuffer(bytes: target))
    }

    /// A directory: a redirect to its canonical path, its index page, or a listing.
    func directory(_ resolved: ResolvedContent) async throws -> Response {
        let isAtRoot = request.hasOwnOrigin && request.path.segments.isEmpty
        if !request.path.hasTrailingSlash, !isAtRoot, rewritten == nil {
            var location = request.link(to: request.path.segments) + "/"
            if !request.query.text.isEmpty { location += "?\(request.query.text)" }
            var fields = headers(
                resolved, type: "text/html; charset=utf-8", tag: "\"\(resolved.cid)\"")
            fields[.location] = location
            fields[.eTag] = nil
            fields[.contentType] = nil
            return Response(status: .movedPermanently, headers: fields)
        }
        if let index = try await index(of: resolved) {
            let page = ResolvedContent(index, roots: resolved.roots)
            return try await file(page, tag: resolved.cid, name: "index.html")
        }
        return try await listing(resolved)
    }

    private func index(of directory: ResolvedContent) async throws -> ResolvedContent? {
        do {
            let index = try await reader.resolve(["index.html"], from: directory.cid)
            if case .file = index.entity { return index }
            return nil
        } catch let error as ContentError where error.status == .notFound {
            return nil
        }
    }

    private func listing(_ resolved: ResolvedContent) async throws -> Response {
        let tag = "\"DirIndex-\(DirectoryPage.version)_CID-\(resolved.cid)\""
        let fields = headers(
            resolved, type: "text/html; charset=utf-8", tag: tag, caching: .page)
        if let response = notModified(fields) { return response }
        guard !isHead else { return Response(status: status, headers: fields) }
        var entries = reader.entries(of: resolved.cid)
        var sorted: [DirectoryEntry] = []
        var isComplete = false
        while sorted.count < Self.sortedEntries {
            guard let entry = try await entries.next() else {
                isComplete = true
                break
            }
            sorted.append(entry)
        }
        sorted.sort { $0.name.lexicographicallyPrecedes($1.name) }
        let page = ListingStream(
            DirectoryPage(request), cid: "\(resolved.cid)", first: sorted,
            rest: isComplete ? nil : entries)
        return Response(status: status, headers: fields, body: ResponseBody(page))
    }
}

/// The page of a directory as a stream.
private struct ListingStream: ByteStream {
    /// Rows are gathered into pieces of about this many bytes.
    private static let pieceSize = 32 << 10

    private let page: DirectoryPage
    private let cid: String
    private var first: ArraySlice<DirectoryEntry>
    private var rest: EntryStream?
    private var state = State.start

    private enum State {
        case start, rows, done
    }

    init(_ page: DirectoryPage, cid: String, first: [DirectoryEntry], rest: EntryStream?) {
        self.page = page
        self.cid = cid
        self.first = first[...]
        self.rest = rest
    }

    mutating func next() async throws -> ByteBuffer? {
        guard state != .done else { return nil }
        var piece = ""
        if state == .start {
            piece = page.opening(cid: cid, count: rest == nil ? first.count : nil)
            state = .rows
        }
        while piece.utf8.count < Self.pieceSize {
            guard let entry = try await nextEntry() else {
                piece += page.closing
                state = .done
                break
            }
            piece += page.row(entry)
        }
        return ByteBuffer(string: piece)
    }

    private mutating func nextEntry() async throws -> DirectoryEntry? {
        if let entry = first.popFirst() { return entry }
        return try await rest?.next()
    }
}

/// A file from its first byte, some of which may have been read already, or a part of it.
private enum AnyFileStream: ByteStream {
    case whole(PrimedStream<FileStream>)
    case part(FileStream)

    mutating func next() async throws -> ByteBuffer? {
        switch self {
        case .whole(var stream):
            let bytes = try await stream.next()
            self = .whole(stream)
            return bytes
        case .part(var stream):
            let bytes = try await stream.next()
            self = .part(stream)
            return bytes
        }
    }
}
