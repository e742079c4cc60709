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
    "tls-identity": { bytes in
        guard let identity = try? TLSIdentity(decoding: bytes) else { return }
        if identity.encoded != [UInt8](bytes) { violated("an identity has one encoding") }
    },
    "private-network-key": { bytes in _ = try? PresharedKey(file: bytes) },
]
