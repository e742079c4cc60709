// Drives the machine that has a router forward ports (PortMapper): its datagrams, its time, UPnP on
// a thread that may wait, and a look from time to time whether this machine is in another network.

import Logging
import Multiformats
import NIOCore
import NIOPosix
import Peering
import Wire

/// Keeps the ports forwarded where the node listens. All use is on the mesh's event loop.
final class PortForwarder {
    /// How often the way to the internet is looked at.
    private static let interval = TimeAmount.seconds(60)
    /// The longest datagram that is read: more than either protocol has.
    private static let maxBytes = 2_048

    private let mesh: Mesh
    private var mapper: PortMapper
    /// Where the node listens; empty if no port is to be forwarded.
    private var listening: [Multiaddr] = []
    private var isOn = false
    /// Between which machines, and for which ports, the mapper was started.
    private var current: (network: PortMapper.Network, ports: [UInt16])?
    private var socket: (any Channel)?
    /// Counts the starts, so that what belongs to an earlier one is left alone.
    private var round: UInt64 = 0
    private var timer: Scheduled<Void>?
    private var look: Scheduled<Void>?
    /// Made when UPnP is first needed.
    private var threads: NIOThreadPool?
    private var gateway: InternetGateway?

    /// A forwarder for a node with this secret, by which routers know it again.
    init(_ mesh: Mesh, nonce: [UInt8]) {
        self.mesh = mesh
        mapper = PortMapper(nonce: nonce, seed: .random(in: .min ... .max))
    }

    /// Forwards the ports of these addresses from now on, as far as they are of a private network;
    /// none if it is off.
    func update(_ listening: [Multiaddr], isOn: Bool) {
        self.listening = listening
        self.isOn = isOn
        review()
    }

    /// Ends all mappings; the future is complete when the router has been told.
    func stop() -> EventLoopFuture<Void> {
        look?.cancel()
        timer?.cancel()
        let told = release()
        threads?.shutdownGracefully { _ in }
        threads = nil
        return told
    }

    // MARK: Which network

    /// Looks where this machine is, and begins anew if that is not where it was.
    private func review() {
        look?.cancel()
        look = nil
        guard isOn, !listening.isEmpty else {
            end(isOn ? .notListening : .off)
            return
        }
        look = mesh.eventLoop.assumeIsolated().scheduleTask(in: Self.interval) { [weak self] in
            self?.review()
        }
        guard let network = DefaultRoute.network() else { return end(.noRouter) }
        var ports: [UInt16] = []
        for address in listening where address.ip4 == network.host {
            if let port = address.tcpPort, !ports.contains(port) { ports.append(port) }
        }
        guard !ports.isEmpty else { return end(.notListening) }
        if let current, current.network == network, current.ports == ports { return }
        begin(network, ports)
    }

    private func end(_ reason: PortMappingStatus.Idle) {
        _ = release()
        mesh.setPortMapping(.idle(reason))
    }

    private func begin(_ network: PortMapper.Network, _ ports: [UInt16]) {
        _ = release()
        current = (network, ports)
        round += 1
        mesh.setPortMapping(.asking)
        let round = round
        guard let router = network.address else { return }
        DatagramBootstrap(group: mesh.eventLoop)
            .channelOption(
                .recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: Self.maxBytes)
            )
            .channelInitializer { [mesh] channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        RouterDatagrams { datagram in
                            mesh.run { $0.forwarder.received(datagram, round: round) }
                        })
                }
            }
            .connect(to: router)
            .whenComplete { [mesh] result in
                mesh.run {
                    $0.forwarder.opened(result, round: round)
                } stopped: {
                    if case .success(let channel) = result { channel.close(promise: nil) }
                }
            }
    }

    private func opened(_ result: Result<any Channel, any Error>, round: UInt64) {
        guard round == self.round, let current else {
            if case .success(let channel) = result { channel.close(promise: nil) }
            return
        }
        switch result {
        case .success(let channel):
            socket = channel
            mapper.start(current.network, ports: current.ports, now: now)
            drive()
        case .failure(let error):
            mesh.logger.debug("no way to the router", metadata: ["error": "\(error)"])
            // The next look tries again.
            self.current = nil
        }
    }

    /// Ends the mappings; the future is complete when the router has been told.
    private func release() -> EventLoopFuture<Void> {
        mapper.stop()
        let told = drive()
        let old = socket
        told.whenComplete { _ in old?.close(promise: nil) }
        socket = nil
        current = nil
        gateway = nil
        round += 1
        return told
    }

    // MARK: The machine

    private var now: Instant { Instant(nanoseconds: NIODeadline.now().uptimeNanoseconds) }

    private func received(_ datagram: RouterDatagrams.Event, round: UInt64) {
        guard round == self.round else { return }
        switch datagram {
        case .bytes(let bytes, let source, let port):
            mapper.receive(bytes, from: source, port: port, now: now)
        case .unreachable: mapper.unreachable(now: now)
        }
        drive()
    }

    private func answered(_ answer: PortMapper.Answer, _ number: UInt64, round: UInt64) {
        guard round == self.round else { return }
        mapper.receive(answer, to: number, now: now)
        drive()
    }

    /// Carries out what the machine wants; the future is complete when that has been done.
    @discardableResult
    private func drive() -> EventLoopFuture<Void> {
        var work: [EventLoopFuture<Void>] = []
        while let order = mapper.nextTransmit() {
            if let done = carryOut(order) { work.append(done) }
        }
        while let mappings = mapper.nextEvent() { mesh.mapped(addresses(of: mappings)) }
        if current != nil { mesh.setPortMapping(mapper.status) }
        timer?.cancel()
        timer = mapper.deadline.map { deadline in
            let at = NIODeadline.uptimeNanoseconds(deadline.nanoseconds)
            return mesh.eventLoop.assumeIsolated().scheduleTask(deadline: at) { [weak self] in
                guard let self else { return }
                mapper.advance(to: now)
                drive()
            }
        }
        return EventLoopFuture.andAllComplete(work, on: mesh.eventLoop)
    }

    private func carryOut(_ order: PortMapper.Order) -> EventLoopFuture<Void>? {
        switch order {
        case .send(let bytes):
            guard let socket, let router = current?.network.address else { return nil }
            let envelope = AddressedEnvelope(
                remoteAddress: router, data: ByteBuffer(bytes: bytes))
            return socket.writeAndFlush(envelope)
        case .forward(let number, let port, let outer, let lifetime):
            guard let network = current?.network else { return nil }
            let round = round
            wait { [gateway] () -> (InternetGateway?, PortMapper.Answer) in
                guard let found = gateway ?? InternetGateway(network) else {
                    return (nil, .failed(.silent))
                }
                return (found, found.forward(port, outer: outer, lifetime: lifetime))
            }
            .whenComplete { [mesh] result in
                // A thread that has ended with the node is no router that refuses.
                guard case .success(let (found, answer)) = result else { return }
                mesh.run { driver in
                    driver.forwarder.found(found, round: round, answer)
                    driver.forwarder.answered(answer, number, round: round)
                }
            }
            return nil
        case .release(let outer):
            guard let gateway else { return nil }
            return wait { gateway.release(outer) }
        }
    }

    /// Remembers how the router is asked, as long as it answers.
    private func found(
        _ gateway: InternetGateway?, round: UInt64, _ answer: PortMapper.Answer
    ) {
        guard round == self.round else { return }
        if case .forwarded = answer { self.gateway = gateway } else { self.gateway = nil }
    }

    /// Does something on the thread that may wait.
    private func wait<Value: Sendable>(
        for work: @escaping @Sendable () -> Value
    ) -> EventLoopFuture<Value> {
        let pool = threads ?? NIOThreadPool(numberOfThreads: 1)
        if threads == nil { pool.start() }
        threads = pool
        return pool.runIfActive(eventLoop: mesh.eventLoop) { work() }
    }

    /// The addresses that lead here by way of the router.
    private func addresses(of mappings: [PortMapping]) -> [Multiaddr] {
        guard let host = current?.network.host else { return [] }
        return mappings.flatMap { mapping in
            listening.filter { $0.ip4 == host && $0.tcpPort == mapping.port }
                .compactMap { $0.moved(to: mapping.external) }
        }
    }
}

/// What comes from a router, bounded.
private final class RouterDatagrams: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>

    enum Event: Sendable {
        case bytes([UInt8], from: [UInt8], port: UInt16)
        /// Nobody listens there.
        case unreachable
    }

    private let report: @Sendable (Event) -> Void

    init(_ report: @escaping @Sendable (Event) -> Void) { self.report = report }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let envelope = unwrapInboundIn(data)
        guard let ip = envelope.remoteAddress.ipComponent,
            let port = envelope.remoteAddress.port.map({ UInt16(clamping: $0) })
        else { return }
        report(.bytes(Array(envelope.data.readableBytesView), from: ip.value, port: port))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // The system passes on what the router says by ICMP; nothing else is an error here.
        report(.unreachable)
    }
}

extension PortMapper.Network {
    /// Where the router listens.
    fileprivate var address: SocketAddress? {
        // Four bytes are always an address.
        try? SocketAddress(
            ipAddress: router.map { String($0) }.joined(separator: "."),
            port: Int(PortMapper.routerPort))
    }
}

extension Multiaddr {
    fileprivate var ip4: [UInt8]? {
        components.first.flatMap { $0.protocol == .ip4 ? $0.value : nil }
    }

    fileprivate var tcpPort: UInt16? {
        first(.tcp).map { UInt16($0.value[0]) << 8 | UInt16($0.value[1]) }
    }

    /// The address with another host and TCP port.
    fileprivate func moved(to endpoint: IPv4Endpoint) -> Multiaddr? {
        let port = [UInt8(endpoint.port >> 8), UInt8(endpoint.port & 255)]
        // Neither has a form that could be refused.
        guard let ip = try? Component(.ip4, endpoint.address),
            let tcp = try? Component(.tcp, port)
        else { return nil }
        return try? Multiaddr(
            [ip] + components.dropFirst().map { $0.protocol == .tcp ? tcp : $0 })
    }
}
