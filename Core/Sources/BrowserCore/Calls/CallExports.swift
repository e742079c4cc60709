// What weft-calls.wasm exports: the calls of a page's peer. There is one in a module. What happens
// is told by `weft_host_event` before a call returns. Times are milliseconds of a clock that only
// goes forward; numbers of streams and orders are whole.

import CFreestanding
import Compute
import Cryptography
import Multiformats
import Wire

/// The calls of the page, once they have been started; the module has one thread.
nonisolated(unsafe) private var calls: PageCalls?

/// Starts the calls of a peer. The argument is the 32 bytes of its identity, and 32 random bytes.
/// The reply is the protocol's name and the length of its longest message, in lines.
///
/// - Parameters:
///   - speed: how much gas the page runs in a second.
///   - slots: how many calls it runs at a time; 0 if it runs none for peers.
///   - epoch: seconds since 1970 when the clock stood at zero.
@c(weft_calls_start)
public func startCalls(
    _ argument: UnsafeRawPointer?, _ count: UInt32, _ speed: Double, _ slots: UInt32,
    _ epoch: Double
) -> UnsafeMutableRawPointer? {
    unsafe reply(to: argument, count) { argument throws(DecodeError) in
        let bytes = [UInt8](argument)
        guard bytes.count == 64 else { throw DecodeError(.truncated, "a secret has 64 bytes") }
        do throws(SigningError) {
            unsafe calls = try PageCalls(
                seed: Array(bytes[..<32]), secret: Array(bytes[32...]),
                offer: offer(speed, slots), epoch: epoch)
        } catch {
            throw DecodeError(.unsupported, "the secret makes no key")
        }
        return lines([CallProtocol.name.description, String(CallProtocol.maxMessageBytes)])
    }
}

/// Tells peers how fast the page has turned out to be, and how long they would wait there, in
/// milliseconds.
@c(weft_calls_offer)
public func offerCalls(_ speed: Double, _ slots: UInt32, _ queue: Double, _ now: Double) {
    unsafe calls?.setOffer(offer(speed, slots))
    unsafe calls?.setQueue(.milliseconds(Int64(clamping: whole(queue))))
    settle(now)
}

private func offer(_ speed: Double, _ slots: UInt32) -> CallOffer {
    CallOffer(speed: whole(speed), slots: slots, maxGas: PageCalls.maxServedGas)
}

/// A connected peer runs calls, or does not (any more).
@c(weft_calls_note)
public func notePeer(
    _ text: UnsafeRawPointer?, _ count: UInt32, _ runsCalls: UInt32, _ now: Double
) {
    if let peer = unsafe try? PeerID(text: string(text, count)) {
        unsafe calls?.note(peer, runsCalls: runsCalls != 0, now: instant(now))
    }
    settle(now)
}

/// Has a call run. The argument has parts: the URL, the HTTP method, header lines, the body, and
/// the CID of a body that is too long to be in the call. The reply is the call's identity.
///
/// - Parameters:
///   - gas: its limit if no header gives one.
///   - audit: how answers are checked: 0 not at all, 1 by asking again for some, 2 by running it
///     here as well, and from 3 on by so many peers less one.
///   - maxPrice: the most credits for 1,000 units of gas.
///   - value: what a wrong answer would cost, in credits.
///   - patience: in milliseconds.
///   - speed: how much gas the page runs in a second; 0 if it does not run this call.
///   - queue: how long the call would wait here, in milliseconds.
@c(weft_call)
public func call(
    _ number: UInt32, _ argument: UnsafeRawPointer?, _ count: UInt32, _ gas: Double,
    _ audit: UInt32, _ maxPrice: UInt32, _ value: Double, _ patience: Double, _ speed: Double,
    _ queue: Double, _ now: Double
) -> UnsafeMutableRawPointer? {
    defer { settle(now) }
    return unsafe reply(to: argument, count) { argument throws(DecodeError) in
        let call = try call(of: try parts(of: argument), gas: whole(gas))
        let checks: CallAudit =
            switch audit {
            case 0: .none
            case 1: .usual
            case 2: .selfExecution
            default: .quorum(audit - 1)
            }
        let terms = CallTerms(
            maxPrice: Price(rate: maxPrice), value: whole(value),
            patience: .milliseconds(Int64(clamping: whole(patience))))
        let here =
            speed > 0
            ? LocalCapacity(
                speed: whole(speed), queue: .milliseconds(Int64(clamping: whole(queue)))) : nil
        unsafe calls?.ask(number, call, terms, checks, here: here, now: instant(now))
        return Array(call.cid.description.utf8)
    }
}

private func call(of parts: [[UInt8]], gas: UInt64) throws(DecodeError) -> Call {
    guard parts.count == 5 else { throw DecodeError(.malformed, "a call has five parts") }
    let name = parts[4]
    let body: CallBody = name.isEmpty ? .inline(parts[3]) : .content(try CID(utf8: name.rawSpan))
    do throws(CallFault) {
        var headers = CallHeaders()
        for line in parts[2].split(separator: 0x0a) {
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { throw .header }
            let name = String(decoding: line[..<colon], as: UTF8.self)
            // What compares texts needs Unicode's tables.
            let isGas = name.utf8.elementsEqual("weft-gas".utf8)
            guard isGas || CallHeaders.reachesContract(name) else { continue }
            try headers.append(name, String(decoding: line[(colon + 1)...], as: UTF8.self))
        }
        return try Call(
            url: String(decoding: parts[0], as: UTF8.self),
            method: String(decoding: parts[1], as: UTF8.self), headers: headers, body: body,
            gas: gas)
    } catch {
        throw DecodeError(.malformed, "it cannot be called")
    }
}

/// Nobody waits for a call any more.
@c(weft_calls_cancel)
public func cancelCall(_ number: UInt32, _ now: Double) {
    unsafe calls?.cancel(number, now: instant(now))
    settle(now)
}

/// The record of a run, or nothing if the page could not.
@c(weft_ran)
public func ran(_ order: Double, _ record: UnsafeRawPointer?, _ count: UInt32, _ now: Double) {
    let record = unsafe try? CallRecord(decoding: bytes(record, count).rawSpan)
    unsafe calls?.ran(whole(order), record, now: instant(now))
    settle(now)
}

/// The blocks of records that were to be got, as parts. `outcome` is 1 if all came, 0 if a peer
/// that was asked does not have them, and 2 if that is not known, for what this page lacks.
@c(weft_loaded)
public func loaded(
    _ order: Double, _ blocks: UnsafeRawPointer?, _ count: UInt32, _ outcome: UInt32, _ now: Double
) {
    if outcome > 1 {
        unsafe calls?.couldNotLoad(whole(order), now: instant(now))
    } else {
        let blocks = unsafe outcome == 0 ? nil : try? parts(of: bytes(blocks, count).rawSpan)
        unsafe calls?.loaded(whole(order), blocks, now: instant(now))
    }
    settle(now)
}

/// What came of a replay: a record; nothing if the page could not run it; `hasStrayed` is not zero
/// if it did other things than were recorded.
@c(weft_replayed)
public func replayed(
    _ order: Double, _ record: UnsafeRawPointer?, _ count: UInt32, _ hasStrayed: UInt32,
    _ now: Double
) {
    var replay: Replay? = hasStrayed == 0 ? nil : .strayed
    if replay == nil, let record = unsafe try? CallRecord(decoding: bytes(record, count).rawSpan) {
        replay = .record(record)
    }
    unsafe calls?.replayed(whole(order), replay, now: instant(now))
    settle(now)
}

/// What happened to a stream of the call protocol, as the page's peer tells it: the kind of event
/// there, the request or the stream, the reason of a refusal, and bytes.
@c(weft_calls_stream)
public func receiveStream(
    _ kind: UInt32, _ request: UInt32, _ number: Double, _ argument: UnsafeRawPointer?,
    _ count: UInt32, _ now: Double
) {
    let stream = StreamID(number)
    let argument = unsafe bytes(argument, count)
    let event: StreamEvent? =
        switch kind {
        case 22: .opened(request: UInt64(request), stream, CallProtocol.name)
        case 23:
            .refused(
                request: UInt64(request),
                StreamFault(rawValue: UInt8(clamping: whole(number))) ?? .unreachable)
        case 24:
            (try? PeerID(text: String(decoding: argument, as: UTF8.self))).map {
                .accepted(stream, $0, CallProtocol.name)
            }
        case 25: .message(stream, argument)
        case 26: .finished(stream)
        case 27: .reset(stream)
        default: nil
        }
    if let event { unsafe calls?.receive(event, now: instant(now)) }
    settle(now)
}

/// Does what is due.
@c(weft_calls_advance)
public func advanceCalls(_ now: Double) {
    unsafe calls?.advance(to: instant(now))
    settle(now)
}

/// When `weft_calls_advance` is to be called next; infinite if nothing is due.
@c(weft_calls_deadline)
public func callsDeadline() -> Double {
    guard let deadline = unsafe calls?.deadline else { return .infinity }
    return Double(deadline.nanoseconds) / 1_000_000
}

private func whole(_ number: Double) -> UInt64 {
    number.isNaN ? 0 : UInt64(min(max(number, 0), 0x1p53))
}

private func string(_ argument: UnsafeRawPointer?, _ count: UInt32) -> String {
    String(decoding: unsafe bytes(argument, count), as: UTF8.self)
}

/// Tells what has happened.
private func settle(_ now: Double) {
    while let event = unsafe calls?.nextEvent(now: instant(now)) { tell(event) }
}

private func tell(_ event: PageCalls.Event) {
    switch event {
    case .stream(.open(let peer, let names, let request)):
        let name = names.first?.description ?? ""
        tell(1, UInt32(truncatingIfNeeded: request), text: peer.description + "\n" + name)
    case .stream(.withdraw): break
    case .stream(.send(let stream, let bytes)): tell(2, 0, stream.number, bytes[...])
    case .stream(.finish(let stream)): tell(3, 0, stream.number, [])
    case .stream(.reset(let stream)): tell(4, 0, stream.number, [])
    case .run(let order, let call, let peer):
        let name = Array((peer?.description ?? "").utf8)
        tell(5, 0, Double(order), joined([call.encoded, name])[...])
    case .stop(let order): tell(6, 0, Double(order), [])
    case .load(let order, let cids, let peer):
        tell(
            7, 0, Double(order),
            lines([peer?.description ?? ""] + cids.map { $0.description })[...])
    case .replay(let order, let replay, let forPeer):
        tell(
            8, forPeer ? 1 : 0, Double(order),
            joined(([replay.record] + replay.children).map { $0.encoded })[...])
    case .answered(let number, let result):
        tell(9, number, 0, joined([result.record.encoded, lines(result.told)])[...])
    case .failed(let number, let error):
        tell(10, number, 0, lines([error.kind.told, error.description] + error.trace.told)[...])
    case .convicted(let peer): tell(11, 0, text: peer.description)
    case .refuted(let number, let right): tell(12, number, 0, (right?.encoded ?? [])[...])
    }
}
