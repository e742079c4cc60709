import Connections
import Multiformats
import NIOCore
import NIOSSL
import Wire

/// TLS of one connection: its handlers, and who the peer turned out to be. All on the connection's
/// event loop.
final class TLSUpgrade {
    private let certificate: TLSCertificate
    /// The peer, once its certificate has been checked.
    private(set) var verifiedPeer: PeerID?
    private var failure: TransportError?

    init(_ certificate: TLSCertificate) {
        self.certificate = certificate
    }

    /// What a channel error means, if it is one of TLS.
    func fault(_ error: any Error) -> TransportError? {
        if let failure { return failure }
        if let error = error as? TransportError { return error }
        return error is NIOSSLError || error is BoringSSLError ? .tls("\(error)") : nil
    }

    /// Starts the side of the listener beneath `handler`, with what has arrived for it already.
    func startServer(
        before handler: some ChannelInboundHandler, _ context: ChannelHandlerContext,
        unread: [UInt8]
    ) throws {
        let server = NIOSSLServerHandler(
            context: certificate.server,
            customVerificationCallback: { self.verify($0, $1) })
        let pipeline = context.pipeline.syncOperations
        try pipeline.addHandler(server, position: .before(handler))
        guard !unread.isEmpty else { return }
        let buffer = context.channel.allocator.buffer(bytes: unread)
        server.channelRead(
            context: try pipeline.context(handler: server), data: NIOAny(buffer))
    }

    /// Proposes TLS to the peer and starts it without waiting for the answer.
    func addClientHandlers(to channel: any Channel) throws {
        let handler = try NIOSSLClientHandler(
            context: certificate.client, serverHostname: nil,
            customVerificationCallback: { self.verify($0, $1) })
        try channel.pipeline.syncOperations.addHandlers([TLSProposal(), handler])
    }

    private func verify(
        _ chain: [NIOSSLCertificate], _ promise: EventLoopPromise<NIOSSLVerificationResult>
    ) {
        do throws(TransportError) {
            verifiedPeer = try TLSCertificate.peer(of: chain)
            promise.succeed(.certificateVerified)
        } catch {
            failure = error
            promise.succeed(.failed)
        }
    }
}

/// The negotiation that stands before TLS on a connection that we make. Once the peer has agreed,
/// bytes pass through.
final class TLSProposal: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var negotiation = Multistream(proposing: [SecurityProtocol.tls.name])
    private var isAgreed = false

    func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { propose(context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        propose(context)
        context.fireChannelActive()
    }

    private func propose(_ context: ChannelHandlerContext) {
        let buffer = context.channel.allocator.buffer(bytes: negotiation.takeOutput())
        context.write(wrapOutboundOut(buffer), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isAgreed else {
            context.fireChannelRead(data)
            return
        }
        var buffer = unwrapInboundIn(data)
        do throws(DecodeError) {
            var input = ByteReader(buffer.readableBytesSpan)
            guard let outcome = try negotiation.receive(&input) else { return }
            guard outcome != .refused else {
                context.fireErrorCaught(TransportError.failed(.securityRefused))
                return
            }
            isAgreed = true
            buffer.moveReaderIndex(forwardBy: input.offset)
        } catch {
            context.fireErrorCaught(TransportError.failed(.negotiation(error)))
            return
        }
        guard buffer.readableBytes > 0 else { return }
        context.fireChannelRead(wrapInboundOut(buffer))
    }
}
