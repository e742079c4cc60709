// A page's part in calls: the machine of `Compute`, whose streams the page brings to its peer, and
// whose runs it has done by workers. What takes no time is done here.

import Compute
import Cryptography
import Multiformats
import Wire

/// The calls of a page.
final class PageCalls {
    /// What the page has to do, or is told.
    enum Event {
        case stream(StreamOrder)
        /// Run this call; for a peer, if one is named.
        case run(UInt64, Call, for: PeerID?)
        case stop(UInt64)
        /// Get these records, from a peer or from what the page keeps.
        case load(UInt64, [CID], from: PeerID?)
        /// Run this activation again; for a peer if it is to tell whether a proof is one.
        case replay(UInt64, ReplayOrder, forPeer: Bool)
        case answered(UInt32, CallResult)
        case failed(UInt32, CallError)
        /// The answer to a call was wrong. With the right one, if it is known.
        case refuted(UInt32, CallRecord?)
        /// A peer is proven to have lied.
        case convicted(PeerID)
    }

    /// Who opened a stream, and which of its directions are still open.
    private struct Stream {
        let isOurs: Bool
        var isOpenHere = true
        var isOpenThere = true
    }

    /// How many calls of peers may be under way.
    static let maxServed = 64
    /// How many answers are remembered that may turn out to be wrong.
    static let maxShown = 256
    /// The most gas of a call of a peer.
    static let maxServedGas: UInt64 = 10_000_000_000

    private let identity: PrivateKey
    /// Seconds since 1970 when the page's clock stood at zero.
    private let epoch: Double
    private var machine: CallExchange
    /// The connected peers that run calls.
    private var speakers: Set<PeerID> = []
    private var streams = [StreamID: Stream]()
    /// The page's numbers of its calls, by the machine's.
    private var calls = [UInt64: UInt32]()
    /// The calls that were answered last, whose answers may turn out to be wrong.
    private var shown = [UInt64: UInt32]()
    private var shownOrder = BoundedQueue<UInt64>(limit: PageCalls.maxShown)
    /// Proofs that depend on a replay, by the number of the order.
    private var examined = [UInt64: (evidence: Evidence, order: ReplayOrder)]()

    /// The calls of the peer whose Ed25519 key has this seed.
    ///
    /// - Parameter secret: ``SecretGenerator/secretBytes`` random bytes.
    init(seed: [UInt8], secret: [UInt8], offer: CallOffer, epoch: Double) throws(SigningError) {
        identity = try PrivateKey(ed25519Seed: seed)
        self.epoch = epoch
        var limits = CallServerLimits()
        limits.streams = 64
        limits.callsPerPeer = 16
        limits.calls = Self.maxServed
        machine = CallExchange(
            offer: offer, book: CreditBook(of: PeerID(identity.publicKey)), secret: secret,
            limits: limits)
    }

    private func time(_ now: Instant) -> UInt64 {
        UInt64(max(0, epoch + Double(now.nanoseconds) / 1_000_000_000))
    }

    // MARK: Peers

    /// A connected peer runs calls, or does not.
    func note(_ peer: PeerID, runsCalls: Bool, now: Instant) {
        // What others sign could not be checked.
        if runsCalls, peer.publicKey?.canVerify == true {
            speakers.insert(peer)
            machine.meet(peer, now: now)
        } else {
            speakers.remove(peer)
            machine.lose(peer)
        }
    }

    // MARK: This page's calls

    /// Has a call run. The page's number comes back with the end.
    func ask(
        _ number: UInt32, _ call: Call, _ terms: CallTerms, _ audit: CallAudit,
        here: LocalCapacity?, now: Instant
    ) {
        let candidates = speakers.sorted { $0.bytes.lexicographicallyPrecedes($1.bytes) }
        let own = machine.fetch(
            call, terms: terms, audit: audit, candidates: candidates, here: here, now: now)
        calls[own] = number
    }

    /// Nobody waits for a call any more.
    func cancel(_ number: UInt32, now: Instant) {
        guard let own = calls.first(where: { $0.value == number })?.key else { return }
        calls[own] = nil
        machine.cancel(own, now: now)
    }

    // MARK: What was ordered

    /// The result of a run; nil if the page could not.
    func ran(_ order: UInt64, _ record: CallRecord?, now: Instant) {
        machine.ran(order, record, now: now, time: time(now))
    }

    /// The blocks of records, in the order in which they were named; nil if not all were to be had.
    func loaded(_ order: UInt64, _ blocks: [[UInt8]]?, now: Instant) {
        machine.loaded(order, blocks, now: now)
    }

    /// The page could not find out whether these records are to be had.
    func couldNotLoad(_ order: UInt64, now: Instant) { machine.couldNotLoad(order, now: now) }

    /// What came of a replay; nil if the page could not run it.
    func replayed(_ order: UInt64, _ replay: Replay?, now: Instant) {
        guard let (evidence, activation) = examined.removeValue(forKey: order) else {
            return machine.replayed(order, replay, now: now)
        }
        machine.examined(order, ProofFinding(evidence, activation, by: replay), now: now)
    }

    /// Changes what peers are told of this page's speed and queue.
    func setOffer(_ offer: CallOffer) { machine.setOffer(offer) }

    /// Changes how long peers are told that they would wait.
    func setQueue(_ queue: Duration) { machine.setQueue(queue) }

    // MARK: Streams and time

    /// Takes what happened to a stream of the protocol.
    func receive(_ event: StreamEvent, now: Instant) {
        let isOurs: Bool
        switch event {
        case .opened(_, let stream, _):
            streams[stream] = Stream(isOurs: true)
            isOurs = true
        case .refused: isOurs = true
        case .accepted(let stream, _, _):
            streams[stream] = Stream(isOurs: false)
            isOurs = false
        case .message(let stream, _), .finished(let stream), .reset(let stream):
            guard let state = streams[stream] else { return }
            isOurs = state.isOurs
        }
        machine.receive(event, isOurs: isOurs, now: now, time: time(now))
        switch event {
        case .finished(let stream): close(stream) { $0.isOpenThere = false }
        case .reset(let stream): streams[stream] = nil
        default: break
        }
    }

    private func close(_ stream: StreamID, _ change: (inout Stream) -> Void) {
        guard var state = streams[stream] else { return }
        change(&state)
        streams[stream] = state.isOpenHere || state.isOpenThere ? state : nil
    }

    /// Does what is due.
    func advance(to now: Instant) { machine.advance(to: now) }

    /// When ``advance(to:)`` has something to do.
    var deadline: Instant? { machine.deadline }

    /// What the page has to do next.
    func nextEvent(now: Instant) -> Event? {
        while true {
            if let event = machine.nextEvent(now: now, time: time(now)) {
                if let told = take(event, now: now) { return told }
            } else if let order = machine.nextTransmit() {
                switch order {
                case .finish(let stream): close(stream) { $0.isOpenHere = false }
                case .reset(let stream): streams[stream] = nil
                case .open, .withdraw, .send: break
                }
                return .stream(order)
            } else {
                return nil
            }
        }
    }

    /// Does what takes no time; gives what the page has to do.
    private func take(_ event: CallExchange.Event, now: Instant) -> Event? {
        switch event {
        case .verify(let order, let peer, let message, let signature):
            let isValid = peer.publicKey?.verify(signature: signature, of: message) ?? false
            machine.verified(order, isValid, now: now)
        case .sign(let order, let message): machine.signed(order, try? identity.sign(message))
        case .run(let order, let call, .own): return .run(order, call, for: nil)
        case .run(let order, let call, .peer(let peer, _)): return .run(order, call, for: peer)
        case .stop(let order, _):
            examined[order] = nil
            return .stop(order)
        // A page asks whom it is connected with.
        case .search(let contract): machine.searched(contract, now: now)
        case .load(let order, let cids, let peer): return .load(order, cids, from: peer)
        case .replay(let order, let activation): return .replay(order, activation, forPeer: false)
        case .examine(let order, let file): return examine(file, order, now: now)
        // The page's name and chain end with the page.
        case .keep(let order, _): machine.kept(order, true)
        case .answered(let own, let result):
            guard let number = calls.removeValue(forKey: own) else { return nil }
            if shownOrder.isFull, let oldest = shownOrder.popFirst() { shown[oldest] = nil }
            // There is room, as was just seen to.
            _ = shownOrder.append(own)
            shown[own] = number
            return .answered(number, result)
        case .failed(let own, let error):
            return calls.removeValue(forKey: own).map { .failed($0, error) }
        case .refuted(let own, let right):
            return shown.removeValue(forKey: own).map { .refuted($0, right) }
        case .convicted(let peer, _): return .convicted(peer)
        case .vouched, .disbelieve, .changed: break
        }
        return nil
    }

    private func examine(_ file: [UInt8], _ order: UInt64, now: Instant) -> Event? {
        switch ProofQuestion(file: file) {
        case .answered(let finding): machine.examined(order, finding, now: now)
        case .replay(let evidence, let activation):
            examined[order] = (evidence, activation)
            return .replay(order, activation, forPeer: true)
        }
        return nil
    }
}
