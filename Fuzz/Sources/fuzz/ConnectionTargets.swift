// What is fuzzed of connections: what a peer sends before and after it has proven who it is.

import Connections
import Cryptography
import Multiformats
import Wire

private let options: ConnectionOptions? = {
    guard
        let identity = try? NoiseIdentity(
            .generateEd25519(), staticKey: X25519.makePrivateKey())
    else { return nil }
    return ConnectionOptions(identity: identity, protocols: [ProtocolName("/fuzz")])
}()

/// A listener whose peer's TLS is over, so that all it is fed are frames.
private func feedFrames(_ bytes: RawSpan) {
    guard let options else { return }
    let now = Instant(nanoseconds: 0)
    let secrets = ConnectionSecrets([UInt8](repeating: 1, count: ConnectionSecrets.byteCount))
    guard
        var connection = try? Connection(
            .tlsDialer(nil), options: options, secrets: secrets, now: now),
        (try? connection.secured(
            peer: options.identity.peer, muxer: ConnectionOptions.muxer, now: now)) != nil
    else { return }
    let opened = connection.open([ProtocolName("/fuzz")], now: now)
    // Errors end a connection; that is what they are for.
    _ = try? connection.receive(bytes, now: now)
    var delivered = 0
    while let event = connection.nextEvent() {
        if case .data(let stream, let data) = event {
            delivered += data.count
            connection.consume(data.count, of: stream, now: now)
        }
    }
    if delivered > bytes.byteCount { violated("nothing is delivered that was not sent") }
    if connection.streamCounts.incoming > options.limits.incomingStreams {
        violated("streams are limited")
    }
    if let opened { connection.reset(opened) }
    while connection.wantsToTransmit {
        let output = [UInt8](capacity: 1 << 16) { (output: inout OutputRawSpan) in
            connection.transmit(into: &output)
        }
        if output.isEmpty { break }
    }
}

/// A client of WebRTC whose server's messages are made of the bytes: a channel, a kind and a
/// length before each.
private func feedMessages(_ bytes: RawSpan) {
    guard let options else { return }
    let now = Instant(nanoseconds: 0)
    let secrets = ConnectionSecrets([UInt8](repeating: 1, count: ConnectionSecrets.byteCount))
    let print = [UInt8](repeating: 2, count: 32)
    guard
        var client = try? WebRTCConnection(
            .client(nil), options: options, secrets: secrets, clientFingerprint: print,
            serverFingerprint: print, now: now),
        var server = try? WebRTCConnection(
            .server, options: options, secrets: secrets, clientFingerprint: print,
            serverFingerprint: print, now: now)
    else { return }
    // Both prove who they are, so that streams are reached.
    while client.peer == nil || server.peer == nil {
        while case .send(let sent, let kind, let channel)? = server.nextOrder(now: now) {
            _ = try? client.receive(sent[...], kind, on: channel, now: now)
        }
        while case .send(let sent, let kind, let channel)? = client.nextOrder(now: now) {
            _ = try? server.receive(sent[...], kind, on: channel, now: now)
        }
    }
    let kinds: [ChannelMessageKind] = [.control, .text, .binary, .emptyText, .emptyBinary]
    var reader = ByteReader(bytes)
    var delivered = 0
    while let channel = try? reader.readByte(), let kind = try? reader.readByte(),
        let length = try? reader.readByte()
    {
        let message = [UInt8](reader.readSpan(upTo: Int(length)))
        if kind == 255 {
            server.closed(UInt16(channel), byPeer: length.isMultiple(of: 2), now: now)
        } else {
            _ = try? server.receive(
                message[...], kinds[Int(kind) % kinds.count], on: UInt16(channel), now: now)
        }
        while let event = server.nextEvent() {
            if case .data(let stream, let data) = event {
                delivered += data.count
                server.consume(data.count, of: stream, now: now)
            }
        }
        if kind.isMultiple(of: 3) { while server.nextOrder(now: now) != nil {} }
    }
    if delivered > bytes.byteCount { violated("nothing is delivered that was not sent") }
    if server.streamCounts.incoming > options.limits.incomingStreams {
        violated("streams are limited")
    }
}

/// What peers send on connections, by name.
let connectionTargets: [String: Target] = [
    "connection-start": { bytes in
        guard let options else { return }
        let now = Instant(nanoseconds: 0)
        let secrets = ConnectionSecrets(
            [UInt8](repeating: 1, count: ConnectionSecrets.byteCount))
        guard
            var connection = try? Connection(
                .listener, options: options, secrets: secrets, now: now)
        else { return }
        // Errors end a connection; that is what they are for.
        _ = try? connection.receive(bytes, now: now)
        if connection.peer != nil { violated("nobody proves who it is by chance") }
    },
    "connection-frames": feedFrames,
    "webrtc-messages": feedMessages,
    "stun": { bytes in
        let now = Instant(nanoseconds: 0)
        var responder = ICEResponder(now: now)
        guard let source = UDPAddress(ip: [10, 0, 0, 1].span.bytes, port: 1) else { return }
        guard case .checked = responder.receive(bytes, from: source, now: now) else { return }
        if responder.count != 1 { violated("a check makes one peer") }
        if bytes.byteCount > STUNMessage.maxLength { violated("messages are bounded") }
    },
    "data-channel-frame": { bytes in
        guard let frame = try? ChannelFrame(decoding: [UInt8](bytes)) else { return }
        let encoded = frame.encoded
        var reader = ByteReader(encoded.span.bytes)
        var frames = FrameReader(limit: encoded.count)
        guard let inner = try? frames.next(&reader) else { violated("a frame is whole") }
        if (try? ChannelFrame(decoding: inner)) != frame { violated("a frame round-trips") }
    },
    "data-channel-opening": { bytes in
        guard let message = try? ChannelOpening(decoding: bytes) else { return }
        if (try? ChannelOpening(decoding: message.encoded.span.bytes)) != message {
            violated("an opening round-trips")
        }
    },
    "tls-identity": { bytes in
        guard let identity = try? TLSIdentity(decoding: bytes) else { return }
        if identity.encoded != [UInt8](bytes) { violated("an identity has one encoding") }
    },
    "private-network-key": { bytes in _ = try? PresharedKey(file: bytes) },
]
