// Peer exchange: whoever has to leave a mesh is told of others in the topic, and takes the word of
// peers that have proven useful (gossipsub 1.1, "Peer Exchange").

public import Multiformats
import Wire

extension PubSub {
    /// Keeps where a peer says it is, with its signature, so that others can be told.
    public mutating func note(record: [UInt8], of peer: PeerID) {
        guard record.count <= PubSubRPC.maxRecordBytes else { return }
        peers[peer]?.record = record
    }

    /// Others in a topic, for one that has to go.
    mutating func suggestions(for peer: PeerID, _ topic: [UInt8]) -> [PubSubRPC.Suggestion] {
        // Older peers do not read it.
        guard let version = peers[peer]?.version, version < 2 else { return [] }
        let others = order.filter { other in
            guard other != peer, let state = peers[other], !state.record.isEmpty else {
                return false
            }
            return state.topics.contains(topic) && score(of: other) >= 0
        }
        return others.shuffled(using: &random).prefix(PubSubRPC.maxSuggestions).map { other in
            PubSubRPC.Suggestion(peer: other, record: peers[other]?.record ?? [])
        }
    }

    /// Takes the word of a peer that has brought messages, and of no other, where a mesh needs
    /// more.
    mutating func takeSuggestions(
        _ named: [PubSubRPC.Suggestion], for topic: [UInt8], from peer: PeerID
    ) {
        guard meshPeers(of: topic).count < Self.degreeLow,
            score(of: peer) >= PubSubScore.exchangeThreshold
        else { return }
        for suggestion in named where suggestion.peer != own && peers[suggestion.peer] == nil {
            guard let count = peers[peer]?.suggestions, count < PubSubRPC.maxSuggestions else {
                return
            }
            peers[peer]?.suggestions = count + 1
            // What its subject did not sign is worth nothing, and costs its bearer.
            guard let envelope = try? SignedEnvelope(decoding: suggestion.record.rawSpan),
                let record = try? PeerRecord(verifying: envelope), record.peer == suggestion.peer
            else {
                peers[peer]?.score.misbehaved()
                return
            }
            events.append(.suggested(record, by: peer))
        }
    }
}
