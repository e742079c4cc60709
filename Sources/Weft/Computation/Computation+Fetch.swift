// `weft://` for `fetch()`: a request becomes a call, and what came of it a response with headers
// `weft-gas`, `weft-record`, `weft-responder`, `weft-confidence` and `weft-cost`.

import BlockStore
import Compute
import HTTPTypes
import IPLD
import Multiformats
import NIOCore
import NIOHTTP1
import WasmEngine

extension Computation {
    /// Answers a request for a call.
    ///
    /// - Throws: ``FetchError``, `CancellationError`.
    func respond(to request: Request, url: String, trace: Trace) async throws -> Response {
        guard request.integrity == nil else {
            throw FetchError(.badRequest, "integrity is for http URLs; calls have records")
        }
        let call = try await call(request, url: url)
        do {
            let memory: Memory =
                [.reload, .noStore, .noCache].contains(request.cache) ? .unused : .used
            let (end, answer) = try await resolve(
                call, request.mesh, memory: memory, policy: Fetcher.policy(for: request.cache),
                trace: trace)
            var response = try await response(end, answer, to: call)
            if request.method == .head { response.body = .empty }
            return response
        } catch {
            throw failure(error, trace)
        }
    }

    /// The call that a request asks for.
    private func call(_ request: Request, url: String) async throws -> Call {
        let body = try await body(of: request)
        do throws(CallFault) {
            var headers = CallHeaders()
            for field in request.headers
            where Self.reachesContract(field.name.canonicalName) {
                try headers.append(field.name.canonicalName, field.value)
            }
            // A HEAD is the call that a GET would be, so that it can say what that answers.
            let verb: HTTPRequest.Method =
                switch request.method {
                case .head: .get
                case .get: request.body == nil ? .get : .post
                default: request.method
                }
            return try Call(
                url: url, method: verb.rawValue, headers: headers, body: body,
                gas: UInt64(limits.gas))
        } catch {
            throw FetchError(.badRequest, "'\(url.prefix(200))' cannot be called: \(error)")
        }
    }

    private static func reachesContract(_ name: String) -> Bool {
        name == "weft-gas" || CallHeaders.reachesContract(name)
    }

    /// The body of a request: a long one is added as content.
    private func body(of request: Request) async throws -> CallBody {
        guard let body = request.body else { return .empty }
        var iterator = body.makeAsyncIterator()
        var start = ByteBuffer()
        var file: BodyFile?
        var count: UInt64 = 0
        while let part = try await iterator.next() {
            count += UInt64(part.readableBytes)
            guard count <= limits.input else {
                throw FetchError(
                    .tooLarge, "the body is longer than \(limits.input) bytes (compute.input)")
            }
            if file == nil {
                start.writeImmutableBuffer(part)
                guard start.readableBytes > CallLimits.maxInlineBytes else { continue }
                file = BodyFile()
            }
            let blocks = try file?.append(start.readableBytes > 0 ? start : part) ?? []
            start = ByteBuffer()
            if !blocks.isEmpty { try await store.put(blocks) }
        }
        guard let (root, last) = try file?.finish() else { return .inline([UInt8](buffer: start)) }
        try await store.put(last)
        return .content(root)
    }

    // MARK: - Answers

    private func response(
        _ end: CallEnd, _ given: Compute.CallResult?, to call: Call
    ) async throws -> Response {
        switch end {
        case .noMethod(let text): return Self.refusal(.notFound, text)
        case .noContract(let text): return Self.refusal(.unprocessableContent, text)
        case .result(let result, let isFresh):
            var response = try await answer(result)
            let info = CallInfo(result, given, isFresh: isFresh)
            response.mesh.root = call.contract
            response.mesh.call = info
            // Contracts cannot set these, so that none is there yet.
            for (name, value) in [
                (HTTPField.Name.weftGas, "\(info.gas)"), (.weftRecord, "\(info.record)"),
                (.weftResponder, info.responderText), (.weftConfidence, info.confidence),
                (.weftCost, "\(info.amount)"),
            ] {
                response.headers.append(HTTPField(name: name, value: value))
            }
            return response
        }
    }

    private func answer(_ result: CallResult) async throws -> Response {
        guard let output = result.record.output else {
            var response = Self.refusal(.internalServerError, result.refusal ?? "")
            response.headers[.weftOutcome] = result.record.outcome.word
            return response
        }
        var fields = HTTPFields()
        for header in output.headers.fields {
            guard let name = HTTPField.Name(header.name), !Self.isTransport(header.name) else {
                continue
            }
            fields[name] = header.value
        }
        let code = Int(output.status)
        let status = HTTPResponse.Status(
            code: code, reasonPhrase: HTTPResponseStatus(statusCode: code).reasonPhrase)
        let body: ResponseBody
        switch output.body {
        case .inline(let bytes):
            fields[.contentLength] = "\(bytes.count)"
            body = ResponseBody(ByteBuffer(bytes: bytes))
        case .content(let root):
            let file = try await file(root)
            // Peers may grant their contracts more than this node takes.
            guard file.size <= limits.output else {
                throw ResourceFailure.output(limit: Int(clamping: limits.output))
            }
            fields[.contentLength] = "\(file.size)"
            fields[.weftContent] = "\(root)"
            body = ResponseBody(file.stream(nil))
        }
        return Response(status: status, headers: fields, body: body)
    }

    /// Headers that belong to a connection or to who serves it, or that give a page powers over
    /// the whole of an origin, or have browsers ask for its passwords. Contracts cannot set them.
    private static func isTransport(_ name: String) -> Bool {
        [
            "alt-svc", "clear-site-data", "connection", "content-length", "date", "keep-alive",
            "nel", "proxy-authenticate", "report-to", "reporting-endpoints", "server",
            "service-worker-allowed", "set-cookie", "strict-transport-security", "te", "trailer",
            "transfer-encoding", "upgrade", "www-authenticate",
        ].contains(name) || name.hasPrefix("access-control-")
            || name.hasPrefix("weft-") && name != "weft-exit"
    }

    private static func refusal(_ status: HTTPResponse.Status, _ text: String) -> Response {
        let text = text + "\n"
        return Response(
            status: status,
            headers: [
                .contentType: "text/plain; charset=utf-8", .contentLength: "\(text.utf8.count)",
            ],
            body: ResponseBody(ByteBuffer(string: text)))
    }

    /// How long a call was given, and by whom.
    func name(of time: Duration) -> String {
        "\(time) (\(time < limits.time ? "the request's deadline" : "compute.time"))"
    }

    /// Why there is no result, as a fetch says it.
    func failure(_ error: any Error, _ trace: Trace) -> any Error {
        switch error {
        case is CancellationError, is FetchError: error
        case is InstanceMemory.Exhausted: failure(ResourceFailure.memory, trace)
        case ResourceFailure.time(let time):
            FetchError(
                .deadline, "the call ran longer than \(name(of: time))", trace: trace.entries)
        case let failure as ResourceFailure:
            FetchError(failure.code, "\(failure)", trace: trace.entries)
        case is EngineUnavailable, is ContractsOff:
            FetchError(.notSupported, "\(error)", trace: trace.entries)
        case let error as ContentError:
            FetchError(.malformed, error.message, trace: trace.entries)
        default: FetchError(.malformed, "\(error)", trace: trace.entries)
        }
    }
}

extension ResourceFailure {
    /// The kind of failure, as a fetch says it.
    fileprivate var code: FetchError.Code {
        switch self {
        case .time: .deadline
        case .output, .input, .written, .calls, .depth: .overLimit
        case .memory, .busy, .stack, .engine: .resource
        }
    }
}
