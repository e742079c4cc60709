import Multiformats
import Wire

// What peers say, and what is done about it.
extension PubSub {
    mutating func take(
        _ bytes: [UInt8], from peer: PeerID, on stream: StreamID, now: Instant
    ) {
        guard peers[peer] != nil else { return }
        let score = score(of: peer)
        guard score >= PubSubScore.graylistThreshold else {
            if peers[peer]?.isShunned == false { events.append(.shunned(peer)) }
            peers[peer]?.isShunned = true
            return
        }
        peers[peer]?.isShunned = false
        let rpc: PubSubRPC
        do throws(DecodeError) {
            rpc = try PubSubRPC(decoding: bytes.rawSpan)
        } catch {
            peers[peer]?.score.misbehaved()
            incoming[stream] = nil
            orders.append(.reset(stream))
            return
        }
        for (topic, isOn) in rpc.subscriptions { note(topic, isOn, of: peer) }
        if rpc.unreadable > 0 { peers[peer]?.score.broughtInvalid(rpc.unreadable) }
        for id in rpc.dontWant {
            guard let count = peers[peer]?.dontWant.count, count < Self.maxDontWantsPerHeartbeat
            else { break }
            peers[peer]?.dontWant.insert(id)
        }
        for message in rpc.messages { take(message, from: peer, now: now) }
        if score >= PubSubScore.gossipThreshold {
            take(rpc.have, from: peer, now: now)
            answer(rpc.want, of: peer)
        }
        for topic in rpc.graft { takeGraft(topic, from: peer, now: now) }
        for prune in rpc.prune { takePrune(prune, from: peer, now: now) }
    }

    private mutating func note(_ topic: [UInt8], _ isOn: Bool, of peer: PeerID) {
        guard isOn else {
            if peers[peer]?.topics.remove(topic) != nil { leave(peer, topic) }
            return
        }
        guard let known = peers[peer]?.topics, known.count < Self.maxTopicsPerPeer,
            !known.contains(topic)
        else { return }
        peers[peer]?.topics.insert(topic)
        catchUp(peer) { $0 == topic }
    }

    /// Sends a peer what this node published just before the peer was there.
    mutating func catchUp(_ peer: PeerID, _ isIncluded: ([UInt8]) -> Bool) {
        guard let state = peers[peer], state.stream != nil,
            score(of: peer) >= PubSubScore.publishThreshold
        else { return }
        for window in history {
            for entry in window where isIncluded(entry.topic) && state.topics.contains(entry.topic)
            {
                guard let cached = cache[entry.id], cached.message.author == own,
                    cached.sent[peer] == nil
                else { continue }
                cache[entry.id]?.sent[peer] = 1
                peers[peer]?.tell { $0.messages.append(cached.message) }
            }
        }
    }

    private mutating func take(_ message: PubSubMessage, from peer: PeerID, now: Instant) {
        guard let count = peers[peer]?.messages else { return }
        peers[peer]?.messages = count + 1
        guard count < Self.maxMessagesPerHeartbeat else {
            // Once for each flood, not for each message of it.
            if count == Self.maxMessagesPerHeartbeat { peers[peer]?.score.misbehaved() }
            return
        }
        let id = message.id
        guard topics.contains(message.topic), message.author != own else { return }
        guard !seen.contains(id) else {
            noteCopy(of: id, message.topic, from: peer, now: now)
            return
        }
        guard message.data.count <= limits.messageBytes else {
            // Others have other limits, so that nobody is to blame.
            see(id, now: now)
            return
        }
        guard message.isValid else {
            peers[peer]?.score.broughtInvalid(1)
            return
        }
        see(id, now: now)
        if validations.topics.contains(message.topic) {
            hold(message, id, from: peer, now: now)
        } else {
            deliver(message, id, from: [peer], now: now)
        }
    }

    /// Hands on a message that is as it should be. The first of its bearers brought it first.
    mutating func deliver(
        _ message: PubSubMessage, _ id: [UInt8], from bearers: [PeerID], now: Instant
    ) {
        guard let first = bearers.first else { return }
        keep(message, now: now)
        peers[first]?.score.delivered()
        for peer in bearers { noteShare(of: id, message.topic, from: peer) }
        events.append(.message(message, from: first))
        pass(message, id, notTo: bearers)
    }

    /// Counts a message for a peer of a mesh whose rate is known, once for each message.
    private mutating func noteShare(of id: [UInt8], _ topic: [UInt8], from peer: PeerID) {
        guard rates[topic] != nil, mesh[topic]?.contains(peer) == true,
            cache[id]?.bearers.insert(peer).inserted ?? true
        else { return }
        peers[peer]?.score.brought(topic)
    }

    /// A message came that had come before.
    private mutating func noteCopy(
        of id: [UInt8], _ topic: [UInt8], from peer: PeerID, now: Instant
    ) {
        if validations.note(peer, bears: id) { return }
        guard let known = cache[id], now.since(known.at) <= Self.copyTime else { return }
        noteShare(of: id, topic, from: peer)
    }

    private mutating func pass(_ message: PubSubMessage, _ id: [UInt8], notTo bearers: [PeerID]) {
        for other in meshPeers(of: message.topic) where !bearers.contains(other) {
            guard let state = peers[other] else { continue }
            // Said even to one that has it: it may be about to send it.
            if message.data.count > Self.dontWantBytes, state.version == 0 {
                peers[other]?.tell { $0.dontWant.append(id) }
            }
            guard other != message.author, !state.refuses(id) else { continue }
            peers[other]?.tell { $0.messages.append(message) }
        }
        // Peers that do not know the mesh get everything.
        for other in order where !bearers.contains(other) && other != message.author {
            guard let state = peers[other], state.version == 3,
                state.topics.contains(message.topic)
            else { continue }
            peers[other]?.tell { $0.messages.append(message) }
        }
    }

    /// Gossip: asks for what is new.
    private mutating func take(_ have: [PubSubRPC.Have], from peer: PeerID, now: Instant) {
        guard !have.isEmpty, let state = peers[peer], state.haves < Self.maxHavesPerHeartbeat
        else { return }
        peers[peer]?.haves += 1
        var room = Self.maxWantsPerHeartbeat - state.wants
        var wanted: [[UInt8]] = []
        var chosen: Set<[UInt8]> = []
        for entry in have where topics.contains(entry.topic) {
            for id in entry.ids where room > 0 && !seen.contains(id) {
                guard chosen.insert(id).inserted else { continue }
                wanted.append(id)
                room -= 1
            }
        }
        // One of them, which the peer cannot know, has to come, or it promised too much.
        guard let tested = wanted.randomElement(using: &random) else { return }
        peers[peer]?.wants += wanted.count
        peers[peer]?.tell { $0.want += wanted }
        _ = promises.append(Promise(id: tested, peer: peer, due: now + Self.promiseTime))
    }

    private mutating func answer(_ want: [[UInt8]], of peer: PeerID) {
        for id in want {
            guard let cached = cache[id], let given = peers[peer]?.answeredBytes,
                given < Self.maxAnsweredBytesPerHeartbeat,
                cached.sent[peer, default: 0] < Self.maxResends
            else { continue }
            cache[id]?.sent[peer, default: 0] += 1
            peers[peer]?.answeredBytes = given + cached.message.data.count
            peers[peer]?.tell { $0.messages.append(cached.message) }
        }
    }

    private mutating func takeGraft(_ topic: [UInt8], from peer: PeerID, now: Instant) {
        // Without a word for topics that are not ours, which would tell which are.
        guard let members = mesh[topic], let state = peers[peer], state.version != 3,
            !members.contains(peer)
        else { return }
        if let until = state.backoff[topic], until > now {
            // It was told when it may come back.
            peers[peer]?.score.misbehaved()
            prune(peer, topic, now: now)
            return
        }
        let isFull = members.count >= Self.degreeHigh && state.direction == .incoming
        guard !isFull, score(of: peer) >= 0 else {
            prune(peer, topic, now: now)
            return
        }
        peers[peer]?.topics.insert(topic)
        enter(peer, topic)
    }

    private mutating func takePrune(
        _ prune: PubSubRPC.Prune, from peer: PeerID, now: Instant
    ) {
        guard mesh[prune.topic] != nil else { return }
        leave(peer, prune.topic)
        let seconds = min(
            prune.backoffSeconds ?? Self.seconds(Self.pruneBackoff), Self.maxBackoffSeconds)
        peers[peer]?.backoff[prune.topic] = now + .seconds(Int64(seconds))
        takeSuggestions(prune.suggestions, for: prune.topic, from: peer)
    }

    // MARK: Remembering

    /// Notes that a message has been seen.
    mutating func see(_ id: [UInt8], now: Instant) {
        forgetSeen(now: now)
        if seenOrder.isFull, let first = seenOrder.popFirst() { seen.remove(first.id) }
        seen.insert(id)
        _ = seenOrder.append((id, now))
    }

    mutating func forgetSeen(now: Instant) {
        while let first = seenOrder.first, now.since(first.at) > Self.seenFor {
            _ = seenOrder.popFirst()
            seen.remove(first.id)
        }
    }

    /// Keeps a message for those who will ask for it.
    mutating func keep(_ message: PubSubMessage, now: Instant) {
        guard cachedBytes + message.cost <= limits.cachedBytes else { return }
        let id = message.id
        cachedBytes += message.cost
        cache[id] = Cached(message: message, at: now)
        history[0].append((id, message.topic))
        if nextHeartbeat == nil { nextHeartbeat = now + Self.heartbeat }
    }
}
