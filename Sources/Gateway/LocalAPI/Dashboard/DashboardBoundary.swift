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
        "/weft/v1/balance", "/weft/v1/bandwidth", "/weft/v1/call/show", "/weft/v1/config",
        "/weft/v1/doctor", "/weft/v1/limits", "/weft/v1/peers", "/weft/v1/status",
        "/api/v0/repo/stat",
    ]
    /// The settings that it shows and changes: ceilings and switches, nothing that names a file
    /// or says whom this node believes.
    static let settings: Set<String> = Set(MeshCeiling.all.map(\.key)).union([
        "compute.calls", "compute.contracts", "compute.gas", "compute.input", "compute.memory",
        "compute.output", "compute.price", "compute.serve", "compute.slots", "compute.time",
        "mesh.bandwidth-in", "mesh.bandwidth-out", "mesh.bandwidth-exchange-in",
        "mesh.bandwidth-exchange-out", "mesh.bandwidth-other-in", "mesh.bandwidth-other-out",
        "mesh.profile", "mesh.reach", "storage.cache-ttl", "storage.max",
    ])
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
            guard let file = dashboard.pages.file(path, in: .dashboard),
                let bytes = try await PageFolder.bytes(of: file)
            else { throw APIError("there is no such page", status: .notFound) }
            return ServerResponse(
                status: .ok, headers: [.contentType: file.type],
                body: ServerBody(byteBuffer: bytes))
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
        let site = HTTPField.Name.secFetchSite.flatMap { head.headerFields[$0] }
        let isOwn =
            origins.allSatisfy { $0 == "http://\(authority)" }
            && (site == nil || site == "same-origin" || site == "none")
        let mode = HTTPField.Name("Sec-Fetch-Mode").flatMap { head.headerFields[$0] }
        if isOwn || (isReading && mode == "navigate" && origins.isEmpty) { return nil }
        return APIError(
            "requests of other pages are refused", code: .forbidden, status: .forbidden)
    }

    /// Exchanges an invitation for a key.
    private func enter(_ request: ServerRequest) async throws -> ServerResponse {
        let body = try await request.body.collect(upTo: DashboardKeys.maxLength)
        guard let key = dashboard.keys.accept(String(buffer: body)) else {
            throw APIError(
                "this invitation has been used or is too old; `weft dashboard` prints another one",
                code: .forbidden, status: .unauthorized)
        }
        return APIAnswer.json(["key": .string(key)])
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
