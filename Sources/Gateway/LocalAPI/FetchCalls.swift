// Our own call to fetch a URL, with head, content, trace and errors in one framed stream.

import HTTPTypes
import Hummingbird
import HummingbirdCore
import IPLD
import NIOCore
import Weft

extension LocalServices {
    func addFetchRoutes(to router: Router<LocalContext>) {
        router.callForClient("/weft/v1/fetch") { call in try await fetch(call) }
    }

    private func fetch(_ call: APIRequest) async throws -> ServerResponse {
        guard let url = call["url"] else { throw APIError.badArgument("'url' is missing") }
        var request = Weft.Request(url)
        if let text = call["method"] {
            guard let method = HTTPRequest.Method(rawValue: text.uppercased()) else {
                throw APIError.badArgument("'\(text)' is no method")
            }
            request.method = method
        }
        for header in call.all("header") {
            let parts = header.split(separator: ":", maxSplits: 1)
            guard parts.count == 2, let name = HTTPField.Name(String(parts[0])) else {
                throw APIError.badArgument("'\(header)' is no header field")
            }
            let value = String(parts[1].drop { $0 == " " })
            request.headers.append(HTTPField(name: name, value: value))
        }
        if let text = call["cache"] {
            guard let mode = Weft.Request.CacheMode(rawValue: text) else {
                let known = Weft.Request.CacheMode.allCases.map(\.rawValue)
                throw APIError.badArgument("cache must be one of \(known.joined(separator: ", "))")
            }
            request.cache = mode
        }
        request.integrity = call["integrity"]
        request.mesh = try call.limits(node.configuration)
        if call.request.headers[.contentType] != nil {
            request.body = Weft.ResponseBody(call.request.body)
        }
        let start = ContinuousClock.now
        do {
            let response = try await node.fetch(request)
            count(response.mesh.trace.entries, "ok", since: start)
            let head = Value.object([
                "url": .string(response.url), "status": .number(response.status.code),
                "reason": .string(response.status.reasonPhrase),
                "redirected": .bool(response.redirected),
                "headers": .map(
                    response.headers.map { .init($0.name.rawName, .string($0.value)) }),
            ])
            return try await APIAnswer.bytes(
                call, type: "application/octet-stream", head: head, trace: response.mesh.trace,
                response.body)
        } catch let error as FetchError {
            count(error.trace, error.code.rawValue, since: start)
            throw error
        }
    }

    private func count(
        _ trace: [Trace.Entry], _ result: String, since start: ContinuousClock.Instant
    ) {
        metrics.observe(
            .fetchSeconds, #"result="\#(result)""#, start.duration(to: ContinuousClock.now))
        for entry in trace where entry.step == .provider || entry.step == .store {
            let outcome = entry.succeeded == true ? "ok" : "failed"
            if entry.step == .store {
                metrics.count(.cacheReads, #"result="\#(outcome)""#)
            } else {
                metrics.count(.providerAnswers, #"result="\#(outcome)""#)
                metrics.count(.fetchedBytes, by: entry.bytes)
            }
        }
    }
}
