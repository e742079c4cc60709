// Retrieval from providers of every character: no wrong byte ever comes out, others take over,
// nothing waits for ever, and the trace tells what happened.

import AsyncHTTPClient
import BlockStore
import IPLD
import Logging
import Multiformats
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization
import Testing

@testable import Weft

/// Servers, a client and a store in memory for one test.
final class Bench: Sendable {
    let retrieval: Retrieval
    let stored = Mutex<[Multihash: ByteBuffer]>([:])

    /// One client for all tests; it lives as long as the process.
    static let client: HTTPClient = {
        var configuration = HTTPClient.Configuration()
        configuration.redirectConfiguration = .disallow
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }()

    init(
        _ providers: [TestServer], routers: [TestServer] = [],
        change: (inout RetrievalOptions) -> Void = { _ in }
    ) {
        var options = RetrievalOptions()
        options.providers = providers.map(\.url)
        options.routers = routers.map(\.url)
        options.privateAddresses = .always
        options.stallTimeout = .milliseconds(1500)
        options.hedgeDelay = .milliseconds(500)
        change(&options)
        let box = Box()
        retrieval = Retrieval(
            cache: BlockCache(
                block: { hash in box.bench.withLock { $0?.value }?.stored.withLock { $0[hash] } },
                put: { blocks in
                    box.bench.withLock { $0?.value }?.stored.withLock {
                        for block in blocks { $0[block.cid.hash] = block.bytes }
                    }
                }),
            client: Self.client, options: options, logger: Logger(label: "test"))
        box.bench.withLock { $0 = Weak(value: self) }
    }

    private struct Weak { weak var value: Bench? }
    private final class Box: Sendable {
        let bench = Mutex<Weak?>(nil)
    }

    /// Reads a whole file through a new session.
    func read(
        _ file: TestFile, policy: Retrieval.Policy = .network,
        limits: MeshOptions = MeshOptions(idleDeadline: .seconds(10)), trace: Trace = Trace()
    ) async throws -> [UInt8] {
        let session = retrieval.session(
            for: RetrievalScope(root: file.root, extent: .entity(nil)), policy: policy,
            limits: limits, trace: trace)
        var bytes: [UInt8] = []
        for try await part in ContentReader(session).read(file.root) {
            bytes += Array(part.readableBytesView)
            #expect(file.content.starts(with: bytes), "a wrong byte came out")
        }
        return bytes
    }
}

@Suite(.serialized) struct RetrievalTests {
    static let file = TestFile(leaves: 20, leafSize: 10_000)

    /// One honest provider, one request, and everything is stored.
    @Test func oneStream() async throws {
        let server = try await TestServer(TestGateway.honest(Self.file))
        let bench = Bench([server])
        #expect(try await bench.read(Self.file) == Self.file.content)
        #expect(server.requests.count == 1)
        await bench.retrieval.flush()
        #expect(bench.stored.withLock { $0.count } == Self.file.blocks.count)
        // The second time nobody is asked.
        #expect(try await bench.read(Self.file) == Self.file.content)
        #expect(server.requests.count == 1)
        try await server.stop()
    }

    /// The kinds of failure after which another provider must take over.
    enum Failing: CaseIterable, CustomTestStringConvertible {
        case lying, lyingRoot, truncating, stalling, absent, busy, refusing, rubbish, html, endless
        case redirecting, hugeBlock, closing

        var testDescription: String { "\(self)" }

        func script(_ file: TestFile) -> TestServer.Script {
            switch self {
            case .lying: return TestGateway.honest(file, twist: TestGateway.lying(at: 7))
            case .lyingRoot: return TestGateway.honest(file, twist: TestGateway.lying(at: 1))
            case .truncating: return TestGateway.honest(file, twist: TestGateway.truncating(at: 7))
            case .stalling: return TestGateway.honest(file, twist: TestGateway.stalling(at: 7))
            case .absent: return { _ in [.head(.notFound)] }
            case .busy: return { _ in [.head(.tooManyRequests, ["retry-after": "3600"])] }
            case .refusing: return { _ in [.head(.internalServerError)] }
            case .rubbish:
                return { _ in
                    [
                        .head(.ok, ["content-type": "application/vnd.ipld.car"]),
                        .bytes(Array(repeating: 0x5a, count: 100_000)),
                    ]
                }
            case .html:
                return { _ in
                    [.head(.ok, ["content-type": "text/html"]), .bytes(Array("<p>".utf8))]
                }
            case .endless:
                return { _ in
                    [
                        .head(.ok, ["content-type": "application/vnd.ipld.raw"]),
                        .endless(Array(repeating: 0, count: 65_536)),
                    ]
                }
            case .redirecting: return { _ in [.head(.found, ["location": "/again"])] }
            case .hugeBlock:
                return { _ in
                    [
                        .head(.ok, ["content-type": "application/vnd.ipld.car"]),
                        .bytes([0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]), .stall,
                    ]
                }
            case .closing: return { _ in [.close] }
            }
        }
    }

    /// Whatever the first provider does, the second one brings the rest, and no wrong byte comes.
    @Test(arguments: Failing.allCases) func takeover(_ failing: Failing) async throws {
        let bad = try await TestServer(failing.script(Self.file))
        let good = try await TestServer(TestGateway.honest(Self.file))
        let bench = Bench([bad, good])
        let trace = Trace()
        #expect(try await bench.read(Self.file, trace: trace) == Self.file.content)
        #expect(!bad.requests.isEmpty)
        // One that stalls may be given up for a better one before it is found to stall.
        #expect(
            trace.entries.contains { $0.peer == bad.url && $0.succeeded != true }
                || failing == .stalling)
        #expect(trace.entries.contains { $0.peer == good.url && $0.bytes > 0 })
        try await bad.stop()
        try await good.stop()
    }

    /// With nobody else there, the failure says what was tried, in time.
    @Test(arguments: Failing.allCases) func alone(_ failing: Failing) async throws {
        let bad = try await TestServer(failing.script(Self.file))
        let bench = Bench([bad])
        // Whoever is busy is waited for to the end; with the others it is over before.
        let patience = MeshOptions(idleDeadline: .seconds(failing == .busy ? 6 : 120))
        let error = await #expect(throws: FetchError.self) {
            _ = try await bench.read(Self.file, limits: patience)
        }
        #expect(error?.trace.contains { $0.peer == bad.url && $0.succeeded == false } == true)
        #expect(error?.description.contains(bad.url) == true)
        switch failing {
        case .lying, .lyingRoot: #expect(error?.code == .unverifiable)
        case .absent: #expect(error?.code == .notFound)
        case .busy: #expect(error?.code == .deadline)
        default: #expect(error?.code == .network)
        }
        try await bad.stop()
    }

    /// A liar is not asked again by the next retrieval.
    @Test func liarIsRemembered() async throws {
        let liar = try await TestServer(
            TestGateway.honest(Self.file, twist: TestGateway.lying(at: 7)))
        let good = try await TestServer(TestGateway.honest(Self.file))
        let bench = Bench([liar, good])
        _ = try await bench.read(Self.file)
        let count = liar.requests.count
        let trace = Trace()
        #expect(try await bench.read(Self.file, policy: .reload, trace: trace) == Self.file.content)
        #expect(liar.requests.count == count)
        #expect(trace.description.contains("earlier it gave wrong bytes"))
        try await liar.stop()
        try await good.stop()
    }

    /// Two slow providers share one download, and few blocks come twice. They are slower than a
    /// busy machine is, so that the pace is theirs.
    @Test func sharing() async throws {
        let file = TestFile(leaves: 64, leafSize: 20_000, width: 128)
        let first = try await TestServer(
            TestGateway.honest(file, twist: TestGateway.slow(.milliseconds(40))))
        let second = try await TestServer(
            TestGateway.honest(file, twist: TestGateway.slow(.milliseconds(40))))
        let bench = Bench([first, second])
        let trace = Trace()
        #expect(try await bench.read(file, trace: trace) == file.content)
        var total: UInt64 = 0
        for server in [first, second] {
            let bytes = trace.entries.reduce(UInt64(0)) {
                $0 + ($1.peer == server.url ? $1.bytes : 0)
            }
            #expect(bytes > file.content.count / 8, "\(trace)")
            total += bytes
        }
        #expect(total < file.content.count * 6 / 5, "\(trace)")
        try await first.stop()
        try await second.stop()
    }

    /// Cancelling the reader ends the requests.
    @Test func cancelling() async throws {
        let server = try await TestServer(
            TestGateway.honest(Self.file, twist: TestGateway.stalling(at: 7)))
        let bench = Bench([server]) { $0.stallTimeout = .seconds(60) }
        let started = Mutex(false)
        let task = Task {
            let session = bench.retrieval.session(
                for: RetrievalScope(root: Self.file.root, extent: .entity(nil)))
            for try await _ in ContentReader(session).read(Self.file.root) {
                started.withLock { $0 = true }
            }
        }
        while !started.withLock({ $0 }) { await Task.yield() }
        task.cancel()
        await #expect(throws: (any Error).self) { try await task.value }
        await server.idle()
        try await server.stop()
    }

    /// The deadline for the whole ends a fetch that still makes progress.
    @Test func deadline() async throws {
        let server = try await TestServer(
            TestGateway.honest(Self.file, twist: TestGateway.slow(.milliseconds(100))))
        let bench = Bench([server])
        let error = await #expect(throws: FetchError.self) {
            _ = try await bench.read(
                Self.file,
                limits: MeshOptions(deadline: .milliseconds(400), idleDeadline: .seconds(5)))
        }
        #expect(error?.code == .deadline)
        await server.idle()
        try await server.stop()
    }

    /// A provider that only answers single blocks is enough.
    @Test func rawOnly() async throws {
        let server = try await TestServer { request in
            guard request.query["format"] == "raw" else { return [.head(.badRequest)] }
            return TestGateway.honest(Self.file)(request)
        }
        let bench = Bench([server])
        #expect(try await bench.read(Self.file) == Self.file.content)
        try await server.stop()
    }

    /// Providers that only a router knows are found, as JSON and as NDJSON.
    @Test(arguments: ["application/json", "application/x-ndjson"])
    func routing(_ type: String) async throws {
        let server = try await TestServer(TestGateway.honest(Self.file))
        let port = server.url.split(separator: ":").last.map(String.init) ?? ""
        let peer = """
            {"Schema":"peer","ID":"12D3","Addrs":["/ip4/127.0.0.1/tcp/\(port)/http"],\
            "Protocols":["transport-ipfs-gateway-http"]}
            """
        let body = type == "application/json" ? "{\"Providers\":[\(peer)]}" : peer + "\n"
        let router = try await TestServer { request in
            #expect(request.path == "/routing/v1/providers/\(Self.file.root)")
            return [.head(.ok, ["content-type": type]), .bytes(Array(body.utf8))]
        }
        let bench = Bench([], routers: [router])
        #expect(try await bench.read(Self.file) == Self.file.content)
        // A stranger's word does not make us dial a private address.
        let wary = Bench([], routers: [router]) { $0.privateAddresses = .ifConfigured }
        let error = await #expect(throws: FetchError.self) { _ = try await wary.read(Self.file) }
        #expect(error?.code == .notFound)
        #expect(error?.description.contains("private address") == true)
        try await server.stop()
        try await router.stop()
    }

    /// Nobody is asked for what must not be asked for.
    @Test func localOnly() async throws {
        let server = try await TestServer(TestGateway.honest(Self.file))
        let bench = Bench([server])
        let error = await #expect(throws: FetchError.self) {
            _ = try await bench.read(Self.file, policy: .localOnly)
        }
        #expect(error?.code == .offline)
        #expect(server.requests.isEmpty)
        try await server.stop()
    }

    /// With `noStore` nothing is kept.
    @Test func noStore() async throws {
        let server = try await TestServer(TestGateway.honest(Self.file))
        let bench = Bench([server])
        #expect(try await bench.read(Self.file, policy: .noStore) == Self.file.content)
        await bench.retrieval.flush()
        #expect(bench.stored.withLock { $0.isEmpty })
        try await server.stop()
    }
}
