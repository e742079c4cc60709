// The local API: Kubo's RPC as far as client libraries need it (docs.ipfs.tech/reference/kubo/rpc),
// and a small part of our own under /weft/v1. One router serves the socket in the repository, a
// loopback port, and calls from this process.

public import HTTPTypes
import Hummingbird
import HummingbirdCore
public import Logging
public import NIOCore
import Synchronization
public import Weft

/// Where the servers of a node listen; known when they do.
public final class ServedAddresses: Sendable {
    private struct State {
        var gateway: String?
        var api: String?
        var pages: String?
    }

    private let state = Mutex(State())

    /// Nothing listens yet.
    public init() {}

    /// The base URL of the HTTP gateway.
    public var gateway: String? {
        get { state.withLock { $0.gateway } }
        set { state.withLock { $0.gateway = newValue } }
    }

    /// The URL of the program's own pages.
    public var pages: String? {
        get { state.withLock { $0.pages } }
        set { state.withLock { $0.pages = newValue } }
    }

    /// The base URL of the local API's loopback port.
    public var api: String? {
        get { state.withLock { $0.api } }
        set { state.withLock { $0.api = newValue } }
    }
}

/// What the calls of the local API work with.
struct LocalServices: Sendable {
    let node: Node
    let metrics: Metrics
    let addresses: ServedAddresses
    /// The dashboard; nil if there is none.
    let dashboard: Dashboard?
    /// Asks the program to end; nil in a program that ends by itself.
    let stop: (@Sendable () -> Void)?
    let started = ContinuousClock.now
    let settings = SettingsWriter()
}

/// The local API of a node.
public struct LocalAPI: Sendable {
    /// Who may call.
    public enum Access: Sendable {
        /// The owner of the repository: over its socket, or in this process. All calls.
        case owner
        /// Whoever reaches the loopback port: Kubo's RPC alone, and no web page.
        case loopback
        /// The dashboard in a browser of the owner: its pages, and the calls that they make.
        case dashboard(Dashboard)
    }

    private let services: LocalServices
    private let logger: Logger
    private let owner: RouterResponder<LocalContext>

    /// The API of a node.
    ///
    /// - Parameters:
    ///   - addresses: where the node's servers listen, to be told to callers.
    ///   - dashboard: what the owner may be invited to; nil if there is none.
    ///   - stop: what a call to stop does; nil if the program ends by itself.
    public init(
        _ node: Node, metrics: Metrics, logger: Logger,
        addresses: ServedAddresses = ServedAddresses(), dashboard: Dashboard? = nil,
        stop: (@Sendable () -> Void)? = nil
    ) {
        services = LocalServices(
            node: node, metrics: metrics, addresses: addresses, dashboard: dashboard, stop: stop)
        self.logger = logger
        owner = Self.router(services, .owner).buildResponder()
    }

    /// Answers a call of this process, without a socket.
    ///
    /// - Parameters:
    ///   - head: receives status and headers, before the body.
    ///   - write: receives the body; the next piece is made when it returns.
    /// - Throws: what `head` and `write` throw.
    public func respond<Body: AsyncSequence & Sendable>(
        to request: HTTPRequest, body: Body,
        head: @Sendable (HTTPResponse) async throws -> Void,
        write: @escaping @Sendable (ByteBuffer) async throws -> Void
    ) async throws where Body.Element == ByteBuffer, Body.AsyncIterator: SendableMetatype {
        let request = ServerRequest(head: request, body: RequestBody(asyncSequence: body))
        let response = try await owner.respond(to: request, context: LocalContext(logger: logger))
        try await head(response.head)
        try await response.body.write(InProcessWriter(pass: write))
    }

    static func router(_ services: LocalServices, _ access: Access) -> Router<LocalContext> {
        let router = Router(context: LocalContext.self)
        router.add(middleware: MetricsMiddleware(services.metrics, server: access.name))
        if case .dashboard(let dashboard) = access {
            router.add(middleware: DashboardBoundary(dashboard: dashboard))
        }
        router.add(middleware: APIBoundary(access: access))
        services.addHealthRoutes(to: router)
        services.addNodeRoutes(to: router)
        services.addContentRoutes(to: router)
        services.addGraphRoutes(to: router)
        services.addUploadRoutes(to: router)
        services.addPinRoutes(to: router)
        services.addRepoRoutes(to: router)
        services.addNameRoutes(to: router)
        services.addPeerRoutes(to: router)
        services.addRoutingRoutes(to: router)
        services.addPubSubRoutes(to: router)
        services.addBandwidthRoutes(to: router)
        services.addKeyRoutes(to: router)
        if case .loopback = access { return router }
        services.addOwnRoutes(to: router)
        services.addOwnPeerRoutes(to: router)
        services.addOwnPubSubRoutes(to: router)
        services.addDoctorRoutes(to: router)
        services.addLimitRoutes(to: router)
        services.addLocalAddRoutes(to: router)
        services.addGetRoute(to: router)
        services.addFetchRoutes(to: router)
        services.addComputeRoutes(to: router)
        services.addBalanceRoutes(to: router)
        services.addOwnRepoRoutes(to: router)
        services.addOwnKeyRoutes(to: router)
        services.addDashboardRoutes(to: router)
        return router
    }

    /// The answers of one server.
    func responder(for access: Access) -> RouterResponder<LocalContext> {
        if case .owner = access { return owner }
        return Self.router(services, access).buildResponder()
    }
}

extension LocalAPI.Access {
    /// What the server is called in figures.
    fileprivate var name: String {
        switch self {
        case .owner: "socket"
        case .loopback: "api"
        case .dashboard: "dashboard"
        }
    }
}

/// Lets a call in or refuses it, and turns every error into the API's form.
private struct APIBoundary: RouterMiddleware {
    typealias Context = LocalContext

    let access: LocalAPI.Access

    @concurrent
    func handle(
        _ request: ServerRequest, context: LocalContext,
        next: @concurrent (ServerRequest, LocalContext) async throws -> ServerResponse
    ) async throws -> ServerResponse {
        if case .loopback = access, let refusal = LoopbackGuard.refusal(of: request.head) {
            return APIError(refusal.message, code: .forbidden, status: refusal.status).response
        }
        // Paths are fixed; anything that would have to be resolved first is an attack.
        if request.uri.path.contains("..") || request.uri.path.contains("%") {
            return APIError.badArgument("the path is refused").response
        }
        do {
            return try await next(request, context)
        } catch let error as HTTPError where error.status == .notFound {
            return Self.unknown(request)
        } catch let error as any HTTPResponseError {
            return APIError(String(describing: error), status: error.status).response
        } catch {
            let failure = APIError(error)
            context.logger.debug(
                "call failed",
                metadata: ["path": "\(request.uri.path)", "error": "\(failure.message)"])
            return failure.response
        }
    }

    private static func unknown(_ request: ServerRequest) -> ServerResponse {
        let isCall = request.uri.path.hasPrefix("/api/v0/") || request.uri.path.hasPrefix("/weft/")
        if isCall, request.method != .post {
            return ServerResponse(
                status: .methodNotAllowed, headers: [.allow: "POST", .contentType: "text/plain"],
                body: ServerBody(byteBuffer: ByteBuffer(string: "405 - Method Not Allowed\n")))
        }
        return ServerResponse(
            status: .notFound, headers: [.contentType: "text/plain"],
            body: ServerBody(byteBuffer: ByteBuffer(string: "404 page not found\n")))
    }
}

/// Hands the body of an answer to a caller in this process.
private struct InProcessWriter: ResponseBodyWriter {
    let pass: @Sendable (ByteBuffer) async throws -> Void

    @concurrent
    mutating func write(_ buffer: ByteBuffer) async throws {
        try await pass(buffer)
    }

    @concurrent
    consuming func finish(_ trailingHeaders: HTTPFields?) async throws {}
}

extension Router<LocalContext> {
    /// Adds a call of the API.
    func call(
        _ path: String,
        _ answer: @escaping @Sendable @concurrent (APIRequest) async throws -> ServerResponse
    ) {
        post(RouterPath(path)) { request, _ in try await answer(try APIRequest(request)) }
    }

    /// Adds a call of the API whose work is for its client alone, and ends when that goes.
    func callForClient(
        _ path: String,
        _ answer: @escaping @Sendable @concurrent (APIRequest) async throws -> ServerResponse
    ) {
        post(RouterPath(path)) { request, context in
            let call = try APIRequest(request)
            guard let channel = context.channel else { return try await answer(call) }
            return try await channel.working { try await answer(call) }
        }
    }
}
