// Content of the web whose hash the caller knows: the origin brings it, and it is checked as a
// whole before the first byte is handed out.

import AsyncHTTPClient
import HTTPTypes
import NIOCore
import NIOHTTP1

/// Fetches from the origin of an http URL.
struct Origin: Sendable {
    /// How large a body may be, since it has to be held until it is checked.
    static let maxBytes = 64 << 20

    let client: HTTPClient

    /// Fetches a URL whose content must match one of the hashes.
    func fetch(
        _ url: String, _ request: Request, hashes: [Integrity.Hash], trace: Trace
    ) async throws -> Response {
        guard request.cache != .onlyIfCached else {
            throw FetchError(.offline, "\(url) would have to be asked for at its origin")
        }
        let mark = trace.begin(.origin, url)
        do {
            let (response, bytes) = try await get(url, request, hashes: hashes, trace: trace)
            trace.end(
                mark, "answered", succeeded: true, status: response.status.code,
                bytes: UInt64(bytes))
            return response
        } catch let error as FetchError {
            trace.end(mark, error.message, succeeded: false)
            throw error
        } catch {
            trace.end(mark, "\(error)", succeeded: false)
            try Task.checkCancellation()
            let isLate = (error as? HTTPClientError) == .deadlineExceeded
            throw FetchError(isLate ? .deadline : .network, "\(url) could not be fetched: \(error)")
        }
    }

    private func get(
        _ url: String, _ request: Request, hashes: [Integrity.Hash], trace: Trace
    ) async throws -> (Response, Int) {
        var fields = HTTPHeaders()
        // A part of a body cannot be checked, and neither can an encoded one.
        for field in request.headers where !Self.withheld.contains(field.name) {
            fields.add(name: field.name.rawName, value: field.value)
        }
        let left = request.mesh.deadline.map { max(.zero, $0 - trace.elapsed) }
        let (head, exchange) = try await HTTPExchange.open(
            url, headers: fields, with: client,
            method: request.method == .head ? .HEAD : .GET,
            deadline: .now() + TimeAmount(left ?? request.mesh.idleDeadline))
        defer { exchange.cancel() }
        var headers = HTTPFields()
        for (name, value) in head.headers {
            guard let name = HTTPField.Name(name), !Self.dropped.contains(name) else { continue }
            headers.append(HTTPField(name: name, value: value))
        }
        let status = HTTPResponse.Status(
            code: Int(head.status.code), reasonPhrase: head.status.reasonPhrase)
        if status.kind == .redirection || request.method == .head {
            return (Response(status: status, headers: headers), 0)
        }
        guard status == .ok else {
            throw FetchError(
                status.code == 404 || status.code == 410 ? .notFound : .network,
                "\(url) answered with status \(status.code)")
        }
        guard let body = try await exchange.collect(upTo: Self.maxBytes) else {
            throw FetchError(
                .tooLarge, "\(url) is larger than the \(Self.maxBytes) bytes that can be checked")
        }
        guard hashes.contains(where: { $0.matches(body) }) else {
            throw FetchError(.unverifiable, "the content of \(url) does not match its integrity")
        }
        headers[.contentLength] = "\(body.readableBytes)"
        return (
            Response(status: status, headers: headers, body: ResponseBody(body)),
            body.readableBytes
        )
    }

    private static let withheld: Set<HTTPField.Name> = [
        .range, .ifRange, .acceptEncoding, .ifNoneMatch, .ifModifiedSince,
    ]
    private static let dropped: Set<HTTPField.Name> = [
        .connection, .transferEncoding, .contentLength, .trailer, .upgrade, .setCookie,
    ]
}
