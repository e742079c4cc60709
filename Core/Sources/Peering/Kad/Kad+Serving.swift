import Multiformats
import Wire

// Answering the questions of others.
extension Kad {
    mutating func accept(_ stream: StreamID, from peer: PeerID, now: Instant) {
        let count = incomingCounts[peer] ?? 0
        guard mode == .server, incoming.count < Self.maxIncoming,
            count < Self.maxIncomingPerPeer
        else {
            orders.append(.reset(stream))
            return
        }
        incomingCounts[peer] = count + 1
        incoming[stream] = Incoming(peer: peer, lastUse: now)
        deadlines.add(.incoming(stream), at: now + Self.incomingTimeout)
    }

    mutating func removeIncoming(_ stream: StreamID) -> Bool {
        guard let state = incoming.removeValue(forKey: stream) else { return false }
        let count = (incomingCounts[state.peer] ?? 1) - 1
        incomingCounts[state.peer] = count > 0 ? count : nil
        return true
    }

    /// Answers one message, or ends the stream of a peer that breaks a rule.
    mutating func serve(
        _ bytes: [UInt8], on stream: StreamID, from peer: PeerID, addresses: inout AddressBook,
        now: Instant
    ) {
        do throws(KadViolation) {
            let message: KadMessage
            do throws(DecodeError) {
                message = try KadMessage(decoding: bytes.rawSpan)
            } catch {
                throw KadViolation.malformed(error)
            }
            let answer = try answer(message, from: peer, addresses: &addresses, now: now)
            if let answer { orders.append(.send(stream, answer.encoded)) }
        } catch {
            _ = removeIncoming(stream)
            orders.append(.reset(stream))
            events.append(.violation(peer, error))
        }
    }

    /// The answer to a message; nil for provider records, which are not answered.
    private mutating func answer(
        _ message: KadMessage, from peer: PeerID, addresses: inout AddressBook, now: Instant
    ) throws(KadViolation) -> KadMessage? {
        var answer = KadMessage(message.kind, key: message.key)
        if message.kind == .ping { return answer }
        guard !message.key.isEmpty else { throw .badKey }
        switch message.kind {
        case .findNode:
            answer.closerPeers = closest(to: message.key, for: peer, addresses, now: now)
            putFirst(message.key, in: &answer.closerPeers, addresses, now: now)
        case .getProviders:
            guard message.key.count <= KadMessage.maxProviderKeyBytes else { throw .badKey }
            answer.closerPeers = closest(to: message.key, for: peer, addresses, now: now)
            for provider in providers.providers(of: message.key, now: now) {
                let known = told(provider, addresses, now: now)
                // Of no use to who asks, and dropped by deployed peers.
                if !known.addresses.isEmpty { answer.providers.append(known) }
            }
        case .addProvider:
            guard message.key.count <= KadMessage.maxProviderKeyBytes else { throw .badKey }
            take(message, from: peer, addresses: &addresses, now: now)
            return nil
        case .getValue:
            answer.closerPeers = closest(to: message.key, for: peer, addresses, now: now)
            let time = clock.time(at: now)
            if let known = records.value(of: message.key, now: now, time: time) {
                answer.record = KadRecord(
                    key: message.key, value: known.value,
                    timeReceived: Array(known.time.rfc3339.utf8))
            }
        case .putValue:
            guard let record = message.record, record.key == message.key,
                records.put(
                    record.value, under: message.key, now: now, time: clock.time(at: now))
            else { throw .badValue }
            answer.record = KadRecord(key: record.key, value: record.value)
        case .ping: break
        }
        return answer
    }

    /// Takes the provider records of a message that are about its sender.
    private mutating func take(
        _ message: KadMessage, from peer: PeerID, addresses: inout AddressBook, now: Instant
    ) {
        for provider in message.providers where provider.peer == peer {
            addresses.add(
                provider.addresses, of: peer, from: .itself, over: configuration.scope,
                for: AddressBook.Lifetime.provider, now: now)
            guard !told(peer, addresses, now: now).addresses.isEmpty else { continue }
            providers.add(peer, for: message.key, until: now + Self.providerValidity, now: now)
        }
    }

    /// The nearest peers of the table, without the one that asks.
    private func closest(
        to key: [UInt8], for peer: PeerID, _ addresses: borrowing AddressBook, now: Instant
    ) -> [KadPeer] {
        var out: [KadPeer] = []
        for entry in table.nearest(to: KadID(of: key), count: Self.bucketSize + 1)
        where entry.peer != peer && out.count < Self.bucketSize {
            let known = told(entry.peer, addresses, now: now)
            if !known.addresses.isEmpty { out.append(known) }
        }
        return out
    }

    /// Puts the very peer that is looked for first, if it is known here, in the table or not.
    private func putFirst(
        _ key: [UInt8], in peers: inout [KadPeer], _ addresses: borrowing AddressBook, now: Instant
    ) {
        // Keys that are no peer ids are legal: lookups of content use them, too.
        guard let wanted = try? PeerID(decoding: key.rawSpan) else { return }
        let known = told(wanted, addresses, now: now)
        guard !known.addresses.isEmpty else { return }
        peers.removeAll { $0.peer == wanted }
        peers.insert(known, at: 0)
    }
}
