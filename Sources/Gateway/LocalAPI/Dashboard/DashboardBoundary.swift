// What stands between the dashboard's port and everybody else on this machine and in its browser:
// the checks of Host and origin, a key, and a list of the calls that the dashboard makes.

import HTTPTypes
import Hummingbird
import HummingbirdCore
import IPLD
import NIOCore
import Weft

/// Answers the dashboard's pages, and lets its calls through to the owner's API.
struct DashboardBoundary: RouterMiddleware {
    typealias Context = LocalContext

    /// The calls that the dashboard makes. No other is let through, those that name files least.
    static let calls: Set<String> = [
        "/weft/v1/balance", "/weft/v1/config", "/weft/v1/doctor", "/weft/v1/limits",
        "/weft/v1/peers",
    ]
    /// The settings that it shows and changes: ceilings and switches, nothing that names a file
    /// or says whom this node believes.
    static let settings: Set<String> = [
        "compute.memory", "compute.price", "compute.serve", "compute.slots", "mesh.bandwidth-in",
        "mesh.bandwidth-out", "mesh.bandwidth-exchange-out", "mesh.connections-in",
        "mesh.connections-max", "mesh.connections-out", "mesh.dials-per-second", "mesh.memory",
        "mesh.profile", "mesh.reach", "mesh.streams-max", "storage.cache-ttl", "storage.max",
    ]
    /// Where an invitation is exchanged for a key.
    private static let door = "/session"

    let dashboard: Dashboard

    @concurrent
    func handle(
        _ request: ServerRequest, context: LocalContext,
        next: @concurrent (ServerRequest, LocalContext) async throws -> ServerResponse
    ) async throws -> ServerResponse {
        var response: ServerResponse
        do {
            response = try await answer(request, context, next)
        } catch {
            response = APIError(error).response
        }
        for field in PageHeaders.fields(of: .dashboard) {
            response.headers[field.name] = field.value
        }
        return response
    }

    private func answer(
        _ request: ServerRequest, _ context: LocalContext,
        _ next: @concurrent (ServerRequest, LocalContext) async throws -> ServerResponse
    ) async throws -> ServerResponse {
        let head = request.head
        let isReading = head.method == .get || head.method == .head
        if let refusal = Self.refusal(of: head, isReading: isReading) { throw refusal }
        let path = request.uri.path
        if isReading {
            guard let page = try await dashboard.pages.page(path, in: .dashboard) else {
                throw APIError("there is no such page", status: .notFound)
            }
            let response = ServerResponse(
                status: .ok, headers: [.contentType: page.type],
                body: ServerBody(byteBuffer: page.bytes))
            return head.method == .head ? response.createHeadResponse() : response
        }
        guard head.method == .post else {
            throw APIError("the dashboard knows GET and POST", status: .methodNotAllowed)
        }
        if path == Self.door { return try await enter(request) }
        guard let field = head.headerFields[.authorization], field.hasPrefix("Bearer "),
            dashboard.keys.isValid(field.dropFirst("Bearer ".count))
        else {
            throw APIError(
                "this needs a key: open the URL that `weft dashboard` prints", code: .forbidden,
                status: .unauthorized)
        }
        guard Self.calls.contains(path) else {
            throw APIError("the dashboard makes no such call", code: .forbidden, status: .forbidden)
        }
        if path == "/weft/v1/config" {
            let keys = try APIRequest(request).all("key")
            guard keys.count == 1, Self.settings.contains(keys[0]) else {
                throw APIError(
                    "the dashboard does not change this; use `weft config`", code: .forbidden,
                    status: .forbidden)
            }
        }
        return try await next(request, context)
    }

    /// Why a request is refused, whatever it wants. A page of another origin may lead to the
    /// dashboard by a link, and do nothing else.
    private static func refusal(of head: HTTPRequest, isReading: Bool) -> APIError? {
        guard let authority = head.authority, LoopbackGuard.isLoopback(authority: authority) else {
            return APIError(
                "the Host header must name a loopback address, such as 127.0.0.1",
                code: .forbidden, status: .forbidden)
        }
        let origins = head.headerFields[values: .origin]
        let isOwn =
            origins.allSatisfy { $0 == "http://\(authority)" }
            && !LoopbackGuard.isOfOtherOrigin(head)
        let mode = HTTPField.Name("Sec-Fetch-Mode").flatMap { head.headerFields[$0] }
        if isOwn || (isReading && mode == "navigate" && origins.isEmpty) { return nil }
        return APIError(
            "requests of other pages are refused", code: .forbidden, status: .forbidden)
    }

    /// Exchanges an invitation for a key.
    private func enter(_ request: ServerRequest) async throws -> ServerResponse {
        // What is too long is none.
        let body = try? await request.body.collect(upTo: DashboardKeys.maxLength)
        switch dashboard.keys.accept(body.map { String(buffer: $0) } ?? "") {
        case .key(let key): return APIAnswer.json(["key": .string(key)])
        case .used:
            throw APIError(
                """
                this invitation has been used before; what was opened with it is locked now; if \
                that was not you, somebody else on this machine saw it; `weft dashboard` prints \
                another one
                """, code: .forbidden, status: .unauthorized)
        case .unknown:
            throw APIError(
                "this invitation is too old; `weft dashboard` prints another one",
                code: .forbidden, status: .unauthorized)
        }
    }
}

extension LocalServices {
    /// The owner's call for an invitation to the dashboard.
    func addDashboardRoutes(to router: Router<LocalContext>) {
        router.call("/weft/v1/dashboard") { _ in
            guard stop != nil else {
                throw APIError.badArgument("no node is running; `weft up` starts one")
            }
            guard let dashboard else {
                // It says where the pages were looked for.
                _ = try PageFolder()
                throw APIError.badArgument("start the node again: it was started without its pages")
            }
            return APIAnswer.json(["url": .string(try await dashboard.invite())])
        }
    }
}
