// One connection as the mesh has it: its streams by number, worked on the connection's event loop.

import Exchange
import Logging
import Multiformats
import NIOCore
import NodeCore
import Transports

/// What is to be done with a stream.
enum StreamWork: Sendable {
    case send([UInt8])
    case transmit(OutgoingMessage, number: UInt64)
    case ask(WeftCommand)
    case finish
    case reset
}

/// A connection to a peer, with its streams.
///
/// What its peer does reaches the machine in order and with back-pressure: bytes count against the
/// peer's window until the machine has had the messages that they completed.
final class MeshConnection: Sendable {
    /// How many steps of a peer may wait for the machine. One that is further ahead is cut off.
    static let maxWaiting = 8_192

    let number: UInt64
    let peer: PeerConnection
    let mesh: Mesh
    private let state: NIOLoopBoundBox<State>

    /// All on the connection's event loop.
    private struct State {
        var streams: [UInt32: MeshStream] = [:]
        var lastStream: UInt32 = 0
        /// What happened before the machine knew of the connection; nil afterwards.
        var held: [Step]? = []
        /// Those that go to the machine together, when all that has been read is cut up.
        var gathered: [Step] = []
        /// How many steps the machine has not dealt with yet.
        var waiting = 0
        var isEnded = false
    }

    /// Something that happened, with the bytes to be acknowledged when the machine has had it.
    private struct Step: Sendable {
        let inputs: [NodeCore.Input]
        let stream: UInt32
        let bytes: Int
    }

    init(_ number: UInt64, _ peer: PeerConnection, mesh: Mesh) {
        self.number = number
        self.peer = peer
        self.mesh = mesh
        state = .makeBoxSendingValue(State(), eventLoop: peer.eventLoop)
    }

    private func onLoop(_ work: @escaping @Sendable () -> Void) {
        if peer.eventLoop.inEventLoop { work() } else { peer.eventLoop.execute(work) }
    }

    // MARK: From the machine

    /// The machine knows the connection now.
    func release() {
        peer.eventLoop.execute { [self] in
            guard let held = state.value.held else { return }
            state.value.held = nil
            for step in held { send(step) }
            if state.value.isEnded { reportEnd() }
        }
    }

    /// Opens a stream, which the machine hears of.
    func open(_ protocols: [ProtocolName], request: UInt64) {
        peer.eventLoop.execute { [self] in
            let stream = peer.openStream(protocols) { stream in
                var opened: MeshStream?
                return { notice in
                    switch notice {
                    case .opened(let name):
                        opened = self.opened(stream, name, request)
                    case .ended(let error) where opened == nil:
                        self.report(.stream(.refused(request: request, Self.fault(error))))
                    default: opened?.receive(notice)
                    }
                }
            }
            guard stream == nil else { return }
            let fault: StreamFault = state.value.isEnded ? .disconnected : .overLimit
            report(.stream(.refused(request: request, fault)))
        }
    }

    private func opened(
        _ stream: PeerStream, _ name: ProtocolName, _ request: UInt64
    ) -> MeshStream? {
        guard let new = add(stream, name, openedBy: .us) else {
            stream.reset()
            report(.stream(.refused(request: request, .unsupported)))
            return nil
        }
        report(.stream(.opened(request: request, new.id, name)))
        return new
    }

    private static func fault(_ error: TransportError) -> StreamFault {
        switch error {
        case .protocolRefused: .unsupported
        case .timedOut: .timedOut
        case .overLimit: .overLimit
        default: .disconnected
        }
    }

    /// Does something with a stream, if it is still there. On the connection's event loop that is
    /// done at once, so that it leaves with what is to be sent already.
    func carryOut(_ work: StreamWork, on number: UInt32) {
        onLoop { [self] in
            if let stream = state.value.streams[number] {
                stream.carryOut(work)
            } else if case .transmit(_, let message) = work {
                report(.unsent(message))
            }
        }
    }

    /// Finds out whether the peer is there; the machine hears if it is not.
    func check() {
        peer.eventLoop.execute { [self] in
            peer.check { [self] presence in
                report(presence == .silent ? .silent(number) : .awake(number))
            }
        }
    }

    /// Makes a connection of a stream.
    func upgrade(
        _ circuit: CircuitUpgrade, by transport: Transport,
        _ done: @escaping @Sendable (Result<PeerConnection, any Error>) -> Void
    ) {
        peer.eventLoop.execute { [self] in
            guard let stream = state.value.streams[circuit.stream.stream] else {
                return done(.failure(TransportError.streamReset))
            }
            let received = circuit.received
            stream.become(
                { raw in
                    let made = transport.connect(
                        over: raw, of: peer, dialling: circuit.attempt == nil ? nil : circuit.peer)
                    made.ready.whenComplete(done)
                    return (made.receiver, made.over)
                }, received: received)
        }
    }

    // MARK: From the peer, on the connection's event loop

    /// A peer opened a stream.
    func accept(_ stream: PeerStream, _ name: ProtocolName) -> StreamReceiver? {
        if name == Perf.name { return mesh.measured(stream, by: peer) }
        guard let new = add(stream, name, openedBy: .them) else { return nil }
        report(.stream(.accepted(new.id, peer.peer, name)))
        return { new.receive($0) }
    }

    private func add(
        _ stream: PeerStream, _ name: ProtocolName, openedBy opener: ExchangeIntake.Opener
    ) -> MeshStream? {
        guard let framing = NodeCore.framing(of: name), state.value.lastStream < .max else {
            return nil
        }
        state.value.lastStream += 1
        let id = StreamID(connection: number, stream: state.value.lastStream)
        let new = MeshStream(
            id, stream, framing, ExchangeIntake(name, openedBy: opener),
            mesh.traffic[name], of: self)
        state.value.streams[id.stream] = new
        return new
    }

    /// A stream is over.
    func remove(_ stream: StreamID) {
        state.value.streams[stream.stream] = nil
    }

    /// Reads blocks, which the stream gets.
    func read(_ cids: [CID], for stream: StreamID) {
        mesh.reads.blocks(cids) { [self] blocks in
            onLoop { [self] in state.value.streams[stream.stream]?.loaded(blocks) }
        }
    }

    /// Tells the machine what happened.
    func report(_ input: NodeCore.Input) {
        report([input], of: 0, bytes: 0)
    }

    /// Tells the machine what happened; when it has heard that, bytes are acknowledged.
    func report(_ inputs: [NodeCore.Input], of stream: UInt32, bytes: Int) {
        let step = Step(inputs: inputs, stream: stream, bytes: bytes)
        guard state.value.held == nil else {
            if (state.value.held?.count ?? 0) < Self.maxWaiting {
                state.value.held?.append(step)
            } else {
                peer.close()
            }
            return
        }
        send(step)
    }

    private func send(_ step: Step) {
        guard state.value.waiting < Self.maxWaiting else {
            mesh.logger.debug("a peer is too fast", metadata: ["peer": "\(peer.peer)"])
            return peer.close()
        }
        state.value.waiting += 1
        state.value.gathered.append(step)
        if state.value.gathered.count == 1 { peer.eventLoop.execute { [self] in deliver() } }
    }

    /// How many steps go to the machine together at most, so that others get their turn.
    private static let maxTogether = 256

    private func deliver() {
        while !state.value.gathered.isEmpty {
            let steps = Array(state.value.gathered.prefix(Self.maxTogether))
            state.value.gathered.removeFirst(steps.count)
            deliver(steps)
        }
    }

    private func deliver(_ steps: [Step]) {
        mesh.run { [self] driver in
            driver.receive(steps.flatMap(\.inputs))
            peer.eventLoop.execute { [self] in
                state.value.waiting -= steps.count
                for step in steps where step.bytes > 0 {
                    state.value.streams[step.stream]?.consume(step.bytes)
                }
            }
        }
    }

    /// The connection ended. Its streams have been told.
    func end() {
        state.value.isEnded = true
        state.value.streams = [:]
        if state.value.held == nil { reportEnd() }
    }

    private func reportEnd() {
        deliver()
        mesh.run { [number] in $0.disconnected(number) }
    }
}
