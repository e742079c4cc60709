import Multiformats
import Wire

// The course of a command: seek, confirm, store.
extension Kad {
    /// Moves a command on after something has changed.
    mutating func pump(_ number: UInt64, addresses: inout AddressBook, now: Instant) {
        guard var operation = operations.removeValue(forKey: number) else { return }
        if operation.lookup.candidates.isEmpty, operation.phase == .seeking {
            operation.result.end = .noPeers
            operations[number] = operation
            finish(number, .noPeers, addresses: &addresses, now: now)
            return
        }
        if case .refresh = operation.purpose, isFresh(operation.lookup.target, now: now) {
            // The bucket is full, which is all that was wanted.
            operations[number] = operation
            finish(number, .complete, addresses: &addresses, now: now)
            return
        }
        var next: [PeerID] = []
        if operation.phase == .seeking {
            while let peer = operation.lookup.next() { next.append(peer) }
            if next.isEmpty, operation.lookup.isConverged { operation.phase = .confirming }
        }
        if case .findProviders(let limit) = operation.purpose, operation.phase == .confirming,
            operation.found.count >= limit
        {
            operations[number] = operation
            report(number, .complete, now: now)
            return
        }
        if operation.phase == .confirming, operation.needsAll,
            operation.lookup.askedCount < Self.maxAsked
        {
            // Again after every failure, because liars name peers that do not exist.
            next = operation.lookup.askRest(of: Self.bucketSize)
        }
        let isDone = operation.phase == .confirming && operation.lookup.waitingCount == 0
        operations[number] = operation
        let message = question(operation)
        for peer in next { ask(peer, [message], .question, for: number, now: now) }
        if isDone || (operation.phase == .confirming && !operation.needsAll) {
            conclude(number, addresses: &addresses, now: now)
        }
    }

    /// What a command asks.
    private func question(_ operation: Operation) -> [UInt8] {
        switch operation.purpose {
        case .getValue: KadMessage(.getValue, key: operation.key).encoded
        case .findProviders: KadMessage(.getProviders, key: operation.key).encoded
        default: KadMessage(.findNode, key: operation.key).encoded
        }
    }

    /// Takes the answer to a command's question.
    mutating func heard(
        _ message: KadMessage, from peer: PeerID, for number: UInt64,
        addresses: inout AddressBook, now: Instant
    ) {
        let id = KadID(peer)
        let group = addresses.networkGroup(of: peer) ?? 0
        table.answered(peer, id, group: group, now: now)
        unreachable.remove(peer)
        guard let (purpose, key) = operations[number].map({ ($0.purpose, $0.key) }) else { return }
        if case .getProviders = message.kind {
            for provider in message.providers.prefix(Self.maxProvidersPerAnswer)
            where provider.peer != own {
                addresses.add(
                    provider.addresses, of: provider.peer, from: .told,
                    over: configuration.scope, for: AddressBook.Lifetime.told, now: now)
                note(provider, for: number)
            }
        }
        if case .getValue = message.kind, let record = message.record {
            let time = clock.time(at: now)
            if record.key == key, RecordRules.isValid(record.value, under: key, at: time) {
                note(record.value, from: peer, for: number, now: now)
            } else {
                events.append(.violation(peer, .badValue))
            }
        }
        var closer: [(id: KadID, peer: PeerID)] = []
        for next in message.closerPeers.prefix(Lookup.maxReferrals) where next.peer != own {
            var lifetime = AddressBook.Lifetime.passing
            if case .findPeer(let wanted) = purpose, wanted == next.peer,
                !next.addresses.isEmpty
            {
                lifetime = AddressBook.Lifetime.told
                events.append(.peer(command: number, next))
            }
            addresses.add(
                next.addresses, of: next.peer, from: .told, over: configuration.scope,
                for: lifetime, now: now)
            guard addresses.isKnown(next.peer, now: now),
                !unreachable.contains(next.peer, now: now)
            else { continue }
            closer.append((KadID(next.peer), next.peer))
        }
        // Finding providers or values may have ended the command.
        guard var operation = operations.removeValue(forKey: number) else { return }
        if case .check = purpose { closer = [] }
        operation.lookup.answered(peer, id, closer: closer)
        operation.result.answered += 1
        operations[number] = operation
        announceEarly(to: peer, id, number, addresses: &addresses, now: now)
        pump(number, addresses: &addresses, now: now)
    }

    /// Notes a provider that was found, once. When enough are known, the search ends as soon as the
    /// peers nearest to the key have answered, and not on the word of any that lies on the way.
    mutating func note(_ provider: KadPeer, for number: UInt64) {
        guard case .findProviders = operations[number]?.purpose,
            let count = operations[number]?.found.count, count < Self.maxProvidersFound,
            operations[number]?.found.insert(provider.peer).inserted == true
        else { return }
        operations[number]?.result.providers = count + 1
        events.append(.provider(command: number, provider))
    }

    /// Notes a valid value that a peer has.
    mutating func note(
        _ value: [UInt8], from peer: PeerID, for number: UInt64, now: Instant
    ) {
        guard var operation = operations.removeValue(forKey: number) else { return }
        operation.values[peer] = value
        let best = operation.result.value
        let isBetter =
            best.map { RecordRules.isBetter(value, than: $0, under: operation.key) } ?? true
        if isBetter {
            operation.result.value = value
            events.append(.value(command: number, value))
        }
        let agreeing = operation.values.values.count { $0 == operation.result.value }
        operations[number] = operation
        if agreeing >= Self.quorum { report(number, .complete, now: now) }
    }

    /// Announces content to a peer that is near enough already, so as not to wait for the rest.
    private mutating func announceEarly(
        to peer: PeerID, _ id: KadID, _ number: UInt64, addresses: inout AddressBook, now: Instant
    ) {
        guard configuration.announcing == .optimistic, let near = networkSize.nearDistance,
            var operation = operations[number], case .provide = operation.purpose,
            operation.holders.count < Self.bucketSize,
            id.distance(to: operation.lookup.target).fraction < near,
            operation.holders.insert(peer).inserted
        else { return }
        operation.storing += 1
        operations[number] = operation
        ask(
            peer, [announcement(of: operation.key, addresses, now: now)], .announce,
            for: number, now: now)
    }

    /// The nearest peers are known: stores what is to be stored, or ends.
    private mutating func conclude(
        _ number: UInt64, addresses: inout AddressBook, now: Instant
    ) {
        guard var operation = operations[number] else { return }
        operation.phase = .storing
        let closest = operation.lookup.closest(Self.bucketSize)
        operation.result.closest = closest.map { $0.peer }
        operation.result.hops = closest.first.map { Int($0.hops) } ?? 0
        if operation.needsAll { networkSize.note(closest.map { $0.distance }) }
        var sends: [(PeerID, Reason, [UInt8])] = []
        switch operation.purpose {
        case .provide:
            let message = announcement(of: operation.key, addresses, now: now)
            for candidate in closest where operation.holders.insert(candidate.peer).inserted {
                sends.append((candidate.peer, .announce, message))
            }
        case .putValue(let value):
            let message = put(value, under: operation.key)
            for candidate in closest { sends.append((candidate.peer, .store, message)) }
        case .getValue:
            guard let value = operation.result.value else { break }
            let message = put(value, under: operation.key)
            let held = operation.values
            for candidate in closest where held[candidate.peer] != value {
                sends.append((candidate.peer, .store, message))
            }
        default: break
        }
        operation.storing += sends.count
        operations[number] = operation
        switch operation.purpose {
        case .provide, .putValue: break
        default: report(number, .complete, now: now)
        }
        for (peer, reason, message) in sends {
            ask(peer, [message], reason, for: number, now: now)
        }
        settle(number, addresses: &addresses, now: now)
    }

    /// One record more or less is on its way.
    mutating func stored(
        _ number: UInt64, success: Bool, addresses: inout AddressBook, now: Instant
    ) {
        guard var operation = operations.removeValue(forKey: number) else { return }
        operation.storing -= 1
        if success { operation.result.stored += 1 }
        let isEnough = operation.result.stored >= Self.enoughAnnounced
        let isProvide = if case .provide = operation.purpose { true } else { false }
        operations[number] = operation
        if isProvide, isEnough { report(number, .complete, now: now) }
        settle(number, addresses: &addresses, now: now)
    }

    private mutating func settle(
        _ number: UInt64, addresses: inout AddressBook, now: Instant
    ) {
        guard let operation = operations[number], operation.phase == .storing,
            operation.storing == 0
        else { return }
        finish(number, operation.result.end, addresses: &addresses, now: now)
    }

    /// Gives a command's result, once. Lookups that only ask are over with it.
    private mutating func report(_ number: UInt64, _ end: KadResult.End, now: Instant) {
        guard var operation = operations.removeValue(forKey: number) else { return }
        if !operation.isReported {
            operation.isReported = true
            operation.result.end = end
            operation.result = operation.outcome
            remember(operation, now: now)
            switch operation.purpose {
            case .refresh, .check: break
            default: events.append(.finished(command: number, operation.result))
            }
        }
        operations[number] = operation
        if case .findProviders = operation.purpose { cancel(number) }
    }

    /// Notes how a lookup went, if it was one.
    private mutating func remember(_ operation: Operation, now: Instant) {
        guard operation.isLookup, operation.result.asked > 0 else { return }
        if lastLookups.count >= KadLookup.remembered { lastLookups.removeFirst() }
        let result = operation.result
        lastLookups.append(
            KadLookup(
                end: result.end, asked: result.asked, answered: result.answered,
                duration: now.since(operation.begun), at: now))
    }

    /// Ends a command, whatever it has come to.
    mutating func finish(
        _ number: UInt64, _ end: KadResult.End, addresses: inout AddressBook, now: Instant
    ) {
        report(number, end, now: now)
        guard let operation = operations[number] else { return }
        cancel(number)
        switch operation.purpose {
        case .check: checks -= 1
        case .refresh: refreshNext(addresses: &addresses, now: now)
        default: break
        }
    }

    private func put(_ value: [UInt8], under key: [UInt8]) -> [UInt8] {
        var message = KadMessage(.putValue, key: key)
        message.record = KadRecord(key: key, value: value)
        return message.encoded
    }

    /// The message that says that this node has content.
    func announcement(
        of key: [UInt8], _ addresses: borrowing AddressBook, now: Instant
    ) -> [UInt8] {
        var message = KadMessage(.addProvider, key: key)
        message.providers = [told(own, addresses, now: now)]
        return message.encoded
    }
}

extension Kad.Operation {
    /// The result so far.
    var outcome: KadResult {
        guard result.closest.isEmpty else { return result }
        var outcome = result
        let closest = lookup.closest(Kad.bucketSize)
        outcome.closest = closest.map { $0.peer }
        outcome.hops = closest.first.map { Int($0.hops) } ?? 0
        return outcome
    }

    /// Whether one peer is asked whether it is there.
    var isCheck: Bool { if case .check = purpose { true } else { false } }

    /// Whether many peers are asked, one after the other.
    var isLookup: Bool {
        switch purpose {
        case .check, .announce: false
        default: true
        }
    }

    /// Whether all of the nearest peers are to be asked, not only the very nearest.
    var needsAll: Bool {
        switch purpose {
        case .check, .refresh, .announce: false
        default: true
        }
    }
}
