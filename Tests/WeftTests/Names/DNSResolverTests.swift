// The DNS client against servers of this test: UDP, the change to TCP, forged answers, and what
// is kept.

import Multiformats
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization
import Testing

@testable import Weft

@Suite struct DNSResolverTests {
    /// A server on one port for UDP and TCP.
    final class Server: Sendable {
        let address: SocketAddress
        let asked = Mutex<[String]>([])
        private let channels: [any Channel]

        /// Answers of the transport named `udp` or `tcp`, without the first two bytes, the id.
        init(_ answer: @escaping @Sendable (String) -> [[UInt8]]) async throws {
            let group = MultiThreadedEventLoopGroup.singleton
            let asked = SendableBox<Server?>(nil)
            let tcp = try await ServerBootstrap(group: group)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(
                            Stream {
                                asked.value?.note("tcp"); return answer("tcp")
                            })
                    }
                }
                .bind(host: "127.0.0.1", port: 0).get()
            let port = tcp.localAddress?.port ?? 0
            let udp = try await DatagramBootstrap(group: group)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(
                            Datagram {
                                asked.value?.note("udp"); return answer("udp")
                            })
                    }
                }
                .bind(host: "127.0.0.1", port: port).get()
            address = try SocketAddress(ipAddress: "127.0.0.1", port: port)
            channels = [tcp, udp]
            asked.value = self
        }

        private func note(_ transport: String) { asked.withLock { $0.append(transport) } }

        func stop() async throws {
            for channel in channels { try await channel.close().get() }
        }
    }

    final class SendableBox<Value: Sendable>: Sendable {
        private let box: Mutex<Value>
        init(_ value: Value) { box = Mutex(value) }
        var value: Value {
            get { box.withLock { $0 } }
            set { box.withLock { $0 = newValue } }
        }
    }

    private final class Datagram: ChannelInboundHandler {
        typealias InboundIn = AddressedEnvelope<ByteBuffer>
        typealias OutboundOut = AddressedEnvelope<ByteBuffer>
        private let answer: () -> [[UInt8]]
        init(_ answer: @escaping () -> [[UInt8]]) { self.answer = answer }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let envelope = unwrapInboundIn(data)
            let id = envelope.data.getBytes(at: envelope.data.readerIndex, length: 2) ?? []
            for message in answer() {
                let reply = AddressedEnvelope(
                    remoteAddress: envelope.remoteAddress,
                    data: ByteBuffer(bytes: message.count == 2 ? message : id + message))
                context.writeAndFlush(wrapOutboundOut(reply), promise: nil)
            }
        }
    }

    private final class Stream: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        private let answer: () -> [[UInt8]]
        init(_ answer: @escaping () -> [[UInt8]]) { self.answer = answer }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let bytes = unwrapInboundIn(data)
            let id = bytes.getBytes(at: bytes.readerIndex + 2, length: 2) ?? []
            for message in answer() {
                var out = ByteBuffer()
                out.writeInteger(UInt16(message.count + 2))
                out.writeBytes(id + message)
                context.writeAndFlush(wrapOutboundOut(out), promise: nil)
            }
        }
    }

    private static func answer(_ text: String, flags: UInt16 = 0x8180) -> [UInt8] {
        let records =
            flags & 0x0200 == 0 ? [DNSMessageTests.record(DNSMessageTests.text(text))] : []
        return Array(DNSMessageTests.message(flags: flags, answers: records).dropFirst(2))
    }

    private func resolver(_ server: Server) -> DNSResolver {
        DNSResolver(.servers([server.address]), client: Bench.client)
    }

    private func texts(_ resolver: DNSResolver) async throws -> [String] {
        try await resolver.texts(
            of: "_dnslink.Example.org", cache: .standard, network: .online, trace: Trace()
        ).texts
    }

    /// One question, and the answer is kept.
    @Test func udp() async throws {
        let server = try await Server { _ in [Self.answer("yes")] }
        let resolver = resolver(server)
        #expect(try await texts(resolver) == ["yes"])
        #expect(try await texts(resolver) == ["yes"])
        #expect(server.asked.withLock { $0 } == ["udp"])
        try await server.stop()
    }

    /// An answer that does not fit is asked for over TCP; forged datagrams are passed over.
    @Test func truncated() async throws {
        let server = try await Server { transport in
            transport == "tcp"
                ? [Self.answer("long")] : [[0, 0], Self.answer("", flags: 0x8380)]
        }
        #expect(try await texts(resolver(server)) == ["long"])
        #expect(server.asked.withLock { $0 } == ["udp", "tcp"])
        try await server.stop()
    }

    /// A server that fails is asked twice; then the error carries the trace.
    @Test func failing() async throws {
        let server = try await Server { _ in [Self.answer("", flags: 0x8182)] }
        let error = await #expect(throws: FetchError.self) { try await texts(resolver(server)) }
        #expect(error?.code == .network)
        #expect(error?.trace.count == 2)
        try await server.stop()
    }

    /// Whoever does not want an answer any more does not wait for it: a node that stops, above all.
    @Test func cancelled() async throws {
        let (asked, isAsked) = AsyncStream.makeStream(of: Void.self)
        let server = try await Server { _ in
            isAsked.yield()
            return []
        }
        let resolver = resolver(server)
        let question = Task { try await texts(resolver) }
        for await _ in asked { break }
        let start = ContinuousClock.now
        question.cancel()
        await #expect(throws: CancellationError.self) { try await question.value }
        #expect(start.duration(to: .now) < .nanoseconds(DNSResolver.serverTimeout.nanoseconds))
        try await server.stop()
    }

    /// DNS over HTTPS (RFC 8484): one GET with the question in `dns`, and the answer is kept. A
    /// template's `{?dns}` and a query of its own are both understood.
    @Test(arguments: ["/dns-query", "/dns-query{?dns}", "/dns-query?key=a"])
    func https(path: String) async throws {
        let server = try await TestServer { request in
            // The identifier of such a question is 0, and so is the answer's.
            [
                .head(.ok, ["content-type": "application/dns-message"]),
                .bytes([0, 0] + Self.answer("over https")),
            ]
        }
        let resolver = DNSResolver(.https(server.url + path), client: Bench.client)
        #expect(try await texts(resolver) == ["over https"])
        #expect(try await texts(resolver) == ["over https"])
        #expect(server.requests.count == 1)
        let request = try #require(server.requests.first)
        #expect(request.path == "/dns-query")
        #expect(request.query["key"] == (path.contains("key") ? "a" : nil))
        let question = try Multibase.base64URL.decodeBody(request.query["dns"] ?? "")
        #expect(question == DNSMessage.query("_dnslink.example.org", id: 0))
        try await server.stop()
    }

    /// What a DNS-over-HTTPS server can do wrong ends in an error with its trace, never in a wait.
    @Test(arguments: [
        [TestServer.Step.head(.badGateway)],
        [.head(.ok), .bytes([0, 0, 1])],
        [.head(.ok), .bytes([UInt8](repeating: 0, count: DNSMessage.maxBytes + 1))],
        [.head(.ok, ["content-length": "400"]), .bytes([0, 0]), .close],
        [.close],
        [.head(.ok), .stall],
    ])
    func httpsFailing(steps: [TestServer.Step]) async throws {
        let server = try await TestServer { _ in steps }
        let resolver = DNSResolver(.https(server.url), client: Bench.client)
        let error = await #expect(throws: FetchError.self) { try await texts(resolver) }
        #expect(error?.code == .network)
        #expect(error?.trace.count == 1)
        try await server.stop()
    }

    @Test func file() {
        let file = """
            # a comment
            _dnslink.example.org  dnslink=/ipfs/bafkqaaa
            _dnslink.EXAMPLE.org. "v=spf1 -all"
            other.example.org dnslink=/ipns/x
            """
        #expect(
            DNSResolver.texts(of: "_dnslink.example.org", in: file)
                == ["dnslink=/ipfs/bafkqaaa", "v=spf1 -all"])
        #expect(DNSResolver.texts(of: "example.org", in: file).isEmpty)
    }

    @Test func resolvConf() throws {
        let servers = DNSResolver.servers(
            inResolvConf:
                "# x\nsearch a.b\nnameserver 10.0.0.1\nnameserver ::1\nnameserver nonsense")
        #expect(servers.map(\.ipAddress) == ["10.0.0.1", "::1"])
        #expect(DNSResolver.servers(inResolvConf: "").map(\.ipAddress) == ["127.0.0.1"])
    }
}
