import Multiformats
import Wire

// The heartbeat: who is in the mesh of each topic, and who is told what there is.
extension PubSub {
    mutating func beat(now: Instant) {
        beats += 1
        punishBrokenPromises(now: now)
        var members: Set<PeerID> = []
        for topic in topics { members.formUnion(mesh[topic] ?? []) }
        for peer in order { settle(peer, inMesh: members.contains(peer), now: now) }
        for topic in subscriptions { tend(topic, now: now) }
        gossip()
        forget(now: now)
    }

    /// Counts against peers what they said they have and did not send, if nobody else has sent it.
    private mutating func punishBrokenPromises(now: Instant) {
        while let promise = promises.first, promise.due <= now {
            _ = promises.popFirst()
            if !seen.contains(promise.id) { peers[promise.peer]?.score.misbehaved() }
        }
    }

    /// What is due for one peer at each heartbeat.
    private mutating func settle(_ peer: PeerID, inMesh isInMesh: Bool, now: Instant) {
        guard var state = peers.removeValue(forKey: peer) else { return }
        state.haves = 0
        state.suggestions = 0
        state.wants = 0
        state.messages = 0
        state.answeredBytes = 0
        state.dontWantBefore = state.dontWant
        state.dontWant = []
        state.score.passed(inMesh: isInMesh)
        state.backoff = state.backoff.filter { $0.value + Self.backoffSlack > now }
        if state.stream != nil, now.since(state.streamSince) > Self.provenAfter {
            state.openings = 0
        }
        let isSilent = state.stream == nil && !opening.values.contains(peer)
        peers[peer] = state
        if isSilent { open(peer) }
    }

    /// Brings the mesh of one topic to its size.
    private mutating func tend(_ topic: [UInt8], now: Instant) {
        for peer in mesh[topic] ?? [] where score(of: peer) < 0 {
            prune(peer, topic, now: now)
        }
        if meshPeers(of: topic).count < Self.degreeLow {
            fill(topic, to: Self.degree, now: now)
        }
        let members = meshPeers(of: topic)
        if members.count > Self.degreeHigh { shrink(topic, members, now: now) }
        let outgoing = meshPeers(of: topic).count { peers[$0]?.direction == .outgoing }
        if members.count >= Self.degreeLow, outgoing < Self.degreeOut {
            let more = candidates(topic, now: now).filter { peers[$0]?.direction == .outgoing }
            for peer in more.prefix(Self.degreeOut - outgoing) { graft(peer, topic) }
        }
        if beats % Self.opportunisticBeats == 0 { improve(topic, now: now) }
    }

    /// Keeps the best, some at random, and enough of those that we dialled ourselves, whom no
    /// attacker chose.
    private mutating func shrink(_ topic: [UInt8], _ members: [PeerID], now: Instant) {
        let shuffled = members.shuffled(using: &random)
        let ranked = shuffled.sorted { score(of: $0) > score(of: $1) }
        var kept = Array(ranked.prefix(Self.degreeScore))
        let others = shuffled.filter { !kept.contains($0) }
        let outgoing = others.filter { peers[$0]?.direction == .outgoing }
        let have = kept.count { peers[$0]?.direction == .outgoing }
        kept += outgoing.prefix(max(0, Self.degreeOut - have))
        let rest = others.filter { !kept.contains($0) }
        kept += rest.prefix(max(0, Self.degree - kept.count))
        for peer in members where !kept.contains(peer) { prune(peer, topic, now: now) }
    }

    /// Opportunistic grafting: a mesh that brings little is given peers that bring more, so that
    /// it does not stay in the hands of those who keep messages back.
    private mutating func improve(_ topic: [UInt8], now: Instant) {
        let scores = meshPeers(of: topic).map { score(of: $0) }.sorted()
        guard scores.count > 1 else { return }
        let median = scores[scores.count / 2]
        guard median < PubSubScore.opportunisticThreshold else { return }
        let better = candidates(topic, now: now).filter { score(of: $0) > median }
        for peer in better.prefix(Self.opportunisticPeers) { graft(peer, topic) }
    }

    /// Takes peers of a topic into its mesh until there are so many.
    mutating func fill(_ topic: [UInt8], to size: Int, now: Instant) {
        guard let members = mesh[topic], members.count < size else { return }
        for peer in candidates(topic, now: now).prefix(size - members.count) {
            graft(peer, topic)
        }
    }

    /// Peers that could join a mesh, in random order.
    private mutating func candidates(_ topic: [UInt8], now: Instant) -> [PeerID] {
        let members = meshPeers(of: topic)
        let fit = order.filter { peer in
            guard let state = peers[peer], state.topics.contains(topic), state.stream != nil,
                state.knowsMeshes, score(of: peer) >= 0, !members.contains(peer)
            else { return false }
            return state.backoff[topic].map { $0 + Self.backoffSlack <= now } ?? true
        }
        return fit.shuffled(using: &random)
    }

    private mutating func graft(_ peer: PeerID, _ topic: [UInt8]) {
        guard mesh[topic]?.contains(peer) == false else { return }
        enter(peer, topic)
        peers[peer]?.tell { $0.graft.append(topic) }
    }

    /// How many messages a minute each peer of a topic's mesh is to bring at least. Peers that
    /// bring less lose in score. Nil, the usual case, counts nothing.
    public mutating func expect(perMinute count: Double?, of topic: [UInt8]) {
        guard topics.contains(topic) else { return }
        rates[topic] = count.map { $0 / 60 }
        for peer in mesh[topic] ?? [] {
            if let rate = rates[topic] {
                peers[peer]?.score.joined(topic, expecting: rate)
            } else {
                peers[peer]?.score.left(topic)
            }
        }
    }

    /// A peer is in a mesh from now on.
    mutating func enter(_ peer: PeerID, _ topic: [UInt8]) {
        mesh[topic]?.append(peer)
        if let rate = rates[topic] { peers[peer]?.score.joined(topic, expecting: rate) }
    }

    /// A peer is in a mesh no longer.
    mutating func leave(_ peer: PeerID, _ topic: [UInt8]) {
        mesh[topic]?.removeAll { $0 == peer }
        peers[peer]?.score.left(topic)
    }

    /// Takes a peer out of a mesh, and tells it for how long. If it behaves, it is told of others
    /// that it can go to.
    mutating func prune(
        _ peer: PeerID, _ topic: [UInt8], for backoff: Duration = PubSub.pruneBackoff, now: Instant
    ) {
        let isWellBehaved = score(of: peer) >= 0
        leave(peer, topic)
        peers[peer]?.backoff[topic] = now + backoff
        var prune = PubSubRPC.Prune(topic: topic, backoffSeconds: Self.seconds(backoff))
        if isWellBehaved { prune.suggestions = suggestions(for: peer, topic) }
        peers[peer]?.tell { $0.prune.append(prune) }
    }

    /// Tells some of those who are not in the mesh which messages there are.
    private mutating func gossip() {
        var ids: [[UInt8]: [[UInt8]]] = [:]
        for window in history.prefix(Self.historyGossip) {
            for entry in window where cache[entry.id] != nil {
                ids[entry.topic, default: []].append(entry.id)
            }
        }
        let byTopic = ids.sorted { $0.key.lexicographicallyPrecedes($1.key) }
        for (topic, all) in byTopic {
            var list = all
            let members = meshPeers(of: topic)
            let outside = order.filter { peer in
                guard let state = peers[peer] else { return false }
                return state.topics.contains(topic) && state.knowsMeshes
                    && !members.contains(peer)
                    && score(of: peer) >= PubSubScore.gossipThreshold
            }
            let count = max(Self.degreeLazy, Int(Double(outside.count) * Self.gossipShare))
            if list.count > PubSubRPC.maxIDs { list.shuffle(using: &random) }
            for peer in outside.shuffled(using: &random).prefix(count) {
                peers[peer]?.tell { $0.tell(topic, list) }
            }
        }
    }

    /// Moves the history on by a window, and drops messages that nobody will ask for any more.
    private mutating func forget(now: Instant) {
        forgetSeen(now: now)
        history.insert([], at: 0)
        while history.count > Self.historyLength {
            for entry in history.removeLast() {
                guard let gone = cache.removeValue(forKey: entry.id) else { continue }
                cachedBytes -= gone.message.cost
            }
        }
    }
}
