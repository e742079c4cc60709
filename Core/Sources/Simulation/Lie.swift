// Hosts that lie about the DHT. Such a host is a node like all others, but that somebody else
// answers the questions that it is asked.

import Multiformats
import Peering
import Wire

/// How a host lies when it is asked about the DHT.
public enum Lie: String, Sendable, CaseIterable {
    /// It never answers.
    case silence
    /// It names peers that do not exist, quite near to what is looked for.
    case inventions
    /// It names those of the other liars that are nearest, so that a lookup stays among them.
    case conspiracy
    /// It says that peers that do not exist provide the content, and gives values that are none.
    case falsehood
    /// It names honest peers, the one that is looked for among them, at places where they are not.
    case poison
}

extension VirtualNetwork {
    /// How many peers are invented in all.
    private static let inventionCount = 2_000

    /// Makes a host a liar.
    public mutating func corrupt(_ host: Int, _ lie: Lie) {
        hosts[host].lie = lie
        liars.append((KadID(id(host)), KadPeer(id(host), [hosts[host].address])))
        guard inventions.isEmpty else { return }
        for number in 0..<Self.inventionCount {
            let digest = random.bytes(32)
            guard let peer = try? PeerID(Multihash(code: .sha2_256, digest: digest)),
                let place = try? Multiaddr(text: "/ip4/9.9.\(number / 250).\(number % 250)/tcp/1")
            else { continue }
            inventions.append((KadID(peer), KadPeer(peer, [place])))
        }
    }

    /// What a liar answers; nil for nothing.
    func lie(_ lie: Lie, about bytes: [UInt8]) -> [UInt8]? {
        guard let message = try? KadMessage(decoding: bytes.rawSpan), message.kind != .addProvider
        else { return nil }
        var answer = KadMessage(message.kind, key: message.key)
        let key = KadID(of: message.key)
        switch lie {
        case .silence: return nil
        case .inventions: answer.closerPeers = Self.nearest(to: key, of: inventions)
        case .poison:
            answer.closerPeers = misplaced(near: key, about: message.key)
            if message.kind == .getProviders { answer.providers = answer.closerPeers }
        case .conspiracy: answer.closerPeers = Self.nearest(to: key, of: liars)
        case .falsehood:
            answer.closerPeers = Self.nearest(to: key, of: liars)
            if message.kind == .getProviders {
                answer.providers = Self.nearest(to: key, of: inventions)
            }
            if message.kind == .getValue {
                answer.record = KadRecord(key: message.key, value: [1, 2, 3])
            }
        }
        return answer.encoded
    }

    /// The peer that a key names, if it names one, and some that are there, all of them elsewhere.
    private func misplaced(near key: KadID, about name: [UInt8]) -> [KadPeer] {
        let places = Self.nearest(to: key, of: inventions)
        var peers: [PeerID] = []
        if let wanted = try? PeerID(decoding: name.rawSpan) { peers.append(wanted) }
        let first = Int(truncatingIfNeeded: counts.events % UInt64(hosts.count))
        for step in 0..<places.count { peers.append(id((first + step) % hosts.count)) }
        return zip(peers, places).map { KadPeer($0, $1.addresses) }
    }

    private static func nearest(
        to key: KadID, of peers: [(id: KadID, peer: KadPeer)]
    ) -> [KadPeer] {
        var near: [(distance: KadID, index: Int)] = []
        for (index, peer) in peers.enumerated() {
            let distance = peer.id.distance(to: key)
            if near.count == Kad.bucketSize, let last = near.last, last.distance < distance {
                continue
            }
            let place = near.firstIndex { distance < $0.distance } ?? near.count
            near.insert((distance, index), at: place)
            if near.count > Kad.bucketSize { near.removeLast() }
        }
        return near.map { peers[$0.index].peer }
    }
}
