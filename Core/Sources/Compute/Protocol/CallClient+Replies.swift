// What an asker makes of a responder's messages.

import IPLD
import Multiformats
public import Wire

extension CallClient {
    mutating func take(_ reply: CallReply, of peer: PeerID, now: Instant) {
        // A message before this one may have ended the stream.
        guard peers[peer] != nil else { return }
        switch reply {
        case .offer(let offer): events.append(.offered(peer, offer))
        case .claim(let receipt): events.append(.claimed(peer, receipt))
        case .receipt(let receipt): events.append(.receipted(peer, receipt))
        case .news(let news): events.append(.news(peer, news))
        case .vouched(let id, let result, let vouchers):
            guard isOpen(id, peer) else { return }
            take(result, vouchers, of: id, now: now)
        case .refuse(let id, let refusal):
            guard isOpen(id, peer) else { return }
            fail(id, .refused(refusal), now: now)
        case .headers(let headers, let signature, let queue):
            events.append(.queued(peer, queue))
            take(headers, signature, of: peer, now: now)
        case .reveal(let id, let salt, let result):
            guard isOpen(id, peer) else { return }
            take(salt, result, of: id, now: now)
        }
    }

    /// Whether the peer is still asked this. What it says of a question that was taken back is of
    /// no interest, and no fault.
    private func isOpen(_ number: UInt64, _ peer: PeerID) -> Bool {
        questions[number]?.peer == peer
    }

    private mutating func take(
        _ headers: [(id: UInt64, header: CallHeader)], _ signature: [UInt8], of peer: PeerID,
        now: Instant
    ) {
        let hashes = headers.map { $0.header.hash }
        var numbers: [UInt64] = []
        for (number, header) in headers where isOpen(number, peer) {
            guard let question = questions[number], question.header == nil else {
                fail(number, .malformed, now: now)
                continue
            }
            if let failure = question.failure(of: header) {
                fail(number, failure, now: now)
                continue
            }
            questions[number]?.header = SignedHeader(
                header, by: peer, hashes: hashes, signature: signature)
            questions[number]?.deadline = now + CallProtocol.revealTime
            watch(peer, until: now + CallProtocol.revealTime)
            numbers.append(number)
        }
        guard !numbers.isEmpty else { return }
        let order = makeNumber()
        verifications[order] = (peer, numbers)
        events.append(
            .verify(order, peer, message: SignedHeader.message(hashes), signature: signature))
    }

    /// Takes what others have signed instead of an answer, if that was welcome.
    private mutating func take(
        _ result: [UInt8], _ vouchers: [Voucher], of number: UInt64, now: Instant
    ) {
        guard let question = questions[number], question.header == nil, question.recalled.isEmpty,
            question.asked.mayRecall
        else { return fail(number, .malformed, now: now) }
        let history: ResultHistory
        do throws(DecodeError) {
            let record = try CallRecord(result: result.rawSpan, of: question.asked.call)
            history = ResultHistory(record, vouchers)
        } catch {
            return fail(number, .malformed, now: now)
        }
        guard history.vouchers.count == vouchers.count,
            vouchers.allSatisfy({ $0.signer.publicKey != nil })
        else { return fail(number, .brokenCommitment, now: now) }
        // Who passes on what is signed by a kind of key that this build does not know is not to
        // blame.
        guard vouchers.allSatisfy({ $0.signer.publicKey?.canVerify == true }) else {
            return fail(number, .unreachable(.unsupported), now: now)
        }
        questions[number]?.recalled = history.vouchers.map { history.answer($0) }
        for voucher in vouchers {
            let order = makeNumber()
            recalls[order] = (number, question.peer)
            events.append(
                .verify(
                    order, voucher.signer, message: SignedHeader.message(voucher.header.hashes),
                    signature: voucher.header.signature))
        }
    }

    /// One of the signatures that were passed on has been looked at.
    private mutating func recalled(_ number: UInt64, by peer: PeerID, _ isValid: Bool, now: Instant)
    {
        guard isOpen(number, peer), let question = questions[number] else { return }
        guard isValid else { return fail(number, .badSignature, now: now) }
        questions[number]?.checked += 1
        guard question.checked + 1 == question.recalled.count else { return }
        forget(number, now: now)
        events.append(.recalled(number, by: peer, question.recalled))
    }

    /// Whether a signature that was to be looked at is the peer's.
    public mutating func verified(_ order: UInt64, _ isValid: Bool, now: Instant) {
        if let (number, peer) = recalls.removeValue(forKey: order) {
            return recalled(number, by: peer, isValid, now: now)
        }
        guard let (peer, numbers) = verifications.removeValue(forKey: order) else { return }
        for number in numbers where isOpen(number, peer) {
            guard isValid else {
                fail(number, .badSignature, now: now)
                continue
            }
            questions[number]?.isVerified = true
            settle(number, now: now)
        }
    }

    private mutating func take(
        _ salt: [UInt8], _ result: [UInt8], of number: UInt64, now: Instant
    ) {
        guard let question = questions[number], let header = question.header?.header,
            question.revealed == nil
        else { return fail(number, .malformed, now: now) }
        let record: CallRecord
        do throws(DecodeError) {
            record = try CallRecord(result: result.rawSpan, of: question.asked.call)
        } catch {
            return fail(number, .malformed, now: now)
        }
        guard header.gas == record.gas,
            header.commitment == Commitment.make(salt: salt, record: record)
        else { return fail(number, .brokenCommitment, now: now) }
        questions[number]?.revealed = (salt, record)
        settle(number, now: now)
    }

    /// Gives out the answer if all of it is there.
    private mutating func settle(_ number: UInt64, now: Instant) {
        guard let question = questions[number], question.isVerified, let header = question.header,
            let (salt, record) = question.revealed
        else { return }
        forget(number, now: now)
        events.append(.answered(number, CallAnswer(header, salt: salt, record: record)))
    }
}

extension CallClient.Question {
    /// What is wrong with a header that is said to answer this question.
    fileprivate func failure(of header: CallHeader) -> CallFailure? {
        guard header.call == asked.call.cid else { return .otherQuestion }
        guard header.nonce == asked.nonce else { return .replayed }
        guard header.gas <= asked.call.gas, header.price <= asked.maxPrice else {
            return .overcharged
        }
        return nil
    }
}
