// Publish-subscribe: who on this node receives what, and with whom it is exchanged.

import Multiformats
import Peering
import Wire

/// A node's part in publish-subscribe. There is no machine, and so neither memory nor traffic of
/// it, before somebody wants something.
struct PubSubService: Sendable {
    /// How long after the last subscription or publication it goes on, so that one comes out and
    /// the next finds peers.
    static let linger: Duration = .seconds(60)

    let participation: NodeCore.Participation
    let clock: WallClock
    let seed: UInt64
    var machine: PubSub?
    /// The oldest first.
    var subscriptions: [(id: SubscriptionID, topic: [UInt8], terms: SubscriptionTerms)] = []
    var rendezvous = Rendezvous()
    /// When it ends, if nothing happens until then.
    var end: Instant?
    var lastSubscription: UInt64 = 0
    var lastSequence: UInt64 = 0

    init(_ configuration: NodeCore.Configuration) {
        participation = configuration.pubSub
        clock = configuration.clock
        seed = configuration.seed
    }

    var deadline: Instant? { machine?.deadline.earlier(end).earlier(rendezvous.deadline) }

    /// The protocols that peers are told of.
    var protocols: [ProtocolName] {
        machine == nil && participation != .always ? [] : PubSub.protocols
    }

    /// Who receives a topic.
    func subscriptions(to topic: [UInt8]) -> [SubscriptionID] {
        subscriptions.filter { $0.topic == topic }.map { $0.id }
    }

    /// Who judges the messages of a topic.
    func judges(of topic: [UInt8]) -> [SubscriptionID] {
        subscriptions.filter { $0.topic == topic && $0.terms.validates }.map { $0.id }
    }

    /// Tells the machine what those who receive a topic want.
    mutating func setTerms(of topic: [UInt8]) {
        let terms = subscriptions.filter { $0.topic == topic }.map { $0.terms }
        machine?.setValidation(of: topic, terms.contains { $0.validates })
        machine?.expect(perMinute: terms.compactMap { $0.perMinute }.min(), of: topic)
    }
}

extension NodeCore {
    // MARK: Commands

    mutating func carryOut(_ command: PubSubCommand, now: Instant) -> Answer {
        switch command {
        case .subscribe, .publish:
            if pubSub.participation == .never { return .failed(.unavailable) }
        case .unsubscribe, .judge, .topics, .peers: break
        }
        switch command {
        case .subscribe(let topic, let terms): return subscribe(to: topic, terms, now: now)
        case .judge(let id, let verdict): pubSub.machine?.decide(id, verdict, now: now)
        case .unsubscribe(let id): unsubscribe(id, now: now)
        case .publish(let data, let topic): return publish(data, to: topic, now: now)
        case .topics: return .pubSub(.topics(topicStatus))
        case .peers(let topic): return .pubSub(.peers(topicPeers(of: topic)))
        }
        return .done
    }

    private mutating func subscribe(
        to topic: [UInt8], _ terms: SubscriptionTerms, now: Instant
    ) -> Answer {
        guard pubSub.subscriptions.count < limits.pubSub.subscriptions else {
            tallies.subscriptionsRefused += 1
            return .failed(.overLimit)
        }
        takePart(now: now)
        guard pubSub.machine?.subscribe(to: topic, now: now) == true else {
            tallies.subscriptionsRefused += 1
            return .failed(.overLimit)
        }
        pubSub.lastSubscription += 1
        let id = SubscriptionID(number: pubSub.lastSubscription)
        pubSub.subscriptions.append((id, topic, terms))
        pubSub.setTerms(of: topic)
        seekPeers(of: topic, isOwn: true, now: now)
        return .pubSub(.subscribed(id))
    }

    private mutating func unsubscribe(_ id: SubscriptionID, now: Instant) {
        guard let index = pubSub.subscriptions.firstIndex(where: { $0.id == id }) else { return }
        let topic = pubSub.subscriptions.remove(at: index).topic
        pubSub.setTerms(of: topic)
        if pubSub.subscriptions(to: topic).isEmpty {
            pubSub.machine?.unsubscribe(from: topic, now: now)
            pubSub.rendezvous.end(topic)
        }
        pubSub.end = now + PubSubService.linger
    }

    private mutating func publish(_ data: [UInt8], to topic: [UInt8], now: Instant) -> Answer {
        takePart(now: now)
        do throws(PubSub.PublishError) {
            let count = try pubSub.machine?.publish(data, to: topic, now: now)
            if count == 0 { seekPeers(of: topic, isOwn: false, now: now) }
            return .pubSub(.published(peers: count ?? 0))
        } catch {
            return .failed(error == .overLimit ? .overLimit : .unavailable)
        }
    }

    private var topicStatus: [TopicStatus] {
        guard let machine = pubSub.machine else { return [] }
        return machine.subscriptions.map { topic in
            TopicStatus(
                topic: topic, subscriptions: pubSub.subscriptions(to: topic).count,
                peers: machine.subscribers(of: topic).count,
                meshPeers: machine.meshPeers(of: topic).count)
        }
    }

    private func topicPeers(of topic: [UInt8]?) -> [TopicPeer] {
        guard let machine = pubSub.machine else { return [] }
        let all = topic.map { machine.subscribers(of: $0) } ?? machine.participants
        let mesh = topic.map { machine.meshPeers(of: $0) }
        return all.map { peer in
            TopicPeer(
                peer: peer, score: machine.score(of: peer),
                isInMesh: mesh?.contains(peer) ?? machine.isInMesh(peer))
        }
    }

    // MARK: Taking part

    /// Begins to take part, if that has not begun, and goes on for a while.
    mutating func takePart(now: Instant) {
        pubSub.end = now + PubSubService.linger
        guard pubSub.machine == nil else { return }
        // Higher than whatever this key published before, in this run or an earlier one.
        let time = pubSub.clock.time(at: now)
        let sequence = UInt64(clamping: time.seconds) &* 1_000_000_000 &+ UInt64(time.nanoseconds)
        pubSub.machine = PubSub(
            key: identity, limits: limits.pubSub.machine,
            sequence: max(sequence, pubSub.lastSequence), seed: pubSub.seed)
        announceProtocols()
        for entry in connections.all { noteSpeaker(entry.facts.peer, now: now) }
    }

    /// Ends taking part, if nobody has wanted anything for a while.
    mutating func restFromPubSub(now: Instant) {
        guard let end = pubSub.end, end <= now else { return }
        pubSub.end = nil
        guard let machine = pubSub.machine, pubSub.participation != .always,
            pubSub.subscriptions.isEmpty
        else { return }
        pubSub.lastSequence = machine.nextSequence
        pubSub.machine = nil
        pubSub.rendezvous.endAll()
        for stream in streams.streams(of: .pubSub) { reset(stream, now: now) }
        announceProtocols()
    }

    /// A peer said what it speaks.
    mutating func noteSpeaker(_ peer: PeerID, now: Instant) {
        guard pubSub.machine != nil, let known = peers[peer], !known.protocols.isEmpty else {
            return
        }
        guard known.protocols.contains(where: { PubSub.protocols.contains($0) }) else {
            pubSub.machine?.disconnected(from: peer, now: now)
            return
        }
        meetSpeaker(peer, now: now)
    }

    private mutating func meetSpeaker(_ peer: PeerID, now: Instant) {
        guard let route = connections.best(to: peer, limited: .refused)?.facts else { return }
        pubSub.machine?.connected(
            to: peer, route.direction == .outbound ? .outgoing : .incoming,
            remote: route.remoteAddress, now: now)
        if let record = peers[peer]?.record { pubSub.machine?.note(record: record, of: peer) }
    }

    // MARK: The machine

    /// Carries its orders and events. Returns whether there were any.
    mutating func settlePubSub(now: Instant) -> Bool {
        var isQuiet = true
        while let order = pubSub.machine?.nextTransmit() {
            carryOut(order, of: .pubSub, now: now)
            isQuiet = false
        }
        while let event = pubSub.machine?.nextEvent() {
            isQuiet = false
            switch event {
            case .message(let message, let peer):
                guard access.admits(message.author) else { continue }
                let subscriptions = pubSub.subscriptions(to: message.topic)
                outputs.append(.message(message, from: peer, subscriptions: subscriptions))
            case .validate(let id, let message, let peer):
                guard access.admits(message.author) else {
                    pubSub.machine?.decide(id, .ignore, now: now)
                    continue
                }
                let judges = pubSub.judges(of: message.topic)
                outputs.append(.validate(id, message, from: peer, subscriptions: judges))
            case .suggested(let record, let peer): take(record, suggestedBy: peer, now: now)
            case .shunned(let peer): violated(peer, .pubSub, now: now)
            }
        }
        return !isQuiet
    }

    /// Something happened to one of its streams.
    mutating func receivePubSub(_ event: StreamEvent, now: Instant) {
        guard pubSub.machine != nil else {
            // What was asked for while this node took part.
            if case .opened(_, let stream, _) = event { reset(stream, now: now) }
            return
        }
        // A peer that speaks it need not have said so before.
        if case .accepted(_, let peer, _) = event { meetSpeaker(peer, now: now) }
        pubSub.machine?.receive(event, now: now)
    }
}
