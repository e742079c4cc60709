// Looking for more peers that run a contract, when those that are known do not suffice.

public import Multiformats
public import Wire

extension Caller {
    /// A search has found a peer that is said to run a contract.
    public mutating func found(_ peer: PeerID, running contract: CID, now: Instant) {
        guard search.found(peer, for: contract) else { return }
        for number in searching(contract) {
            sessions[number]?.offer([peer])
            resume(number, now: now)
        }
        settle(now: now)
    }

    /// A search has come to its end.
    public mutating func searched(_ contract: CID, now: Instant) {
        guard search.conclude(contract, now: now) else { return }
        for number in searching(contract) {
            sessions[number]?.isSearching = false
            goOn(number, now: now)
        }
        settle(now: now)
    }

    /// Has more peers looked for, once for each session. Returns whether there may be somebody
    /// new: now, or when the search has found somebody.
    mutating func widen(_ number: UInt64, now: Instant) -> Bool {
        guard let session = sessions[number], !session.hasSearched else { return false }
        sessions[number]?.hasSearched = true
        let contract = session.call.contract
        switch search.finding(of: contract, now: now) {
        case .over(let peers):
            sessions[number]?.offer(peers)
            return !peers.isEmpty
        case .underWay(let peers): sessions[number]?.offer(peers)
        case .nothing:
            deadlines.add(.search(contract), at: search.begin(contract, now: now))
            events.append(.search(contract))
        }
        sessions[number]?.isSearching = true
        return true
    }

    private func searching(_ contract: CID) -> [UInt64] {
        sessions.filter { $0.value.isSearching && $0.value.call.contract == contract }
            .map { $0.key }.sorted()
    }

    /// Asks whoever was found, if somebody is still missing.
    private mutating func resume(_ number: UInt64, now: Instant) {
        guard let session = sessions[number], session.disputeNumber == nil else { return }
        if session.isDelivered {
            if session.attempts.isEmpty { check(number, now: now) }
        } else {
            fill(number, now: now)
        }
    }

    /// Asks as many as are missing. Returns whether all could be.
    @discardableResult
    mutating func fill(_ number: UInt64, now: Instant) -> Bool {
        while let session = sessions[number],
            session.given.count + session.attempts.count < session.needed
        {
            guard ask(for: number, now: now) else { return false }
        }
        return true
    }
}
