// Content of the web whose hash the caller knows: the origin brings it, and it is checked as a
// whole before the first byte is handed out.

import AsyncHTTPClient
import BlockStore
import HTTPTypes
import NIOCore
import NIOHTTP1
import Synchronization

/// Fetches from the origin of an http URL.
struct Origin: Sendable {
    /// A body that nobody has checked yet.
    struct Body: Sendable {
        /// How large a body may be that is held in memory until it is checked.
        static let maxHeldBytes = 64 << 20

        let url: String
        fileprivate let exchange: HTTPExchange
        fileprivate let patience: Patience
        fileprivate let count: Counter

        /// The next bytes; nil at the end.
        func next() async throws -> ByteBuffer? {
            let part = try await patience.wait { try await exchange.next() }
            count.add(part?.readableBytes ?? 0)
            return part
        }

        /// All the bytes.
        ///
        /// - Throws: ``FetchError`` with the code `tooLarge` over ``maxHeldBytes``.
        func collect() async throws -> ByteBuffer {
            var whole = ByteBuffer()
            while var part = try await next() {
                guard part.readableBytes <= Self.maxHeldBytes - whole.readableBytes else {
                    throw tooLarge(UInt64(Self.maxHeldBytes))
                }
                whole.writeBuffer(&part)
            }
            return whole
        }

        func tooLarge(_ limit: UInt64) -> FetchError {
            FetchError(
                .tooLarge, "\(url) is larger than the \(limit) bytes that can be checked here")
        }
    }

    /// How many bytes have come.
    fileprivate final class Counter: Sendable {
        private let count = Atomic<UInt64>(0)

        var value: UInt64 { count.load(ordering: .relaxed) }

        func add(_ bytes: Int) { count.add(UInt64(bytes), ordering: .relaxed) }
    }

    let client: HTTPClient

    /// Fetches a URL whose content must match one of the hashes.
    func fetch(
        _ url: String, _ request: Request, hashes: [Integrity.Hash], trace: Trace
    ) async throws -> Response {
        try await fetch(url, request, trace: trace) { headers, body in
            let content = try await body.collect()
            guard hashes.contains(where: { $0.matches(content) }) else {
                throw FetchError(
                    .unverifiable, "the content of \(url) does not match its integrity")
            }
            var headers = headers
            headers[.contentLength] = "\(content.readableBytes)"
            return Response(status: .ok, headers: headers, body: ResponseBody(content))
        }
    }

    /// Fetches a URL. `check` makes the answer of a body, which it must have checked.
    ///
    /// A redirect, and the answer to HEAD, are handed back as they are, without a body.
    func fetch(
        _ url: String, _ request: Request, trace: Trace,
        check: @escaping @Sendable (HTTPFields, Body) async throws -> Response
    ) async throws -> Response {
        let mark = trace.begin(.origin, url)
        let count = Counter()
        do {
            let response = try await Patience.run(request.mesh.idleDeadline) { patience in
                try await get(
                    url, request,
                    left: request.mesh.deadline.map { max(.zero, $0 - trace.elapsed) },
                    patience: patience, count: count, check: check)
            }
            trace.end(
                mark, "answered", succeeded: true, status: response.status.code,
                bytes: count.value)
            return response
        } catch {
            let failure = failure(of: url, error, request.mesh)
            trace.end(mark, failure?.message ?? "\(error)", succeeded: false, bytes: count.value)
            try Task.checkCancellation()
            throw failure ?? error
        }
    }

    private func failure(
        of url: String, _ error: any Error, _ limits: MeshOptions
    ) -> FetchError? {
        switch error {
        case let error as FetchError: error
        case is Patience.Exhausted:
            FetchError(.deadline, "nothing came from \(url) for \(limits.idleDeadline)")
        case let error as HTTPClientError where error == .deadlineExceeded:
            FetchError(.deadline, "the deadline passed while \(url) was fetched")
        case StoreError.full: FetchError(.tooLarge, "\(url) does not fit here: \(error)")
        case is StoreError: nil
        default: FetchError(.network, "\(url) could not be fetched: \(error)")
        }
    }

    private func get(
        _ url: String, _ request: Request, left: Duration?, patience: Patience, count: Counter,
        check: (HTTPFields, Body) async throws -> Response
    ) async throws -> Response {
        var fields = HTTPHeaders()
        // A part of a body cannot be checked, and neither can an encoded one.
        for field in request.headers where !Self.withheld.contains(field.name) {
            fields.add(name: field.name.rawName, value: field.value)
        }
        let (head, exchange) = try await patience.wait {
            try await HTTPExchange.open(
                url, headers: fields, with: client, method: request.method == .head ? .HEAD : .GET,
                deadline: left.map { .now() + TimeAmount($0) })
        }
        defer { exchange.cancel() }
        var headers = HTTPFields()
        for (name, value) in head.headers {
            guard let name = HTTPField.Name(name), !Self.dropped.contains(name) else { continue }
            headers.append(HTTPField(name: name, value: value))
        }
        let status = HTTPResponse.Status(
            code: Int(head.status.code), reasonPhrase: head.status.reasonPhrase)
        if status.kind == .redirection || request.method == .head {
            return Response(status: status, headers: headers)
        }
        guard status == .ok else {
            throw FetchError(
                status.code == 404 || status.code == 410 ? .notFound : .network,
                "\(url) answered with status \(status.code)")
        }
        return try await check(
            headers, Body(url: url, exchange: exchange, patience: patience, count: count))
    }

    private static let withheld: Set<HTTPField.Name> = [
        .range, .ifRange, .acceptEncoding, .ifNoneMatch, .ifModifiedSince,
    ]
    private static let dropped: Set<HTTPField.Name> = [
        .connection, .transferEncoding, .contentLength, .trailer, .upgrade, .setCookie,
    ]
}
