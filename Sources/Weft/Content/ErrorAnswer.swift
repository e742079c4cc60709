// What a client is told when content cannot be answered: a status, and the reason as text, as a
// page or as JSON, whichever it accepts. Nothing in it comes from this machine's file system.

public import HTTPTypes
import IPLD
import Multiformats
import NIOCore
import Wire

/// An error as an answer.
public struct ErrorAnswer {
    /// The status that the error comes to.
    public let status: HTTPResponse.Status
    private let message: String
    private let trace: [Trace.Entry]
    private let method: HTTPRequest.Method
    private let accept: String
    private let isOnlyIfCached: Bool
    /// Whether it would be the same again.
    private var isLasting = false

    /// Says what an error means to whoever sent a request with these headers.
    public init(_ error: any Error, to method: HTTPRequest.Method, headers: HTTPFields) {
        self.method = method
        accept = headers[.accept] ?? ""
        isOnlyIfCached = headers[.cacheControl]?.contains("only-if-cached") ?? false
        var trace: [Trace.Entry] = []
        switch error {
        case let error as ContentError: (status, message) = (error.status, error.message)
        case let error as BlockUnavailable:
            status = isOnlyIfCached ? .preconditionFailed : .notFound
            message = "\(error)"
        case let error as FetchError:
            status = Self.status(of: error.code, isOnlyIfCached)
            message = error.message
            trace = error.trace
            isLasting = error.code == .overLimit
        case let error as DAGError:
            let meaning = ContentError(error, on: [])
            (status, message) = (meaning.status, meaning.message)
        case let error as DecodeError:
            status = error.kind == .unsupported ? .notImplemented : .internalServerError
            message = "the content is damaged: \(error)"
        case is CancellationError:
            (status, message) = (.serviceUnavailable, "the request was abandoned")
        default:
            (status, message) = (.internalServerError, "the request failed inside this node")
        }
        self.trace = trace
    }

    /// The answer.
    public var response: Response {
        var fields = HTTPFields()
        if [429, 502, 503, 504].contains(status.code), !isLasting { fields[.retryAfter] = "30" }
        if status == .methodNotAllowed { fields[.allow] = "GET, HEAD, OPTIONS" }
        if status == .preconditionFailed, isOnlyIfCached {
            return Response(status: status, headers: fields)
        }
        let body: String
        if accept.contains("text/html") {
            fields[.contentType] = "text/html; charset=utf-8"
            body = page
        } else if accept.contains("application/json") {
            fields[.contentType] = "application/json"
            body = json
        } else {
            fields[.contentType] = "text/plain; charset=utf-8"
            body = text
        }
        fields[.contentLength] = "\(body.utf8.count)"
        return Response(
            status: status, headers: fields,
            body: method == .head ? .empty : ResponseBody(ByteBuffer(string: body)))
    }

    private static func status(
        of code: FetchError.Code, _ isOnlyIfCached: Bool
    ) -> HTTPResponse.Status {
        switch code {
        case .notFound, .offline: isOnlyIfCached ? .preconditionFailed : .notFound
        case .deadline: .gatewayTimeout
        case .blocked: .gone
        case .badRequest: .badRequest
        case .unverifiable, .network, .redirect: .badGateway
        case .tooLarge: .contentTooLarge
        case .malformed: .internalServerError
        case .resource, .overLimit: .serviceUnavailable
        case .notSupported: .notImplemented
        }
    }

    private var text: String {
        trace.isEmpty ? message + "\n" : message + "\n\n" + Trace.text(of: trace) + "\n"
    }

    private var page: String {
        var out = PageStyle.opening(title: "\(status.code) \(status.reasonPhrase)")
        out += "<h1>\(status.code) \(PageStyle.escaped(status.reasonPhrase))</h1>\n"
        out += "<p>\(PageStyle.escaped(message))</p>\n"
        if !trace.isEmpty {
            out += "<details><summary>What was tried</summary><pre>"
            out += "\(PageStyle.escaped(Trace.text(of: trace)))</pre></details>\n"
        }
        return out + PageStyle.closing
    }

    private var json: String {
        let tried = trace.map { entry in
            Value.map([
                .init("step", .string(entry.step.rawValue)),
                .init("subject", .string(entry.subject)), .init("peer", .string(entry.peer)),
                .init("outcome", .string(entry.outcome)),
                .init("succeeded", entry.succeeded.map { .bool($0) } ?? .null),
                .init("bytes", .integer(Int128(entry.bytes))),
                .init("began_ms", .integer(Int128(entry.began.wholeMilliseconds))),
                .init("took_ms", .integer(Int128(entry.took.wholeMilliseconds))),
            ])
        }
        let answer = Value.map([
            .init("status", .integer(Int128(status.code))), .init("message", .string(message)),
            .init("trace", .list(tried)),
        ])
        // There is nothing in it that JSON cannot say.
        return String(decoding: (try? JSON.encode(answer)) ?? [], as: UTF8.self) + "\n"
    }
}
