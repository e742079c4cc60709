// Answering a browser that offers a connection over somebody both are connected with
// (github.com/libp2p/specs, webrtc/webrtc.md). A router may stand before this side, which lets in
// only what has been sent to: so the browser is looked for at all ways that it names, while it
// looks for this side, from the one socket that is listened on.

import Connections
public import Multiformats
public import NIOCore
import Synchronization

/// What a browser offers, and what is to be known about it.
public struct WebRTCOffer: Sendable {
    /// Who offers, as the connection has proven over which the offer came.
    public var peer: PeerID
    /// Its session description.
    public var description: [UInt8]
    /// The addresses at which listeners of the transport are told of.
    public var addresses: [Multiaddr]
    /// Listeners for WebRTC that say where this side is seen from outside.
    public var servers: [Multiaddr]

    /// An offer.
    public init(
        peer: PeerID, description: [UInt8], addresses: [Multiaddr], servers: [Multiaddr]
    ) {
        self.peer = peer
        self.description = description
        self.addresses = addresses
        self.servers = servers
    }
}

/// A connection that a browser offers, until its handshake begins. Then it is one of those that the
/// listeners give.
public final class WebRTCCall: Sendable {
    /// What the browser is to be told.
    public enum Step: Sendable {
        /// The session description that answers its own.
        case answer([UInt8])
        /// One more way to this side.
        case candidate([UInt8])
        /// Nothing comes of it.
        case failed
    }

    /// At how many places the browser is looked for, and at one IP address.
    static let maxWays = 8
    static let maxWaysPerIP = 2
    /// When it is looked for, after the time before, in milliseconds; then it is given up.
    static let pauses: [Int64] = [250, 250, 500, 500, 1000, 1000, 2000, 2000, 4000]

    private struct Side {
        let listener: WebRTCListener
        /// What the listener calls the browser.
        let place: UInt64
    }

    private struct State {
        var sides: [Side] = []
        var ways: [SocketAddress] = []
        var tries = 0
        var timer: Scheduled<Void>?
        var isOver = false
        var hasFailed = false
    }

    private let offer: WebRTCOffer
    private let description: SessionOffer
    private let agreement: ICEAgreement
    private let eventLoop = WebRTCStack.shared.eventLoop
    private let state: NIOLoopBoundBox<State>
    private let admits: @Sendable (SocketAddress) -> Bool
    private let tell: @Sendable (Step) -> Void

    init(
        _ offer: WebRTCOffer, admits: @escaping @Sendable (SocketAddress) -> Bool,
        tell: @escaping @Sendable (Step) -> Void
    ) throws {
        self.offer = offer
        description = try SessionOffer(decoding: offer.description)
        let random = (0..<ICEAgreement.randomBytes).map { _ in UInt8.random(in: 0...255) }
        agreement = ICEAgreement(answering: description, random: random)
        state = .makeBoxSendingValue(State(), eventLoop: eventLoop)
        self.admits = admits
        self.tell = tell
    }

    /// Has listeners wait for the browser, and looks for it; on the event loop of WebRTC.
    func begin(by listeners: [WebRTCListener], _ certificate: DTLSCertificate) {
        guard !state.value.isOver else { return }
        let expected = ExpectedPeer(
            peer: offer.peer, fingerprint: description.fingerprint, call: self)
        for listener in listeners {
            guard let place = listener.expect(expected, agreement) else { continue }
            state.value.sides.append(Side(listener: listener, place: place))
        }
        guard !state.value.sides.isEmpty else { return lost() }
        let own = offer.addresses.compactMap { address in
            Self.place(of: address).flatMap { UDPAddress($0) }.map { ICECandidate(.host, $0) }
        }
        let answer = SessionAnswer(
            name: agreement.name, password: agreement.password,
            fingerprint: certificate.fingerprint, candidates: own)
        tell(.answer(answer.encoded(to: description)))
        for candidate in description.candidates { add(candidate) }
        ask(offer.servers)
        search()
    }

    /// The browser tells one more way to it, as browsers write it.
    public func hear(_ candidate: [UInt8]) {
        guard let candidate = ICECandidate(json: candidate) else { return }
        eventLoop.execute { self.add(candidate) }
    }

    /// Nothing more has to be done.
    public func end() { eventLoop.execute { self.finish() } }

    /// The browser has been found, and begins its handshake; on the event loop of WebRTC.
    func found() { finish() }

    /// Nothing comes of it: it cannot be found or let in, or its handshake failed. On the event
    /// loop of WebRTC.
    func lost() {
        finish()
        guard !state.value.hasFailed else { return }
        state.value.hasFailed = true
        tell(.failed)
    }

    private static func place(of address: Multiaddr) -> SocketAddress? {
        guard let endpoint = try? WebRTCEndpoint(address) else { return nil }
        return try? SocketAddress(ipAddress: endpoint.ip, port: endpoint.port)
    }

    /// The sockets that reach an address: those of its family, but for those of this machine alone.
    private func sides(for address: SocketAddress) -> [Side] {
        state.value.sides.filter { side in
            guard let own = side.listener.localAddress, own.protocol == address.protocol else {
                return false
            }
            return !own.isLoopback || address.isLoopback
        }
    }

    /// Asks servers where the sockets are seen.
    private func ask(_ servers: [Multiaddr]) {
        let mid = description.mid
        for server in servers.compactMap(Self.place) {
            for side in sides(for: server) {
                side.listener.ask(server) { [weak self] address in
                    // A server may say what it likes.
                    guard let self, !state.value.isOver, let place = SocketAddress(address),
                        admits(place)
                    else { return }
                    tell(.candidate(ICECandidate(.reflexive, address).json(mid: mid)))
                }
            }
        }
    }

    private func add(_ candidate: ICECandidate) {
        guard !state.value.isOver, state.value.ways.count < Self.maxWays,
            let way = SocketAddress(candidate.address), !state.value.ways.contains(way),
            state.value.ways.count(where: { $0.ipAddress == way.ipAddress }) < Self.maxWaysPerIP,
            admits(way)
        else { return }
        state.value.ways.append(way)
        // At first all are looked at together.
        if state.value.tries > 0 { check(way) }
    }

    private func check(_ way: SocketAddress) {
        for side in sides(for: way) where side.listener.mayReachOut() {
            side.listener.send(
                agreement.check(transaction: WebRTCListener.makeTransaction()), to: way)
        }
    }

    private func search() {
        guard !state.value.isOver else { return }
        guard state.value.tries < Self.pauses.count else { return lost() }
        for way in state.value.ways { check(way) }
        let pause = TimeAmount.milliseconds(Self.pauses[state.value.tries])
        state.value.tries += 1
        state.value.timer = eventLoop.assumeIsolated().scheduleTask(in: pause) { self.search() }
    }

    private func finish() {
        state.value.isOver = true
        state.value.timer?.cancel()
        state.value.timer = nil
        // The listener forgets only those who have not begun.
        for side in state.value.sides { side.listener.forget(side.place) }
        state.value.sides = []
    }
}

/// Whom a listener waits for.
struct ExpectedPeer {
    let peer: PeerID
    /// The SHA2-256 of the certificate that it must show.
    let fingerprint: [UInt8]
    let call: WebRTCCall
}

extension Transport {
    /// Answers what a browser offers, by the listeners for WebRTC. `admits` says where it may be
    /// looked for; `tell` is called on the event loop of WebRTC.
    ///
    /// - Throws: `DecodeError` for an offer that cannot be answered.
    public func answer(
        _ offer: WebRTCOffer, admits: @escaping @Sendable (SocketAddress) -> Bool,
        tell: @escaping @Sendable (WebRTCCall.Step) -> Void
    ) throws -> WebRTCCall {
        let call = try WebRTCCall(offer, admits: admits, tell: tell)
        let certificate = try webRTCCertificate()
        let listeners = webRTCListeners.withLock { $0 }
        WebRTCStack.shared.eventLoop.execute {
            call.begin(by: listeners.map { $0.value }, certificate)
        }
        return call
    }
}

extension SocketAddress {
    /// The address for a datagram.
    init?(_ address: UDPAddress) {
        let ip = ByteBuffer(bytes: address.ip)
        guard let made = try? SocketAddress(packedIPAddress: ip, port: Int(address.port)) else {
            return nil
        }
        self = made
    }
}
