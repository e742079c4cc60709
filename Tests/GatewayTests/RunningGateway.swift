// A gateway on a port of the system's choice, and connections to it that say exactly what a test
// wants, byte by byte.

import IPLD
import Logging
import Multiformats
import NIOCore
import NIOPosix
import ServiceLifecycle
import Testing
import Weft

@testable import Gateway

/// A gateway that serves while a closure runs.
struct RunningGateway: Sendable {
    let port: Int
    let gateway: Gateway

    /// Runs `body` against a gateway, then shuts it down.
    static func run(
        _ backend: GatewayBackend, _ change: (inout GatewayOptions) -> Void = { _ in },
        _ body: @escaping @Sendable (RunningGateway) async throws -> Void
    ) async throws {
        var options = GatewayOptions()
        change(&options)
        let gateway = try Gateway(backend, options: options)
        let (ports, port) = AsyncStream.makeStream(
            of: Int.self, bufferingPolicy: .bufferingOldest(1))
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let service = try gateway.server(
            at: .init(host: "127.0.0.1", port: 0),
            eventLoops: MultiThreadedEventLoopGroup.singleton, logger: logger
        ) { port.yield($0) }
        let group = ServiceGroup(services: [service], logger: logger)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            var iterator = ports.makeAsyncIterator()
            let number = try #require(await iterator.next())
            try await body(RunningGateway(port: number, gateway: gateway))
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
        }
    }

    /// Opens a connection for as long as `body` runs.
    func connect<Result: Sendable>(
        _ body: (inout RawConnection) async throws -> Result
    ) async throws -> Result {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(
                        wrappingChannelSynchronously: channel)
                }
            }
        return try await channel.executeThenClose { inbound, outbound in
            var connection = RawConnection(
                outbound: outbound, inbound: inbound.makeAsyncIterator())
            return try await body(&connection)
        }
    }
}

/// One connection to a server.
struct RawConnection {
    let outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    var inbound: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator
    private var received = ByteBuffer()

    init(
        outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>,
        inbound: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator
    ) {
        self.outbound = outbound
        self.inbound = inbound
    }

    func send(_ text: String) async throws {
        try await outbound.write(ByteBuffer(string: text))
    }

    func send(_ bytes: [UInt8]) async throws {
        try await outbound.write(ByteBuffer(bytes: bytes))
    }

    /// What comes up to and with a text; throws if the other side closes before it.
    mutating func receive(through text: String) async throws -> String {
        while true {
            let view = received.readableBytesView
            if let range = view.firstRange(of: Array(text.utf8)) {
                let part = String(decoding: view[..<range.upperBound], as: UTF8.self)
                received.moveReaderIndex(forwardBy: range.upperBound - view.startIndex)
                return part
            }
            guard var more = try await inbound.next(isolation: #isolation) else {
                throw Closed(String(buffer: received))
            }
            received.writeBuffer(&more)
        }
    }

    /// How many bytes come until the other side closes, in an orderly way or not.
    mutating func drain() async -> Int {
        var count = received.readableBytes
        received.clear()
        // A reset ends it as well as a close.
        while let more = try? await inbound.next(isolation: #isolation) {
            count += more.readableBytes
        }
        return count
    }

    /// All that comes until the other side closes.
    mutating func rest() async throws -> String {
        while var more = try await inbound.next(isolation: #isolation) {
            received.writeBuffer(&more)
        }
        defer { received.clear() }
        return String(buffer: received)
    }

    struct Closed: Error {
        let received: String
        init(_ received: String) { self.received = received }
    }
}

extension GatewayBackend {
    /// Serves these blocks and no names.
    static func serving(_ blocks: any BlockSource) -> GatewayBackend {
        GatewayBackend(
            source: { _, _, _ in blocks },
            resolve: { _, _, _ in throw FetchError(.notFound, "no names here") })
    }
}

/// Blocks whose use up to the end can be waited for: it ends when no answer holds them any more.
struct WatchedBlocks: BlockSource {
    private final class Token: Sendable {
        let over: AsyncStream<Void>.Continuation
        init(_ over: AsyncStream<Void>.Continuation) { self.over = over }
        deinit { over.finish() }
    }

    let blocks: MemoryBlocks
    private let token: Token

    /// A backend that hands these blocks to one answer, and a stream that ends with its use.
    static func backend(_ blocks: MemoryBlocks) -> (GatewayBackend, AsyncStream<Void>) {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self)
        let backend = GatewayBackend(
            source: { _, _, _ in WatchedBlocks(blocks: blocks, token: Token(continuation)) },
            resolve: { _, _, _ in throw FetchError(.notFound, "no names here") })
        return (backend, stream)
    }

    func block(_ cid: CID) async throws -> ByteBuffer { try await blocks.block(cid) }
    func prefetch(_ cids: [CID]) {}
}

extension MemoryBlocks {
    /// Adds a file of so many MiB, all of them alike, and answers its root.
    mutating func addFile(mebibytes: Int) throws -> CID {
        let leaf = add([UInt8](repeating: 7, count: 1 << 20), .raw)
        var builder = FileBuilder(.v1_2025)
        for _ in 0..<mebibytes {
            builder.add(DAGEntry(cid: leaf, tsize: 1 << 20, contentSize: 1 << 20))
        }
        let root = builder.finish()
        while let block = builder.nextBlock() { add(block) }
        return root.cid
    }
}
