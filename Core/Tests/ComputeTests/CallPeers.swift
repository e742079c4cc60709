// A responder and an asker with a stream between them, and what a dishonest responder says.

import Compute
import IPLD
import Multiformats
import TestSupport
import Testing
import Wire

/// A peer with a key.
struct Identity {
    /// Of the kind that exists without the host's cryptography too, so that this builds there.
    let key: PrivateKey = {
        let secret = [7] + (0..<31).map { _ in UInt8.random(in: 0...255) }
        guard let key = try? PrivateKey(decoding: ([8, 2, 0x12, 32] + secret).rawSpan) else {
            preconditionFailure("all such bytes are a key")
        }
        return key
    }()
    var peer: PeerID { PeerID(key.publicKey) }

    func sign(_ message: [UInt8]) -> [UInt8] { (try? key.sign(message)) ?? [] }
}

/// Some salt.
let salt = [UInt8](repeating: 9, count: CallProtocol.saltBytes)

extension Identity {
    /// A signed answer.
    func answer(
        _ record: CallRecord, nonce: [UInt8] = [UInt8](repeating: 1, count: 16),
        price: Price = .usual
    ) -> CallAnswer {
        let header = CallHeader(
            call: record.call.cid, nonce: nonce,
            commitment: Commitment.make(salt: salt, record: record), gas: record.gas, price: price)
        return CallAnswer(sign(header), salt: salt, record: record)
    }

    /// A signed header.
    func sign(_ header: CallHeader) -> SignedHeader {
        let hashes = [hash(header)]
        return SignedHeader(
            header, by: peer, hashes: hashes, signature: sign(SignedHeader.message(hashes)))
    }

    func hash(_ header: CallHeader) -> [UInt8] {
        Multihash.sha2_256(of: header.encoded.rawSpan).digest
    }
}

/// An asker that talks to whatever a test lets a responder say.
struct Asker {
    var client = CallClient()
    var now = Instant(nanoseconds: 1_000_000_000)
    let responder = Identity()
    let stream = StreamID(connection: 1, stream: 1)
    private(set) var number: UInt64 = 0
    private(set) var question: CallQuestion?

    /// Asks for a call, and lets the responder see the question.
    mutating func ask(
        _ call: Call, maxPrice: Price = .usual, patience: Duration = .seconds(10),
        mayRecall: Bool = false
    ) throws {
        number = client.ask(
            call, of: responder.peer, maxPrice: maxPrice,
            nonce: [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: 16),
            patience: patience, mayRecall: mayRecall, now: now)
        while let order = client.nextTransmit() {
            switch order {
            case .open(_, let names, let request):
                #expect(names == [CallProtocol.name])
                client.receive(.opened(request: request, stream, names[0]), now: now)
            case .send(_, let message):
                for case .ask(let question) in try CallCommand.decode(message.rawSpan) {
                    self.question = question
                }
            default: Issue.record("not what an asker does: \(order)")
            }
        }
        #expect(question?.call == call)
    }

    /// The responder says something.
    mutating func hear(_ replies: CallReply...) {
        client.receive(.message(stream, replies.flatMap { $0.encoded }), now: now)
    }

    /// The responder says what an honest one would, but for what a test changes.
    mutating func hear(
        answer record: CallRecord, header change: (CallHeader) -> CallHeader = { $0 },
        reveal: CallRecord? = nil, signedBy signer: Identity? = nil, isRevealed: Bool = true
    ) throws {
        let question = try #require(question)
        let header = change(
            CallHeader(
                call: record.call.cid, nonce: question.nonce,
                commitment: Commitment.make(salt: salt, record: record), gas: record.gas,
                price: question.maxPrice))
        let signed = (signer ?? responder).sign(header)
        hear(.headers([(question.id, header)], signature: signed.signature, queue: .zero))
        guard isRevealed else { return }
        hear(.reveal(id: question.id, salt: salt, result: (reveal ?? record).result))
    }

    /// What the asker makes of it.
    mutating func outcome() -> CallClient.Event? {
        while let event = client.nextEvent() {
            switch event {
            case .verify(let order, let peer, let message, let signature):
                let key = peer.publicKey
                client.verified(
                    order, key?.verify(signature: signature, of: message) ?? false, now: now)
            case .queued, .offered: break
            default: return event
            }
        }
        return nil
    }

    /// Time passes.
    mutating func wait(_ time: Duration) {
        now = now + time
        client.advance(to: now)
    }
}
