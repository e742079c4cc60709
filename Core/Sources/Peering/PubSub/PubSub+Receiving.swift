import Multiformats
import Wire

// What peers say, and what is done about it.
extension PubSub {
    mutating func take(
        _ bytes: [UInt8], from peer: PeerID, on stream: StreamID, now: Instant
    ) {
        guard let state = peers[peer] else { return }
        guard state.score.value >= PubSubScore.graylistThreshold else {
            if !state.isShunned { events.append(.shunned(peer)) }
            peers[peer]?.isShunned = true
            return
        }
        peers[peer]?.isShunned = false
        let rpc: PubSubRPC
        do throws(DecodeError) {
            rpc = try PubSubRPC(decoding: bytes.rawSpan)
        } catch {
            peers[peer]?.score.misbehaviour += 1
            incoming[stream] = nil
            orders.append(.reset(stream))
            return
        }
        for (topic, isOn) in rpc.subscriptions { note(topic, isOn, of: peer) }
        peers[peer]?.score.invalidMessages += Double(rpc.unreadable)
        for id in rpc.dontWant where (peers[peer]?.dontWant.count ?? 0) < PubSubRPC.maxIDs {
            peers[peer]?.dontWant.insert(id)
        }
        for message in rpc.messages { take(message, from: peer, now: now) }
        if state.score.value >= PubSubScore.gossipThreshold {
            take(rpc.have, from: peer)
            answer(rpc.want, of: peer)
        }
        for topic in rpc.graft { takeGraft(topic, from: peer, now: now) }
        for prune in rpc.prune { takePrune(prune, from: peer, now: now) }
    }

    private mutating func note(_ topic: [UInt8], _ isOn: Bool, of peer: PeerID) {
        if isOn {
            guard let known = peers[peer]?.topics, known.count < Self.maxTopics,
                !known.contains(topic)
            else { return }
            peers[peer]?.topics.insert(topic)
            events.append(.subscribed(peer, topic: topic))
        } else {
            guard peers[peer]?.topics.remove(topic) != nil else { return }
            mesh[topic]?.removeAll { $0 == peer }
            events.append(.unsubscribed(peer, topic: topic))
        }
    }

    private mutating func take(_ message: PubSubMessage, from peer: PeerID, now: Instant) {
        let id = message.id
        peers[peer]?.promised.remove(id)
        guard topics.contains(message.topic), seen[id] == nil, message.author != own else { return }
        guard message.data.count <= Self.maxDataBytes, message.isValid else {
            peers[peer]?.score.invalidMessages += 1
            return
        }
        remember(message, now: now)
        peers[peer]?.score.firstDeliveries += 1
        events.append(.message(message, from: peer))
        for other in mesh[message.topic] ?? [] where other != peer && other != message.author {
            guard let state = peers[other], !state.dontWant.contains(id) else { continue }
            peers[other]?.pending.messages.append(message)
            if message.data.count > Self.dontWantBytes, state.version == 0 {
                peers[other]?.pending.dontWant.append(id)
            }
        }
        // Peers that do not know the mesh get everything.
        for other in order where peers[other]?.version == 3 && other != peer {
            guard peers[other]?.topics.contains(message.topic) == true else { continue }
            peers[other]?.pending.messages.append(message)
        }
    }

    /// Gossip: asks for what is new.
    private mutating func take(_ have: [PubSubRPC.Have], from peer: PeerID) {
        for entry in have where topics.contains(entry.topic) {
            guard let state = peers[peer], state.haves < Self.maxHavesPerHeartbeat else { return }
            peers[peer]?.haves += 1
            for id in entry.ids where seen[id] == nil {
                guard let wants = peers[peer]?.wants, wants < Self.maxWantsPerHeartbeat else {
                    return
                }
                peers[peer]?.wants += 1
                peers[peer]?.pending.want.append(id)
                // One of them has to come, or the peer promised too much.
                if peers[peer]?.promised.isEmpty == true { peers[peer]?.promised.insert(id) }
            }
        }
    }

    private mutating func answer(_ want: [[UInt8]], of peer: PeerID) {
        for id in want {
            guard let cached = cache[id], cached.sent[peer, default: 0] < Self.maxResends else {
                continue
            }
            cache[id]?.sent[peer, default: 0] += 1
            peers[peer]?.pending.messages.append(cached.message)
        }
    }

    private mutating func takeGraft(_ topic: [UInt8], from peer: PeerID, now: Instant) {
        guard let members = mesh[topic], let state = peers[peer] else { return }
        guard !members.contains(peer) else { return }
        if let until = state.backoff[topic], until > now {
            // It was told when it may come back.
            peers[peer]?.score.misbehaviour += 1
            refuse(peer, topic, now: now)
            return
        }
        let isFull = members.count >= Self.degreeHigh && state.direction == .incoming
        guard !isFull, state.score.value >= 0 else {
            refuse(peer, topic, now: now)
            return
        }
        peers[peer]?.topics.insert(topic)
        mesh[topic]?.append(peer)
    }

    private mutating func refuse(_ peer: PeerID, _ topic: [UInt8], now: Instant) {
        peers[peer]?.backoff[topic] = now + Self.pruneBackoff
        peers[peer]?.pending.prune.append(
            .init(topic: topic, backoffSeconds: Self.seconds(Self.pruneBackoff)))
    }

    private mutating func takePrune(
        _ prune: PubSubRPC.Prune, from peer: PeerID, now: Instant
    ) {
        guard mesh[prune.topic] != nil else { return }
        mesh[prune.topic]?.removeAll { $0 == peer }
        let seconds = min(prune.backoffSeconds ?? Self.seconds(Self.pruneBackoff), 3_600)
        peers[peer]?.backoff[prune.topic] = now + .seconds(Int64(seconds))
    }

    /// Notes a message as seen, and keeps it for those who will ask for it.
    mutating func remember(_ message: PubSubMessage, now: Instant) {
        let id = message.id
        while let first = seenOrder.first,
            seenOrder.isFull || now.since(first.at) > Self.seenFor
        {
            _ = seenOrder.popFirst()
            seen[first.id] = nil
        }
        seen[id] = now
        _ = seenOrder.append((id, now))
        guard cachedBytes + message.data.count <= Self.maxCachedBytes else { return }
        cachedBytes += message.data.count
        cache[id] = Cached(message: message)
        history[0].append((id, message.topic))
        if nextHeartbeat == nil { nextHeartbeat = now + Self.heartbeat }
    }
}
