// What is fuzzed of calls: what is hashed or signed and comes from strangers, and the messages of
// the call protocol with what its machines do with them.

import Compute
import Multiformats
import Wire

/// The parsers by name.
let computeTargets: [String: Target] = [
    "call": { bytes in
        guard let call = try? Call(decoding: bytes) else { return }
        if call.encoded != [UInt8](bytes) { violated("a call has one encoding") }
        guard let url = try? CallURL(call.url), url.contract == call.contract,
            url.path == call.path, url.query == call.query
        else { violated("a call's URL is one of the same call") }
    },
    "call-url": { bytes in
        let text = String(decoding: [UInt8](bytes), as: UTF8.self)
        guard let call = try? Call(url: text, gas: 1) else { return }
        if (try? Call(decoding: call.encoded.span.bytes)) != call {
            violated("what is taken can be encoded")
        }
    },
    "call-record": { bytes in
        guard let record = try? CallRecord(decoding: bytes) else { return }
        if record.encoded != [UInt8](bytes) { violated("a record has one encoding") }
        if (try? CallRecord(result: record.result.span.bytes, of: record.call)) != record {
            violated("a result is a record without its call")
        }
    },
    "call-receipt": { bytes in
        guard let receipt = try? Receipt(decoding: bytes) else { return }
        if receipt.encoded != [UInt8](bytes) { violated("a receipt has one encoding") }
        if receipt.isSigned(by: receipt.terms.to) { violated("nobody signs by chance") }
    },
    "call-evidence": { bytes in
        guard let evidence = try? Evidence(decoding: bytes) else { return }
        if evidence.encoded != [UInt8](bytes) { violated("evidence has one encoding") }
        if (try? evidence.examine()) == .proven { violated("nothing is proven by chance") }
    },
    "call-voucher": { bytes in
        guard let voucher = try? Voucher(storage: bytes) else { return }
        if voucher.stored != [UInt8](bytes) { violated("a voucher has one encoding") }
        if voucher.header.isValid { violated("nobody signs by chance") }
    },
    "call-balance": { bytes in
        guard let change = try? BalanceChange(storage: bytes) else { return }
        if change.stored != [UInt8](bytes) { violated("a change has one encoding") }
    },
    "call-responders": { bytes in
        guard let responders = try? Responders(storage: bytes) else { return }
        if (try? Responders(storage: responders.stored.span.bytes))?.stored != responders.stored {
            violated("what is known of peers can be read again")
        }
    },
    "call-server": callServer,
    "call-client": callClient,
    "call-news": callNews,
]

private let asker = PrivateKey.generateEd25519()

/// A responder that answers whatever it is asked, from a peer that may say anything.
@Sendable private func callServer(_ bytes: RawSpan) {
    var server = CallServer(offer: CallOffer(speed: 1, slots: 1))
    let stream = StreamID(connection: 1, stream: 1)
    let now = Instant(nanoseconds: 0)
    server.receive(.accepted(stream, PeerID(asker.publicKey), CallProtocol.name), now: now)
    server.receive(.message(stream, [UInt8](bytes)), now: now)
    if server.callCount > CallProtocol.maxCallsPerPeer { violated("calls of a peer are limited") }
    while let event = server.nextEvent() {
        switch event {
        case .asked(let number, _, let question):
            guard
                let record = try? CallRecord(
                    question.call, outcome: .ok, output: CallOutput(body: .empty), gas: 1,
                    ownGas: 1)
            else { violated("a call can be answered") }
            _ = server.answer(
                number, record, price: .usual, salt: [UInt8](repeating: 7, count: 32))
        case .sign(let number, _): server.signed(number, [UInt8](repeating: 1, count: 64))
        case .withdrawn, .opened, .acknowledged, .news: break
        }
    }
    while let order = server.nextTransmit() {
        guard case .send(_, let message) = order else { continue }
        if message.count > CallProtocol.maxMessageBytes { violated("messages are limited") }
        if (try? CallReply.decode(message.span.bytes)) == nil {
            violated("what is sent can be read")
        }
    }
    server.advance(to: now + CallProtocol.maxPatience)
    if server.callCount != 0 { violated("nothing is under way for longer than patience allows") }
}

/// An asker with one question, and a responder that may say anything.
@Sendable private func callClient(_ bytes: RawSpan) {
    guard let name = try? CID(text: "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"),
        let call = try? Call(name, gas: 1_000)
    else { violated("a call can be made") }
    var client = CallClient()
    let now = Instant(nanoseconds: 0)
    let peer = PeerID(asker.publicKey)
    let number = client.ask(
        call, of: peer, maxPrice: .usual, nonce: [UInt8](repeating: 0, count: 16),
        patience: .seconds(1), mayRecall: true, now: now)
    guard case .open(_, _, let request)? = client.nextTransmit() else {
        violated("a stream is opened to ask")
    }
    let stream = StreamID(connection: 1, stream: 1)
    client.receive(.opened(request: request, stream, CallProtocol.name), now: now)
    client.receive(.message(stream, [UInt8](bytes)), now: now)
    client.advance(to: now + .seconds(100))
    var ends = 0
    while let event = client.nextEvent() {
        switch event {
        case .verify(let order, _, _, _): client.verified(order, false, now: now)
        case .answered, .recalled: violated("nobody answers by chance")
        case .failed(number, _): ends += 1
        case .failed, .offered, .queued, .claimed, .receipted, .news: break
        }
    }
    if ends != 1 { violated("each question ends once") }
}

/// A node with two neighbours, one of which may say anything, also without being asked.
@Sendable private func callNews(_ bytes: RawSpan) {
    let now = Instant(nanoseconds: 1)
    let peer = PeerID(asker.publicKey)
    var exchange = CallExchange(
        offer: CallOffer(speed: 1, slots: 1), book: CreditBook(of: owner),
        secret: [UInt8](repeating: 1, count: SecretGenerator.secretBytes))
    let stream = StreamID(connection: 1, stream: 1)
    exchange.meet(peer, now: now)
    exchange.receive(
        .accepted(stream, peer, CallProtocol.name), isOurs: false, now: now, time: 0)
    exchange.receive(.message(stream, [UInt8](bytes)), isOurs: false, now: now, time: 0)
    var steps = 0
    for seconds in [0, 30, 60, 600] as [Int64] {
        exchange.advance(to: now + .seconds(seconds))
        while let event = exchange.nextEvent(now: now, time: 0) {
            steps += 1
            switch event {
            case .examine(let order, let file):
                guard let evidence = try? Evidence(decoding: file.span.bytes) else {
                    exchange.examined(order, .baseless, now: now)
                    continue
                }
                exchange.examined(order, .proven(evidence), now: now)
            case .run(let order, _, _):
                exchange.ran(order, nil, now: now, time: 0)
            case .sign(let order, _): exchange.signed(order, nil)
            default: break
            }
        }
        while let order = exchange.nextTransmit() {
            steps += 1
            guard case .send(_, let message) = order else { continue }
            if message.count > CallProtocol.maxMessageBytes { violated("messages are limited") }
        }
    }
    if steps > 10_000 { violated("what a peer says costs little") }
    if exchange.responders.isBanned(owner, now: now) { violated("nobody accuses itself") }
}

private let owner = PeerID(PrivateKey.generateEd25519().publicKey)
