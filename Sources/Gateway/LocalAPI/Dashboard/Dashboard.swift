// The dashboard: pages and calls of the owner on a loopback port of its own. Nobody listens there
// before the owner asks for it.

import HTTPTypes
public import Logging
public import ServiceLifecycle
import Synchronization
import Weft

/// The dashboard of a running node.
public final class Dashboard: Sendable {
    /// How long it may take until it listens.
    private static let patience = Duration.seconds(10)

    private struct State {
        var port: Int?
        var waiting: [AsyncStream<Int>.Continuation] = []
    }

    let keys = DashboardKeys()
    let pages: PageFolder
    private let state = Mutex(State())
    private let demand: AsyncStream<Void>
    private let demanded: AsyncStream<Void>.Continuation

    /// A dashboard with the pages of a folder.
    public init(_ pages: PageFolder) {
        self.pages = pages
        (demand, demanded) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(1))
    }

    /// A URL that lets whoever opens it first use the dashboard.
    func invite() async throws -> String {
        let (ports, port) = AsyncStream.makeStream(of: Int.self)
        state.withLock { state in
            if let known = state.port { port.yield(known) } else { state.waiting.append(port) }
        }
        demanded.yield()
        let found = try await Deadline.within(Self.patience) { await ports.first { _ in true } }
        guard let found else { throw APIError("the node is stopping", status: .serviceUnavailable) }
        return "http://127.0.0.1:\(found)/#\(keys.invite())"
    }

    fileprivate func listens(at port: Int) {
        state.withLock { state in
            state.port = port
            for waiting in state.waiting { waiting.yield(port) }
            state.waiting = []
        }
    }

    /// Waits until it is asked for; false if the program is to end before.
    fileprivate func isDemanded() async -> Bool {
        await cancelWhenGracefulShutdown { await self.demand.first { _ in true } != nil }
    }
}

/// The server of a dashboard.
public struct DashboardServer: Service {
    private let dashboard: Dashboard
    private let api: LocalAPI
    private let logger: Logger

    /// A server of the dashboard that an API knows.
    public init(_ dashboard: Dashboard, _ api: LocalAPI, logger: Logger) {
        self.dashboard = dashboard
        self.api = api
        self.logger = logger
    }

    /// Serves from when it is first asked for until it is cancelled or asked to shut down.
    public func run() async throws {
        guard await dashboard.isDemanded() else { return }
        try await LocalServer(api, at: .dashboard(dashboard), logger: logger) { port in
            if let port { dashboard.listens(at: port) }
        }.run()
    }
}
