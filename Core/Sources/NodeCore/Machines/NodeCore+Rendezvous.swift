// Where those who subscribed to a topic find each other: in the DHT, as providers of a key that is
// made from the topic's name, as go-libp2p-pubsub does it ("floodsub:" before the name).

import Exchange
import Multiformats
import Peering
import Wire

/// When peers of which topics are looked for, and told that this node is there.
struct Rendezvous: Sendable {
    /// As long as so many peers of a topic are connected, no others are looked for.
    static let enough = 6
    /// How many of those that were found are dialled.
    static let limit = 16
    /// How soon a search follows that could not begin, because the DHT was not joined yet.
    static let retry: Duration = .seconds(5)
    /// How long it is until the next search: the first time, and at most.
    static let shortest: Duration = .seconds(60)
    static let longest: Duration = .seconds(3_600)
    /// How often the DHT is told again. It forgets after 48 hours.
    static let announcing: Duration = .seconds(12 * 3_600)

    private struct Place: Sendable {
        /// Whether this node subscribed, and is to be found.
        var isOwn: Bool
        var wait = Rendezvous.shortest
        var nextSearch: Instant
        var nextAnnouncement: Instant
    }

    /// What is to be done for a topic.
    enum Order: Sendable {
        case search([UInt8])
        case announce([UInt8])
    }

    private var places: [[UInt8]: Place] = [:]

    /// What the DHT knows a topic by.
    static func hash(of topic: [UInt8]) -> Multihash {
        let name = Array("floodsub:".utf8) + topic
        return Multihash.sha2_256(of: name.rawSpan)
    }

    /// Somebody on this node subscribed to a topic, or publishes to one.
    mutating func begin(_ topic: [UInt8], isOwn: Bool, limit: Int, now: Instant) {
        if isOwn, places[topic]?.isOwn == false {
            places[topic]?.isOwn = true
            places[topic]?.nextAnnouncement = now
        }
        guard places[topic] == nil, places.count < limit else { return }
        places[topic] = Place(isOwn: isOwn, nextSearch: now, nextAnnouncement: now)
    }

    /// Nobody on this node wants anything of a topic any more.
    mutating func end(_ topic: [UInt8]) { places[topic] = nil }

    mutating func endAll() { places = [:] }

    /// When `next` has something.
    var deadline: Instant? {
        places.values.reduce(nil as Instant?) { first, place in
            let own = place.isOwn ? min(place.nextSearch, place.nextAnnouncement) : place.nextSearch
            return first.earlier(own)
        }
    }

    /// What is due, in a fixed order.
    mutating func due(at now: Instant, subscribers: ([UInt8]) -> Int) -> [Order] {
        var orders: [Order] = []
        for topic in places.keys.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
            guard var place = places[topic] else { continue }
            if place.nextSearch <= now {
                place.nextSearch = now + place.wait
                if subscribers(topic) < Self.enough {
                    place.wait = min(place.wait * 2, Self.longest)
                    orders.append(.search(topic))
                } else {
                    place.wait = Self.shortest
                }
            }
            if place.isOwn, place.nextAnnouncement <= now {
                place.nextAnnouncement = now + Self.announcing
                orders.append(.announce(topic))
            }
            places[topic] = place
        }
        return orders
    }

    /// A search came to nothing because nobody could be asked.
    mutating func searchFailed(_ topic: [UInt8], now: Instant) {
        places[topic]?.wait = Self.shortest
        places[topic]?.nextSearch = now + Self.retry
    }

    /// Nobody was told.
    mutating func announcementFailed(_ topic: [UInt8], now: Instant) {
        places[topic]?.nextAnnouncement = now + Self.retry
    }
}

extension NodeCore {
    /// Peers of a topic are wanted, if there is a DHT to ask.
    mutating func seekPeers(of topic: [UInt8], isOwn: Bool, now: Instant) {
        guard !dhts.isEmpty else { return }
        pubSub.rendezvous.begin(
            topic, isOwn: isOwn, limit: limits.pubSub.machine.topics, now: now)
        meetAtTopics(now: now)
    }

    /// Looks for peers of topics, and says that this node is there, where it is time for that.
    mutating func meetAtTopics(now: Instant) {
        guard let due = pubSub.rendezvous.deadline, due <= now, let machine = pubSub.machine else {
            return
        }
        let orders = pubSub.rendezvous.due(at: now) { machine.subscribers(of: $0).count }
        for order in orders {
            switch order {
            case .search(let topic):
                let limit = Rendezvous.limit
                begin(.topic(topic), limit: limit, now: now) { kad, book, now in
                    kad.findProviders(
                        of: Rendezvous.hash(of: topic), limit: limit, addresses: &book, now: now)
                }
            case .announce(let topic):
                begin(.announcement(topic), limit: 0, now: now) { kad, book, now in
                    kad.provide(Rendezvous.hash(of: topic), addresses: &book, now: now)
                }
            }
        }
    }

    /// A search of that kind is over.
    mutating func concludeTopic(_ search: Search, now: Instant) {
        switch search.purpose {
        case .topic(let topic):
            let isAnswered = search.results.contains { $0.answered > 0 }
            if !isAnswered { pubSub.rendezvous.searchFailed(topic, now: now) }
        case .announcement(let topic):
            let isStored = search.results.contains { $0.stored > 0 }
            if !isStored { pubSub.rendezvous.announcementFailed(topic, now: now) }
        default: break
        }
    }

    /// Dials a peer that is said to have subscribed to a topic, if the ceilings leave room.
    mutating func meetSubscriber(_ peer: PeerID, now: Instant) {
        guard peer != self.peer, access.admits(peer), !connections.isConnected(to: peer) else {
            return
        }
        reach(peer, now: now)
    }

    /// A peer of a mesh named another, which signed where it is.
    mutating func take(_ record: PeerRecord, suggestedBy teller: PeerID, now: Instant) {
        guard let scope = connections.best(to: teller, limited: .refused)?.facts.remoteAddress.scope
        else { return }
        addresses.add(record, over: scope, for: AddressBook.Lifetime.told, now: now)
        meetSubscriber(record.peer, now: now)
    }
}
