import IPLD
import Multiformats
import Peering
import Wire

extension ContentPeer {
    /// Finds the record of a name. The page is told what it names, or who was asked in vain, by the
    /// request's number.
    func resolve(
        _ name: PeerID, _ mode: Names.Mode, request: UInt32, clock: WallClock, now: Instant
    ) throws(DecodeError) {
        let names = usedNames()
        let known = mode == .reload ? nil : names.record(of: name, clock: clock, now: now)
        if let (record, isFresh) = known {
            tell(.named(request, record))
            guard mode == .standard, !isFresh,
                !names.questions.contains(where: { $0.name == name })
            else { return }
        } else if mode == .known {
            return tell(.unnamed(request, hasLie: false, []))
        }
        guard names.questions.count < Names.maxQuestions else {
            guard known == nil else { return }
            throw DecodeError(.overLimit, "the page resolves too many names at once")
        }
        ask(name, request: known == nil ? request : nil, names, clock: clock, now: now)
        settle(now: now)
    }

    /// What is known of names, from the first use on.
    private func usedNames() -> Names {
        let names = self.names ?? Names()
        self.names = names
        return names
    }

    private func ask(
        _ name: PeerID, request: UInt32?, _ names: Names, clock: WallClock, now: Instant
    ) {
        var question = Names.Question(
            name: name, request: request, clock: clock, end: now + KeyFetch.timeout)
        for number in channelOrder {
            guard let channel = channels[number], !channel.isVisitor, channel.carrier == nil,
                let peer = channel.peer, question.open.count < Names.maxPeers
            else { continue }
            let order = names.fetch.fetch(name, from: peer)
            names.asked[order] = peer
            question.open.insert(order)
        }
        names.questions.append(question)
    }

    /// A record that somebody else than a peer has brought: the newest that is known then.
    func take(
        record bytes: RawSpan, of name: PeerID, clock: WallClock, now: Instant
    ) throws(DecodeError) -> IPNSRecord {
        let names = usedNames()
        let record = try IPNSRecord.checked(bytes, for: name, at: clock.time(at: now))
        return names.keep(record, of: name, now: now)
    }

    /// Carries out what the names want; answers whether that was anything.
    @inline(never)
    func settle(_ names: Names, now: Instant) -> Bool {
        var isBusy = false
        while let order = names.fetch.nextTransmit() {
            carryOut(order, of: .names, now: now)
            isBusy = true
        }
        while let event = names.fetch.nextEvent() {
            take(event, names, now: now)
            isBusy = true
        }
        for index in names.questions.indices.reversed()
        where names.questions[index].open.isEmpty || names.questions[index].end <= now {
            end(names.questions.remove(at: index), names, now: now)
            isBusy = true
        }
        return isBusy
    }

    private func take(_ event: KeyFetch.Event, _ names: Names, now: Instant) {
        switch event {
        // The protocol is not offered.
        case .asked(let number, _): names.fetch.answer(number, nil)
        case .answered(let number, let bytes): answered(number, bytes, names, now: now)
        case .failed(let number, let fault):
            note(fault.description, of: number, names)
        }
    }

    private func answered(_ number: UInt64, _ bytes: [UInt8]?, _ names: Names, now: Instant) {
        guard let bytes else { return note("has no record of it", of: number, names) }
        guard let index = names.questions.firstIndex(where: { $0.open.contains(number) }) else {
            names.asked[number] = nil
            return
        }
        let question = names.questions[index]
        do throws(DecodeError) {
            let record = try IPNSRecord.checked(
                bytes.rawSpan, for: question.name, at: question.clock.time(at: now))
            if question.best == nil {
                names.questions[index].end = min(question.end, now + Names.grace)
            }
            if question.best.map(record.isNewer(than:)) ?? true {
                names.questions[index].best = record
            }
            note(nil, of: number, names)
        } catch {
            names.questions[index].hasLie = true
            note("\(error.reason)", of: number, names)
        }
    }

    /// A peer has answered, or will not.
    private func note(_ outcome: String?, of number: UInt64, _ names: Names) {
        guard let peer = names.asked.removeValue(forKey: number),
            let index = names.questions.firstIndex(where: { $0.open.contains(number) })
        else { return }
        names.questions[index].open.remove(number)
        guard let outcome else { return }
        names.questions[index].outcomes.append(peer.description + ": " + outcome)
    }

    private func end(_ question: Names.Question, _ names: Names, now: Instant) {
        var outcomes = question.outcomes
        for number in question.open.sorted() {
            guard let peer = names.asked.removeValue(forKey: number) else { continue }
            outcomes.append(peer.description + ": did not answer in time")
        }
        let best = question.best.map { names.keep($0, of: question.name, now: now) }
        guard let request = question.request else { return }
        // Nobody has a newer one: the known one holds.
        if let record = best
            ?? names.record(of: question.name, clock: question.clock, now: now)?.record
        {
            tell(.named(request, record))
        } else {
            tell(.unnamed(request, hasLie: question.hasLie, lines(outcomes)))
        }
    }
}
