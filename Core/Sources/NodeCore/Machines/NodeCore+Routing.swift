// Who has what and where peers are, asked of all DHTs at once.

import Exchange
import Multiformats
import Peering
import Wire

extension NodeCore {
    /// What is being looked for, in every DHT that this node is in.
    struct Search: Sendable {
        enum Purpose: Sendable {
            /// A command wants to know.
            case command(UInt64)
            /// A session wants providers of a block.
            case session(WantTable.SessionID)
            /// This node wants peers that subscribed to a topic.
            case topic([UInt8])
            /// It tells them that it did.
            case announcement([UInt8])
            /// A call wants peers that run this contract.
            case responders(CID)
            /// This node tells that it runs it.
            case contract(CID)
        }

        let purpose: Purpose
        /// How many providers are enough. More may be found, because no single peer's word is.
        let limit: Int
        /// The parts that are not over.
        var parts: [Part]
        var found: [PeerID] = []
        var value: [UInt8]?
        var results: [KadResult] = []
    }

    /// A command of one DHT.
    struct Part: Hashable, Sendable {
        let table: Int
        let number: UInt64
    }

    /// How many providers a session is offered at a time.
    static let providersPerSession = 10

    // MARK: Commands

    mutating func search(_ command: Command, for id: UInt64, now: Instant) {
        let purpose = Search.Purpose.command(id)
        switch command {
        case .findProviders(let cid, let limit):
            begin(purpose, limit: limit, now: now) { kad, book, now in
                kad.findProviders(of: cid.hash, limit: limit, addresses: &book, now: now)
            }
        case .findPeer(let peer):
            if connections.isConnected(to: peer) {
                outputs.append(.found(command: id, peer))
                answer(id, .searched(SearchAnswer(peers: [peer], value: nil, results: [])))
                return
            }
            // To its end: what a single peer says may be a lie, and only a connection proves it.
            begin(purpose, limit: 0, now: now) { kad, book, now in
                kad.find(peer, addresses: &book, now: now)
            }
        case .findClosest(let key):
            begin(purpose, limit: 0, now: now) { kad, book, now in
                kad.findClosest(to: key, addresses: &book, now: now)
            }
        case .provide(let cid):
            begin(purpose, limit: 0, now: now) { kad, book, now in
                kad.provide(cid.hash, addresses: &book, now: now)
            }
        case .getValue(let key):
            begin(purpose, limit: 0, now: now) { kad, book, now in
                kad.getValue(key, addresses: &book, now: now)
            }
        case .putValue(let key, let value):
            begin(purpose, limit: 0, now: now) { kad, book, now in
                kad.putValue(value, under: key, addresses: &book, now: now)
            }
        default: break
        }
    }

    /// Begins a search in every DHT. Without any, it is over at once.
    mutating func begin(
        _ purpose: Search.Purpose, limit: Int, now: Instant,
        _ start: (inout Kad, inout AddressBook, Instant) -> UInt64?
    ) {
        let id = makeNumber()
        var search = Search(purpose: purpose, limit: limit, parts: [])
        for table in dhts.indices {
            guard let number = start(&dhts[table], &addresses, now) else { continue }
            let part = Part(table: table, number: number)
            search.parts.append(part)
            searchOfPart[part] = id
        }
        searches[id] = search
        if search.parts.isEmpty { conclude(id, now: now) }
    }

    /// Stops what a command looks for.
    mutating func stopSearch(for command: UInt64) {
        let mine = searches.first {
            if case .command(command) = $0.value.purpose { return true }
            return false
        }
        if let mine { drop(mine.key) }
    }

    /// Stops what is under way, and keeps what it has come to.
    private mutating func stop(_ id: UInt64) {
        for part in searches[id]?.parts ?? [] {
            guard let result = dhts[part.table].cancel(part.number) else { continue }
            searchOfPart[part] = nil
            searches[id]?.parts.removeAll { $0 == part }
            searches[id]?.results.append(result)
        }
    }

    /// Forgets a search, which is stopped first.
    private mutating func drop(_ id: UInt64) {
        stop(id)
        for part in searches[id]?.parts ?? [] { searchOfPart[part] = nil }
        searches[id] = nil
    }

    mutating func closeSearches(of session: WantTable.SessionID) {
        let mine = searches.filter {
            if case .session(session) = $0.value.purpose { return true }
            return false
        }.map { $0.key }
        for id in mine.sorted() { drop(id) }
    }

    /// A session looks for providers of a block.
    mutating func discover(_ cid: CID, for session: WantTable.SessionID, now: Instant) {
        let limit = Self.providersPerSession
        if !dhts.isEmpty { outputs.append(.news(session, .searching(cid))) }
        begin(.session(session), limit: limit, now: now) { kad, book, now in
            kad.findProviders(of: cid.hash, limit: limit, addresses: &book, now: now)
        }
    }

    // MARK: Events

    mutating func take(_ event: KadEvent, from table: Int, now: Instant) {
        if isAnnouncing(event, from: table, now: now) { return }
        switch event {
        case .provider(let number, let found), .peer(let number, let found):
            let part = Part(table: table, number: number)
            guard let id = searchOfPart[part], let search = searches[id], found.peer != peer,
                !search.found.contains(found.peer)
            else { return }
            searches[id]?.found.append(found.peer)
            switch search.purpose {
            case .command(let command):
                outputs.append(.found(command: command, found.peer))
            case .session(let session):
                guard access.admits(found.peer) else { break }
                exchange.offer(found.peer, to: session, as: .provider, now: now)
            case .topic: meetSubscriber(found.peer, now: now)
            case .responders(let contract): self.found(found.peer, running: contract, now: now)
            case .announcement, .contract: break
            }
        case .value(let number, let value):
            guard let id = searchOfPart[Part(table: table, number: number)] else { return }
            searches[id]?.value = value
            if case .command(let command)? = searches[id]?.purpose {
                outputs.append(.value(command: command, value))
            }
        case .finished(let number, let result):
            let part = Part(table: table, number: number)
            guard let id = searchOfPart.removeValue(forKey: part) else { return }
            searches[id]?.parts.removeAll { $0 == part }
            searches[id]?.results.append(result)
            if let value = result.value { searches[id]?.value = value }
            // One DHT has found enough; the others need not go on.
            if let search = searches[id], search.limit > 0, search.found.count >= search.limit {
                stop(id)
            }
            if searches[id]?.parts.isEmpty == true { conclude(id, now: now) }
        case .violation(let peer, let violation):
            violated(peer, .routing(violation), now: now)
        }
    }

    private mutating func conclude(_ id: UInt64, now: Instant) {
        guard let search = searches.removeValue(forKey: id) else { return }
        switch search.purpose {
        case .topic, .announcement: concludeTopic(search, now: now)
        case .responders, .contract: concludeContract(search, now: now)
        case .session(let session):
            if !dhts.isEmpty {
                outputs.append(.news(session, .searched(found: search.found.count)))
            }
            exchange.discovered(session, now: now)
        case .command(let command):
            answer(
                command,
                .searched(
                    SearchAnswer(
                        peers: search.found, value: search.value, results: search.results)))
        }
    }
}
