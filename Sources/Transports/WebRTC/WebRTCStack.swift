// What all WebRTC connections of a process share, because usrsctp is one for each process: an event
// loop, a clock and the numbers of peers.

import CWebRTC
import NIOCore
import NIOPosix

/// The one event loop of WebRTC, and the peers on it. All but ``eventLoop`` is used on it alone.
final class WebRTCStack: Sendable {
    static let shared = WebRTCStack()

    /// Bytes of one record of DTLS, or of one message of a data channel, with room to spare.
    static let scratchSize = 1 << 16

    let eventLoop: any EventLoop
    private let state: NIOLoopBoundBox<State>

    private struct State {
        var isStarted = false
        var peers: [UInt64: WebRTCPeer] = [:]
        var lastNumber: UInt64 = 0
        /// Peers with something to do.
        var awake: Set<UInt64> = []
        var isWorking = false
        var ticker: Scheduled<Void>?
        var lastTick = NIODeadline.now()
        var pace = WebRTCPace()
    }

    private init() {
        eventLoop = MultiThreadedEventLoopGroup.singleton.next()
        state = .makeBoxSendingValue(State(), eventLoop: eventLoop)
    }

    /// A number for a peer, which it keeps until it is removed.
    func add(_ make: (UInt64) -> WebRTCPeer) -> WebRTCPeer {
        start()
        state.value.lastNumber += 1
        let number = state.value.lastNumber
        let peer = make(number)
        state.value.peers[number] = peer
        return peer
    }

    func remove(_ number: UInt64) { state.value.peers[number] = nil }

    func peer(_ number: UInt64) -> WebRTCPeer? { state.value.peers[number] }

    /// Has a peer work soon, together with others.
    func wake(_ number: UInt64) {
        guard state.value.awake.insert(number).inserted, !state.value.isWorking else { return }
        state.value.isWorking = true
        eventLoop.assumeIsolated().execute { self.work() }
    }

    private func work() {
        // What is sent below counts its time from the last tick on.
        enliven()
        let numbers = state.value.awake
        state.value.awake = []
        state.value.isWorking = false
        for number in numbers { state.value.peers[number]?.work() }
    }

    private func start() {
        if !state.value.isStarted {
            state.value.isStarted = true
            weft_sctp_start(
                { number, bytes, count in
                    WebRTCStack.shared.peer(number)?.sendPacket(bytes, count)
                }, { WebRTCStack.shared.wake($0) })
        }
        enliven()
    }

    /// A message comes or goes: ticks are close to each other for a while.
    private func enliven() {
        let now = NIODeadline.now()
        state.value.pace.note(now)
        guard !state.value.pace.isLively else { return }
        state.value.ticker?.cancel()
        tick(now)
    }

    /// Does what is due, and sets the next tick.
    private func tick(_ now: NIODeadline) {
        let pause = state.value.pace.next(now)
        state.value.ticker = eventLoop.assumeIsolated().scheduleTask(in: pause) {
            self.state.value.ticker = nil
            guard !self.state.value.peers.isEmpty else { return self.state.value.pace.stop() }
            self.tick(.now())
        }
        let elapsed = (now - state.value.lastTick).nanoseconds / 1_000_000
        state.value.lastTick = state.value.lastTick + .milliseconds(elapsed)
        weft_sctp_tick(UInt32(clamping: elapsed))
    }
}
