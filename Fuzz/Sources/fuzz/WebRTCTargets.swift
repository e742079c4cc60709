// What is fuzzed of WebRTC's shell: datagrams of DTLS before a peer has proven anything, and
// packets of SCTP from one that has.

import CWebRTC
import Wire

/// A certificate of nobody and its key, in DER.
private let certificate = hex(
    "308201753082011ba003020102021434d8f18706a0722a7fa5ae026822e3ddfa89256b300a06082a8648ce3d"
        + "040302300f310d300b06035504030c0466757a7a3020170d3236313132393135333434315a180f3231323631"
        + "3130353135333434315a300f310d300b06035504030c0466757a7a3059301306072a8648ce3d020106082a86"
        + "48ce3d03010703420004448e73940879274e53b37718da07592824ebd24e2710e6bc81bc84af391cf10a669f"
        + "7ff7507cc76f5e8473ed90dd226c7ca71e88b05925b8fff00db09e14e93fa3533051301d0603551d0e041604"
        + "14a979a8785baddadd4344ae30bffa27110d556c95301f0603551d23041830168014a979a8785baddadd4344"
        + "ae30bffa27110d556c95300f0603551d130101ff040530030101ff300a06082a8648ce3d0403020348003045"
        + "022100ffe92fb4aefd1af94c8928fcf7b46cb294c2234e4dc1620b00d3bc32b4e6d43102204894c636fd3fbf"
        + "c1e1a4c141c7062f272edc58798e57d83969a6dea54e85668c")
private let privateKey = hex(
    "307702010104202c3bbce38515376bfa4deed2b94b3288f109395a9df0590701f12d97f4851ca4a00a06082a"
        + "8648ce3d030107a14403420004448e73940879274e53b37718da07592824ebd24e2710e6bc81bc84af391cf1"
        + "0a669f7ff7507cc76f5e8473ed90dd226c7ca71e88b05925b8fff00db09e14e93f")

private func hex(_ text: String) -> [UInt8] {
    stride(from: 0, to: text.utf8.count, by: 2).map { offset in
        let digits = text.dropFirst(offset).prefix(2)
        return UInt8(digits, radix: 16) ?? 0
    }
}

/// The longest input that is taken for one datagram.
private let longestDatagram = 2_048

/// The datagrams of an input, each with its length before it.
private func datagrams(in bytes: RawSpan, _ body: ([UInt8]) -> Void) {
    var reader = ByteReader(bytes)
    while let length = try? reader.readBigEndian(UInt16.self) {
        body([UInt8](reader.readSpan(upTo: min(Int(length), longestDatagram))))
    }
}

// MARK: DTLS

/// How many bytes the server has sent.
nonisolated(unsafe) private var answered = 0
nonisolated(unsafe) private let server: OpaquePointer? = weft_dtls_server_new(
    certificate, certificate.count, privateKey, privateKey.count)

private func shakeHands(_ bytes: RawSpan) {
    guard let server, let dtls = weft_dtls_new(server) else {
        violated("the certificate is taken")
    }
    answered = 0
    weft_dtls_start(dtls, 1) { _, _, count in answered += count }
    var room = [UInt8](repeating: 0, count: 1 << 15)
    var isOver = false
    datagrams(in: bytes) { datagram in
        guard !isOver, !datagram.isEmpty else { return }
        weft_dtls_receive(dtls, datagram, datagram.count)
        var count: Int32 = 1
        while count > 0 { count = weft_dtls_read(dtls, &room, room.count) }
        isOver = count < 0
        _ = weft_dtls_timeout(dtls)
    }
    if weft_dtls_is_open(dtls) { violated("nobody finishes a handshake by chance") }
    // One flight, and what is sent again on demand, of which there is none here.
    if answered > 4_096 { violated("an answer is bounded") }
    weft_dtls_close(dtls)
    weft_dtls_free(dtls)
}

private func greet(_ bytes: RawSpan) {
    guard let server else { return }
    let address: [UInt8] = [10, 0, 0, 1, 0, 9]
    var room = [UInt8](repeating: 0, count: 256)
    datagrams(in: bytes) { datagram in
        guard !datagram.isEmpty else { return }
        var count = room.count
        if let dtls = weft_dtls_greet(
            server, address, address.count, datagram, datagram.count, &room, &count)
        {
            weft_dtls_free(dtls)
            violated("nobody guesses a cookie")
        }
        if count > datagram.count + 64 { violated("a cookie is hardly longer than its request") }
    }
}

// MARK: SCTP

/// What the two ends of an association have sent, by the receiver's number.
nonisolated(unsafe) private var packets: [UInt64: [[UInt8]]] = [:]
nonisolated(unsafe) private var lastPeer: UInt64 = 0
nonisolated(unsafe) private var isStarted = false

/// One end is honest; what it is sent after the association is there is made of the bytes. They get
/// the right verification tag, which a peer knows.
private func associate(_ bytes: RawSpan) {
    if !isStarted {
        isStarted = true
        weft_sctp_start(
            { peer, start, count in
                let other = peer % 2 == 0 ? peer - 1 : peer + 1
                let packet = Array(UnsafeBufferPointer(start: start, count: count))
                packets[other, default: []].append(packet)
            }, { _ in })
    }
    let (one, two) = (lastPeer + 1, lastPeer + 2)
    lastPeer += 2
    guard let here = weft_sctp_open(one), let there = weft_sctp_open(two) else {
        violated("an association can be opened")
    }
    var tag: [UInt8] = []
    var room = [UInt8](repeating: 0, count: 1 << 16)
    func exchange() {
        for _ in 0..<20 where !(packets[one, default: []] + packets[two, default: []]).isEmpty {
            for peer in [one, two] {
                for packet in packets.removeValue(forKey: peer) ?? [] {
                    if peer == one, packet.count >= 12 { tag = Array(packet[4..<8]) }
                    weft_sctp_receive(peer, packet, packet.count)
                }
            }
        }
    }
    func readAll() {
        var count = 0
        while true {
            let result = weft_sctp_read(here, &room, room.count)
            guard result.event != weft_sctp_nothing, result.event != weft_sctp_down else { return }
            if result.count > room.count { violated("what is read fits") }
            count += 1
            if count > 1 << 16 { violated("what is read ends") }
        }
    }
    exchange()
    readAll()
    _ = weft_sctp_send(here, [1, 2, 3], 3, 1, 53)
    exchange()
    datagrams(in: bytes) { datagram in
        let packet = [0x13, 0x88, 0x13, 0x88] + tag + [0, 0, 0, 0] + datagram
        weft_sctp_receive(one, packet, packet.count)
        readAll()
        _ = weft_sctp_close_stream(here, 1)
        weft_sctp_tick(20)
        // What it answers is of no interest to whoever makes things up.
        packets = [:]
    }
    weft_sctp_close(here, one)
    weft_sctp_close(there, two)
    weft_sctp_tick(20)
    packets = [:]
}

/// What strangers and peers send over WebRTC below its channels, by name.
let webRTCTargets: [String: Target] = [
    "dtls-handshake": shakeHands,
    "dtls-cookie": greet,
    "sctp-packets": associate,
]
