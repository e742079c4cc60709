// One request and its answer, between the HTTP server and the gateway.

import HTTPTypes
import Hummingbird
import HummingbirdCore
import NIOCore
import Weft

extension Gateway {
    /// The largest body of a request that is read: the record of a name.
    private static let maxBodyBytes = maxRecordBytes

    /// Answers one request of a connection.
    @concurrent func answer(
        _ request: HummingbirdCore.Request, _ writer: consuming ResponseWriter,
        _ channel: any Channel
    ) async throws {
        var incoming = Incoming(request.head)
        if incoming.head.method == .put {
            do {
                incoming.body = try await request.body.collect(upTo: Self.maxBodyBytes)
            } catch {
                let refusal = ContentError(
                    .contentTooLarge, "a body has at most \(Self.maxBodyBytes) bytes")
                let response = ErrorAnswer(
                    refusal, to: incoming.head.method, headers: incoming.head.headerFields
                ).response
                try await Self.write(response, to: writer)
                return
            }
        }
        let response = await respond(to: incoming)
        if let buffer = try await cache.keep(response, of: incoming.head, in: self) {
            try await writer.write(
                response: Self.head(of: response), body: .init(byteBuffer: buffer))
            return
        }
        try await Self.write(response, to: writer)
    }

    private static func head(of response: Weft.Response) -> HTTPResponse {
        var fields = response.headers
        fields[.date] = DateField.now
        return HTTPResponse(status: response.status, headerFields: fields)
    }

    /// Writes an answer; a body that fails ends the connection, so that the client notices.
    @concurrent private static func write(
        _ response: Weft.Response, to writer: consuming ResponseWriter
    ) async throws {
        var head = head(of: response)
        var parts = response.body.makeAsyncIterator()
        guard let first = try await parts.next() else {
            if head.headerFields[.contentLength] == nil, head.status.code >= 200,
                head.status != .noContent, head.status != .notModified
            {
                head.headerFields[.contentLength] = "0"
            }
            try await writer.writeResponse(head)
            return
        }
        if let length = head.headerFields[.contentLength], length == "\(first.readableBytes)" {
            try await writer.write(response: head, body: .init(byteBuffer: first))
            return
        }
        var body = try await writer.writeHead(head)
        try await body.write(first)
        while let part = try await parts.next() { try await body.write(part) }
        try await body.finish(nil)
    }
}
