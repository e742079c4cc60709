import Multiformats
import Wire

// The heartbeat: who is in the mesh of each topic, and who is told what there is.
extension PubSub {
    mutating func beat(now: Instant) {
        for peer in order { settle(peer, now: now) }
        for topic in subscriptions { tend(topic, now: now) }
        gossip()
        forget()
    }

    /// What is due for one peer at each heartbeat.
    private mutating func settle(_ peer: PeerID, now: Instant) {
        guard var state = peers.removeValue(forKey: peer) else { return }
        // A promise is due within a heartbeat; a second is plenty.
        if !state.promised.isEmpty { state.score.misbehaviour += 1 }
        state.promised = []
        state.haves = 0
        state.wants = 0
        state.dontWant = []
        state.score.decay()
        let isInMesh = mesh.values.contains { $0.contains(peer) }
        state.score.timeInMesh = isInMesh ? state.score.timeInMesh + 1 : 0
        state.backoff = state.backoff.filter { $0.value > now }
        let isSilent = state.stream == nil && !opening.values.contains(peer)
        peers[peer] = state
        if isSilent { open(peer) }
    }

    /// Brings the mesh of one topic to its size.
    private mutating func tend(_ topic: [UInt8], now: Instant) {
        for peer in mesh[topic] ?? [] where score(of: peer) < 0 {
            prune(peer, topic, now: now)
        }
        let members = mesh[topic] ?? []
        if members.count < Self.degreeLow { fill(topic, to: Self.degree, now: now) }
        if members.count > Self.degreeHigh { shrink(topic, members, now: now) }
        let outgoing = (mesh[topic] ?? []).count { peers[$0]?.direction == .outgoing }
        if members.count >= Self.degreeLow, outgoing < Self.degreeOut {
            let more = candidates(topic, now: now).filter { peers[$0]?.direction == .outgoing }
            for peer in more.prefix(Self.degreeOut - outgoing) { graft(peer, topic) }
        }
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

    /// Takes peers of a topic into its mesh until there are so many.
    mutating func fill(_ topic: [UInt8], to size: Int, now: Instant) {
        guard let members = mesh[topic], members.count < size else { return }
        for peer in candidates(topic, now: now).prefix(size - members.count) {
            graft(peer, topic)
        }
    }

    /// Peers that could join a mesh, in random order.
    private mutating func candidates(_ topic: [UInt8], now: Instant) -> [PeerID] {
        let members = mesh[topic] ?? []
        let fit = order.filter { peer in
            guard let state = peers[peer], state.topics.contains(topic), state.stream != nil,
                let version = state.version, version < 3, state.score.value >= 0,
                !members.contains(peer)
            else { return false }
            return state.backoff[topic].map { $0 <= now } ?? true
        }
        return fit.shuffled(using: &random)
    }

    mutating func graft(_ peer: PeerID, _ topic: [UInt8]) {
        guard mesh[topic]?.contains(peer) == false else { return }
        mesh[topic]?.append(peer)
        peers[peer]?.pending.graft.append(topic)
    }

    private mutating func prune(_ peer: PeerID, _ topic: [UInt8], now: Instant) {
        mesh[topic]?.removeAll { $0 == peer }
        peers[peer]?.backoff[topic] = now + Self.pruneBackoff
        peers[peer]?.pending.prune.append(
            .init(topic: topic, backoffSeconds: Self.seconds(Self.pruneBackoff)))
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
            let members = mesh[topic] ?? []
            let outside = order.filter { peer in
                guard let state = peers[peer] else { return false }
                return state.topics.contains(topic) && !members.contains(peer)
                    && state.score.value >= PubSubScore.gossipThreshold
            }
            let count = max(Self.degreeLazy, Int(Double(outside.count) * Self.gossipShare))
            if list.count > PubSubRPC.maxIDs {
                list = Array(list.shuffled(using: &random).prefix(PubSubRPC.maxIDs))
            }
            for peer in outside.shuffled(using: &random).prefix(count) {
                peers[peer]?.pending.have.append(.init(topic: topic, ids: list))
            }
        }
    }

    /// Moves the history on by a window, and drops messages that nobody will ask for any more.
    private mutating func forget() {
        history.insert([], at: 0)
        while history.count > Self.historyLength {
            for entry in history.removeLast() {
                guard let gone = cache.removeValue(forKey: entry.id) else { continue }
                cachedBytes -= gone.message.data.count
            }
        }
    }
}
