// The kinds of answer: one JSON object, JSON objects one a line, or bytes, plain or in frames.

import HTTPTypes
import Hummingbird
import HummingbirdCore
import IPLD
import NIOCore
import Weft

/// Builds answers.
enum APIAnswer {
    /// One JSON object with a line break, as Kubo's.
    static func json(_ entries: KeyValuePairs<String, Value?>) -> ServerResponse {
        json(.object(entries))
    }

    /// One JSON value with a line break.
    static func json(_ value: Value) -> ServerResponse {
        ServerResponse(
            status: .ok, headers: [.contentType: "application/json"],
            body: ServerBody(byteBuffer: line(value)))
    }

    /// No body.
    static var empty: ServerResponse {
        ServerResponse(status: .ok, headers: [.contentType: "text/plain"])
    }

    /// Writes one JSON object of an answer that has one a line.
    typealias Emit = @concurrent (Value) async throws -> Void

    /// JSON objects, one a line, as they come. An error after the first is a line of its own and
    /// a trailer.
    static func lines(
        _ make: @escaping @Sendable @concurrent (Emit) async throws -> Void
    ) -> ServerResponse {
        var headers: HTTPFields = [.contentType: "application/json"]
        if let name = HTTPField.Name("X-Chunked-Output") { headers[name] = "1" }
        if let name = HTTPField.Name("Trailer") { headers[name] = streamError }
        return ServerResponse(
            status: .ok, headers: headers,
            body: ServerBody { writer in
                var failure: APIError?
                do {
                    try await make { @concurrent value in
                        try await writer.write(line(value))
                    }
                } catch {
                    failure = APIError(error)
                }
                if let failure { try await writer.write(line(failure.json)) }
                try await finish(writer, trailer: failure?.message)
            })
    }

    private static func line(_ value: Value) -> ByteBuffer {
        var line = JSONText.bytes(of: value)
        line.writeInteger(UInt8(ascii: "\n"))
        return line
    }

    /// The name of the trailer that says why a stream ended early.
    static let streamError = "X-Stream-Error"

    /// Bytes as they come.
    ///
    /// With frames, every error has its reason. Without, the first bytes are awaited before the
    /// head is sent, so that most errors become an answer of their own; a later one ends the
    /// stream early with a trailer.
    static func bytes(
        _ call: APIRequest, type: String, headers: HTTPFields = [:], head: Value? = nil,
        trace: Trace? = nil, _ body: Weft.ResponseBody
    ) async throws -> ServerResponse {
        var headers = headers
        if call.wantsFrames {
            headers[.contentType] = Frame.mediaType
            return ServerResponse(
                status: .ok, headers: headers,
                body: ServerBody { writer in
                    try await framed(body, head: head, trace: trace, to: &writer)
                })
        }
        headers[.contentType] = type
        if let name = HTTPField.Name("X-Stream-Output") { headers[name] = "1" }
        if let name = HTTPField.Name("Trailer") { headers[name] = streamError }
        let pulled = PulledBody(body)
        let first = try await pulled.next()
        return ServerResponse(
            status: .ok, headers: headers,
            body: ServerBody { writer in
                do {
                    if let first { try await writer.write(first) }
                    while let next = try await pulled.next() { try await writer.write(next) }
                } catch {
                    try await finish(writer, trailer: APIError(error).message)
                    throw error
                }
                try await finish(writer, trailer: nil)
            })
    }

    @concurrent private static func framed(
        _ body: Weft.ResponseBody, head: Value?, trace: Trace?,
        to writer: inout any ResponseBodyWriter
    ) async throws {
        if let head { try await write(Frame(.head, JSONText.bytes(of: head)), to: &writer) }
        do {
            for try await chunk in body {
                var rest = chunk
                while rest.readableBytes > 0 {
                    let length = min(rest.readableBytes, Frame.maxPayload)
                    guard let payload = rest.readSlice(length: length) else { break }
                    try await write(Frame(.data, payload), to: &writer)
                }
            }
            if let trace {
                try await write(
                    Frame(.trace, JSONText.bytes(of: trace.entries.json)), to: &writer)
            }
            try await write(Frame(.end), to: &writer)
        } catch {
            var failure = APIError(error)
            if failure.trace.isEmpty, let trace { failure.trace = trace.entries }
            try await write(Frame(.error, JSONText.bytes(of: failure.json)), to: &writer)
        }
        try await finish(writer, trailer: nil)
    }

    @concurrent private static func write(
        _ frame: Frame, to writer: inout any ResponseBodyWriter
    ) async throws {
        try await writer.write(frame.header)
        if frame.payload.readableBytes > 0 { try await writer.write(frame.payload) }
    }

    @concurrent private static func finish(
        _ writer: any ResponseBodyWriter, trailer: String?
    ) async throws {
        var fields: HTTPFields?
        if let trailer, let name = HTTPField.Name(streamError) {
            let line = trailer.split(whereSeparator: \.isNewline).joined(separator: " ")
            fields = [name: line]
        }
        try await writer.finish(fields)
    }
}

/// A body that is pulled from different places one after the other.
private actor PulledBody {
    private var iterator: Weft.ResponseBody.AsyncIterator

    init(_ body: Weft.ResponseBody) { iterator = body.makeAsyncIterator() }

    func next() async throws -> ByteBuffer? {
        var iterator = iterator
        defer { self.iterator = iterator }
        return try await iterator.next()
    }
}
