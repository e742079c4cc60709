// The commands' way to the local API: over the socket of a running node, or, when none runs, to
// the same router in this process. The commands cannot tell the difference.

import AsyncHTTPClient
import Gateway
import Glibc
import HTTPTypes
import IPLD
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization
import Weft

/// A connection to the local API of a repository.
final class LocalClient: Sendable {
    private enum Route: Sendable {
        case socket(HTTPClient, Socket)
        case process(LocalNode)
    }

    /// Where a running node listens, and of which repository it is.
    private struct Socket: Sendable {
        let path: String
        let directory: String

        func url(_ target: String) -> String {
            "http+unix://" + PercentCoding.encode(path, for: .parameter) + target
        }
    }

    /// How long a command waits for another command that has the repository open.
    private static let patience = Duration.seconds(20)
    /// How often a node that answers nothing yet is asked for a sign of life, and how long that may
    /// take. One that lives says at once that it does, whatever else it works on.
    private static let pulse = (every: Duration.seconds(5), within: TimeAmount.seconds(15))

    private let route: Route

    private init(_ route: Route) { self.route = route }

    /// Whether no node runs, so that this program has the repository open.
    var isInProcess: Bool {
        if case .process = route { true } else { false }
    }

    /// Runs `work` with a connection and closes it afterwards.
    static func with<Result>(
        _ options: CommonOptions, _ work: (LocalClient) async throws -> Result
    ) async throws -> Result {
        do {
            let client = try await open(options)
            do {
                let result = try await work(client)
                await client.close()
                return result
            } catch {
                await client.close()
                throw error
            }
        } catch {
            throw CommandFailure(error)
        }
    }

    private static func open(_ options: CommonOptions) async throws -> LocalClient {
        let directory = try Repository.locate(options.repository)
        let deadline = ContinuousClock.now + patience
        while true {
            if let path = APISocket.reachable(in: directory) {
                let client = HTTPClient(
                    eventLoopGroup: MultiThreadedEventLoopGroup.singleton)
                return LocalClient(.socket(client, Socket(path: path, directory: directory)))
            }
            do {
                return LocalClient(.process(try await LocalNode.open(directory)))
            } catch RepositoryError.inUse where ContinuousClock.now < deadline {
                // Another command has it, or a node that is about to open its socket.
                try await Task.sleep(for: .milliseconds(50))
            }
        }
    }

    private func close() async {
        switch route {
        case .socket(let client, _):
            // What is left to close at the end of the program closes with it.
            try? await client.shutdown()
        case .process(let node):
            await node.stop()
        }
    }

    /// Sends a request and hands over the body of the answer, piece by piece.
    ///
    /// - Throws: ``CommandFailure`` when the answer is an error.
    func send(
        _ call: APICall, _ consume: @escaping @Sendable (ByteBuffer) async throws -> Void
    ) async throws {
        let answer = AnswerBody(consume)
        switch route {
        case .socket(let client, let socket):
            try await withThrowingTaskGroup(of: Void.self) { group in
                defer { group.cancelAll() }
                group.addTask { try await Self.send(call, over: client, socket, to: answer) }
                group.addTask { try await Self.watch(socket, over: client) }
                try await group.next()
            }
        case .process(let node):
            var head = HTTPRequest(
                method: .post, scheme: "http", authority: "localhost", path: call.target)
            if !call.body.contentType.isEmpty {
                head.headerFields[.contentType] = call.body.contentType
            }
            if call.answer == .framed, let name = HTTPField.Name(Frame.requestHeader) {
                head.headerFields[name] = "1"
            }
            try await node.api.respond(
                to: head, body: call.body, head: { await answer.begin(status: $0.status.code) },
                write: { try await answer.consume($0) })
        }
        try await answer.finish()
    }

    /// Fails when the node gives no sign of life: one that was stopped, or hangs, takes connections
    /// and never answers.
    private static func watch(_ socket: Socket, over client: HTTPClient) async throws {
        while true {
            try await Task.sleep(for: pulse.every)
            do {
                _ = try await client.execute(
                    HTTPClientRequest(url: socket.url("/healthz")), timeout: pulse.within)
            } catch let error as HTTPClientError where error == .deadlineExceeded {
                let owner = Repository.owner(of: socket.directory)
                let process = owner.map { " (process \($0))" } ?? ""
                throw CommandFailure(
                    """
                    the node that has \(socket.directory) open\(process) does not answer; if it \
                    hangs, end it and start it again
                    """)
            } catch let error where !(error is CancellationError) {
                // A node that ends has closed the connection of the call, too, which says so.
            }
        }
    }

    private static func send(
        _ call: APICall, over client: HTTPClient, _ socket: Socket, to answer: AnswerBody
    ) async throws {
        var request = HTTPClientRequest(url: socket.url(call.target))
        request.method = .POST
        request.headers.add(name: "Host", value: "localhost")
        if !call.body.contentType.isEmpty {
            request.headers.add(name: "Content-Type", value: call.body.contentType)
        }
        if call.answer == .framed {
            request.headers.add(name: Frame.requestHeader, value: "1")
        }
        if !call.body.pieces.isEmpty { request.body = .stream(call.body, length: .unknown) }
        do {
            // The node bounds each request; the connection itself may be open for long.
            let response = try await client.execute(request, timeout: .hours(24 * 365))
            await answer.begin(status: Int(response.status.code))
            for try await chunk in response.body { try await answer.consume(chunk) }
        } catch let error as CommandFailure {
            throw error
        } catch {
            throw CommandFailure("the node broke off: \(error)")
        }
    }
}

/// The body of one answer: passed on when it is a success, kept when it is an error.
private actor AnswerBody {
    private static let maxErrorBytes = 1 << 20

    private let pass: @Sendable (ByteBuffer) async throws -> Void
    private var status = 200
    private var failure = ByteBuffer()

    init(_ pass: @escaping @Sendable (ByteBuffer) async throws -> Void) { self.pass = pass }

    func begin(status: Int) { self.status = status }

    func consume(_ chunk: ByteBuffer) async throws {
        if status < 400 { return try await pass(chunk) }
        guard failure.readableBytes < Self.maxErrorBytes else { return }
        var chunk = chunk
        failure.writeBuffer(&chunk)
    }

    func finish() throws {
        guard status >= 400 else { return }
        throw CommandFailure(answer: failure, status: status)
    }
}

extension CommandFailure {
    /// The failure that an error answer of the API says.
    init(answer: ByteBuffer, status: Int) {
        // An answer that is no JSON is shown as it is.
        guard let value = try? JSONText.value(of: answer) else {
            self.init("the node answered \(status): \(String(buffer: answer))")
            return
        }
        self.init(apiError: value)
    }

    /// The failure that an error object of the API says.
    init(apiError value: Value) {
        var trace: [String] = []
        if case .list(let lines)? = value["Trace"] {
            trace = lines.compactMap { $0["text"]?.text ?? $0.text }
        }
        let kind = value["Kind"]?.text
        let status: ExitStatus =
            switch kind.flatMap(FetchError.Code.init(rawValue:)) {
            case .deadline: .deadline
            case .resource, .overLimit: .unavailable
            default: .failed
            }
        self.init(
            value["Message"]?.text ?? "the node answered with an error", status: status,
            trace: trace)
        self.kind = kind.flatMap(FetchError.Code.init(rawValue:))
        isIndexDamaged = kind == "index-damaged"
    }
}
