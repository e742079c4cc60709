// One request and its answer, between the HTTP server and the gateway.

import HTTPTypes
import Hummingbird
import HummingbirdCore
import NIOCore
import Synchronization
import Weft

extension Gateway {
    /// How many bytes an answer may be ahead of its event loop before it waits for it.
    private static let maxAhead = 64 << 10
    /// The largest body of a request that is read: the record of a name.
    private static let maxBodyBytes = maxRecordBytes

    /// Answers one request of a connection.
    @concurrent func answer(
        _ request: HummingbirdCore.Request, _ writer: consuming ResponseWriter,
        _ channel: any Channel
    ) async throws {
        var incoming = Incoming(request.head)
        let isCall = Self.isCall(incoming.head)
        if incoming.head.method == .put, !isCall {
            do {
                incoming.body = try await request.body.collect(upTo: Self.maxBodyBytes)
            } catch {
                let refusal = ContentError(
                    .contentTooLarge, "a body has at most \(Self.maxBodyBytes) bytes")
                let response = Self.refusal(refusal, of: incoming.head)
                _ = try await Self.write(response, to: writer, channel, for: incoming.head)
                return
            }
        }
        if isCall, ![.get, .head, .options].contains(incoming.head.method) {
            incoming.stream = Weft.ResponseBody(request.body)
        }
        let start = ContinuousClock.now
        var response =
            isCall
            ? try await channel.working { [self, incoming] in await respond(to: incoming) }
            : await respond(to: incoming)
        defer {
            options.metrics?.observe(
                .requestSeconds, #"server="gateway""#, start.duration(to: ContinuousClock.now))
        }
        let small: ByteBuffer?
        do {
            small = try await cache.keep(response, of: incoming.head, in: self)
        } catch {
            response = Self.refusal(error, of: incoming.head)
            small = nil
        }
        if let small {
            options.metrics?.countAnswer(response.status.code, bytes: small.readableBytes)
            try await writer.write(
                response: Self.head(of: response), body: .init(byteBuffer: small))
            return
        }
        let bytes = try await Self.write(response, to: writer, channel, for: incoming.head)
        options.metrics?.countAnswer(response.status.code, bytes: bytes)
    }

    private static func refusal(_ error: any Error, of head: HTTPRequest) -> Weft.Response {
        var response = ErrorAnswer(error, to: head.method, headers: head.headerFields).response
        CrossOrigin.append(to: &response.headers, isCall(head) ? .calls : .content)
        return response
    }

    private static func head(of response: Weft.Response) -> HTTPResponse {
        var fields = response.headers
        fields[.date] = DateField.now
        return HTTPResponse(status: response.status, headerFields: fields)
    }

    /// Writes an answer and says how many bytes its body has; a body that fails ends the
    /// connection, so that the client notices.
    @concurrent private static func write(
        _ response: Weft.Response, to writer: consuming ResponseWriter, _ channel: any Channel,
        for request: HTTPRequest
    ) async throws -> Int {
        var response = response
        var parts = response.body.makeAsyncIterator()
        let start: ByteBuffer?
        do {
            start = try await parts.next()
        } catch {
            // Nothing has been sent yet, so that what went wrong can still be said.
            response = refusal(error, of: request)
            parts = response.body.makeAsyncIterator()
            start = try await parts.next()
        }
        var head = head(of: response)
        guard let first = start else {
            // To HEAD, the length of a body that is not made would be a guess.
            if request.method != .head, head.headerFields[.contentLength] == nil,
                head.status.code >= 200,
                head.status != .noContent, head.status != .notModified
            {
                head.headerFields[.contentLength] = "0"
            }
            try await writer.writeResponse(head)
            return 0
        }
        if let length = head.headerFields[.contentLength], length == "\(first.readableBytes)" {
            try await writer.write(response: head, body: .init(byteBuffer: first))
            return first.readableBytes
        }
        var body = try await writer.writeHead(head)
        var bytes = first.readableBytes
        let seen = SeenBytes()
        var noted = 0
        try await body.write(first)
        while let part = try await parts.next() {
            // The writer knows that the socket is full only after the event loop has seen what was
            // written. Without minding that, a busy loop lets each connection pile up its whole
            // answer in memory.
            if bytes - seen.count.load(ordering: .relaxed) >= maxAhead {
                try await channel.eventLoop.submit {}.get()
                seen.count.store(bytes, ordering: .relaxed)
                noted = bytes
            } else if bytes - noted >= maxAhead / 2 {
                noted = bytes
                channel.eventLoop.execute { [bytes] in
                    seen.count.store(bytes, ordering: .relaxed)
                }
            }
            bytes += part.readableBytes
            try await body.write(part)
        }
        try await body.finish(nil)
        return bytes
    }
}

/// How much of an answer its event loop has seen.
private final class SeenBytes: Sendable {
    let count = Atomic(0)
}

extension Metrics {
    /// Counts one answer of the gateway.
    func countAnswer(_ status: Int, bytes: Int) {
        let kind =
            switch status {
            case 200..<300: #"server="gateway",status="2xx""#
            case 300..<400: #"server="gateway",status="3xx""#
            case 400..<500: #"server="gateway",status="4xx""#
            default: #"server="gateway",status="5xx""#
            }
        count(.requests, kind)
        count(.bytesSent, #"server="gateway""#, by: UInt64(bytes))
    }
}
