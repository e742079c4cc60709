// What is fuzzed of the single steps of a connection, each without those before it: agreeing on a
// protocol, the Noise handshake from either side, and yamux.

import Cryptography
import Multiformats
import Wire

@testable import Connections

/// The machines by name.
let channelTargets: [String: Target] = [
    "multistream": { bytes in
        let names = [ProtocolName("/a"), ProtocolName("/b/1.0.0")]
        for start in [Multistream(proposing: names), Multistream(supporting: names)] {
            var machine = start
            var reader = ByteReader(bytes)
            while !reader.isAtEnd {
                guard let outcome = try? machine.receive(&reader) else { break }
                if case .agreed(let name) = outcome, !names.contains(name) {
                    violated("nobody agrees on what was not offered")
                }
            }
            if machine.takeOutput().count > 64 * Multistream.maxProposals {
                violated("what is answered is bounded")
            }
        }
    },
    "session-offer": { bytes in
        let text = [UInt8](bytes)
        if let candidate = ICECandidate(json: text),
            ICECandidate(json: candidate.json(mid: "0"))?.address != candidate.address
        {
            violated("a candidate is read as it is written")
        }
        guard let offer = try? SessionOffer(decoding: text) else { return }
        if offer.fingerprint.count != 32 || offer.candidates.count > SessionOffer.maxCandidates {
            violated("an offer has all that is needed, and no more")
        }
    },
    "noise": noise,
    "yamux": yamux,
]

private let identity = try? NoiseIdentity(
    .generateEd25519(), staticKey: [UInt8](repeating: 3, count: 32))

/// Frames of a handshake whose payloads are the input, sealed as they should be, since chance would
/// never get past a cipher; and the input as it is.
@Sendable private func noise(_ bytes: RawSpan) {
    guard let identity else { violated("an identity is made") }
    let muxers = [ProtocolName("/yamux/1.0.0")]
    for role in [NoiseXX.Role.initiator, .responder] {
        guard
            var machine = try? NoiseHandshake(
                role: role, identity: identity, ephemeralKey: [UInt8](repeating: 5, count: 32),
                muxers: muxers)
        else { violated("a handshake begins") }
        var reader = ByteReader(bytes)
        if (try? machine.receive(&reader)) != nil { violated("nobody is proven by chance") }
    }
    let payload = [UInt8](bytes)
    guard payload.count < 60_000 else { return }
    var peer = NoiseXX(
        role: .responder, staticKey: [UInt8](repeating: 9, count: 32),
        ephemeralKey: [UInt8](repeating: 11, count: 32), prologue: [])
    guard
        var machine = try? NoiseHandshake(
            role: .initiator, identity: identity, ephemeralKey: [UInt8](repeating: 5, count: 32),
            muxers: muxers)
    else { violated("a handshake begins") }
    let first = machine.takeOutput()
    guard (try? peer.read(Array(first.dropFirst(2)).rawSpan)) != nil,
        let second = try? peer.write(payload)
    else { violated("a first message is read") }
    var frame: [UInt8] = []
    frame.appendBigEndian(UInt16(second.count))
    frame += second
    var reader = ByteReader(frame.rawSpan)
    // No signature fits the static key of this peer.
    if (try? machine.receive(&reader)) != nil { violated("nobody is proven by chance") }
}

/// Both sides of yamux: the first byte says which, and how the rest is cut.
@Sendable private func yamux(_ bytes: RawSpan) {
    let input = [UInt8](bytes)
    guard let first = input.first else { return }
    var now = Instant(nanoseconds: 1)
    let limits = YamuxLimits()
    var machine = Yamux(role: first & 1 == 0 ? .client : .server, limits: limits, now: now)
    var ours = machine.open(now: now)
    var rest = input.dropFirst()
    var delivered = 0
    while !rest.isEmpty {
        let size = max(1, Int(first >> 1))
        // An error ends the connection; that is what it is for.
        guard (try? machine.receive(rest.prefix(size), now: now)) != nil else { return }
        rest = rest.dropFirst(size)
        for event in machine.takeEvents() {
            if case .data(let stream, let data) = event {
                delivered += data.count
                machine.consume(data.count, of: stream, now: now)
                _ = machine.write(data, to: stream)
            }
        }
        if machine.incomingCount > limits.incomingStreams { violated("streams are limited") }
        while machine.nextTransmit(room: 1 << 16) != nil {}
        now = now + .milliseconds(7)
        guard (try? machine.advance(to: now)) != nil else { return }
    }
    if delivered > input.count { violated("nothing is delivered that was not sent") }
    if let stream = ours {
        machine.reset(stream)
        ours = nil
    }
}
