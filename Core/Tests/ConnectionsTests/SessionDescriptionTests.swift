// What browsers offer, how it is answered, and what is not taken.

import Foundation
import TestSupport
import Testing
import Wire

@testable import Connections

private let digest =
    "7D:5B:0C:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:"
    + "EE:FF:00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D"

/// As Chromium writes it.
private let chromium = [
    "v=0", "o=- 5596434117463285553 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0",
    "a=extmap-allow-mixed", "a=msid-semantic: WMS",
    "m=application 52871 UDP/DTLS/SCTP webrtc-datachannel", "c=IN IP4 5.1.0.9",
    "a=candidate:3208466241 1 udp 2113937151 7e0b1dcd.local 52871 typ host generation 0",
    "a=candidate:3208466242 1 udp 1677729535 5.1.0.9 52871 typ srflx raddr 0.0.0.0 rport 0",
    "a=candidate:3208466243 1 tcp 1518280447 5.1.0.9 9 typ host tcptype active",
    "a=candidate:3208466244 2 udp 1518280447 5.1.0.9 9 typ host",
    "a=candidate:3208466245 1 UDP 2113937151 2a00:1::5 4444 typ host", "a=ice-ufrag:MxQp",
    "a=ice-pwd:Ahv5cJTTVyJcaOqkGLVyRYmP", "a=ice-options:trickle",
    "a=fingerprint:sha-256 " + digest, "a=setup:actpass", "a=mid:0", "a=sctp-port:5000",
    "a=max-message-size:262144", "",
]

private func bytes(_ lines: [String], end: String = "\r\n") -> [UInt8] {
    Array(lines.joined(separator: end).utf8)
}

private func home() throws -> UDPAddress {
    let ip: [UInt8] = [5, 2, 0, 1]
    let place = UDPAddress(ip: ip.rawSpan, port: 4001)
    return try #require(place)
}

@Suite struct SessionDescriptionTests {
    @Test("an offer of a browser is read", arguments: ["\r\n", "\n"]) func offer(end: String) throws
    {
        let offer = try SessionOffer(decoding: bytes(chromium, end: end))
        #expect(offer.name == Array("MxQp".utf8))
        #expect(offer.password == Array("Ahv5cJTTVyJcaOqkGLVyRYmP".utf8))
        #expect(offer.fingerprint == hex(digest) && offer.mid == "0")
        // Names are not looked up, and there is but UDP and one component.
        #expect(
            offer.candidates.map { $0.text.split(separator: " ")[4...7].joined(separator: " ") }
                == [
                    "5.1.0.9 52871 typ srflx", "2a00:1::5 4444 typ host",
                ])
    }

    @Test(
        "an offer is refused that cannot be answered",
        arguments: [
            (
                "m=application 52871 UDP/DTLS/SCTP webrtc-datachannel",
                "m=audio 9 UDP/TLS/RTP/SAVPF 111"
            ),
            ("a=mid:0", "m=audio 9 UDP/TLS/RTP/SAVPF 111"), ("a=setup:actpass", "a=setup:passive"),
            ("a=sctp-port:5000", "a=sctp-port:5001"), ("a=ice-ufrag:MxQp", "a=ice-ufrag:Mx"),
            ("a=ice-ufrag:MxQp", "a=ice-ufrag:Mx:p"),
            ("a=ice-ufrag:MxQp", "a=ice-ufrag:" + String(repeating: "x", count: 33)),
            ("a=mid:0", "a=mid:\"0\""),
            ("a=ice-pwd:Ahv5cJTTVyJcaOqkGLVyRYmP", "a=ice-pwd:short"),
            ("a=fingerprint:sha-256 " + digest, "a=fingerprint:sha-1 " + digest),
            ("a=fingerprint:sha-256 " + digest, "a=fingerprint:sha-256 " + digest + ":00"),
            ("a=fingerprint:sha-256 " + digest, "a=fingerprint:sha-256 " + digest.dropLast(3)),
        ])
    func refused(line: String, other: String) throws {
        let place = try #require(chromium.firstIndex(of: line))
        var lines = chromium
        lines[place] = other
        #expect(throws: DecodeError.self) { try SessionOffer(decoding: bytes(lines)) }
        // So many ways, and so much text, are no offer either.
        let many = chromium + Array(repeating: chromium[10], count: 32)
        #expect(throws: DecodeError.self) { try SessionOffer(decoding: bytes(many)) }
        let long = chromium + [String(repeating: "a", count: 16 << 10)]
        #expect(throws: DecodeError.self) { try SessionOffer(decoding: bytes(long)) }
    }

    @Test("noise is never answered, and breaks nothing") func noise() {
        var noise = Noise(seed: 41)
        let whole = bytes(chromium)
        for _ in 0..<2_000 {
            let mutation = noise.mutation(of: whole)
            if let read = try? SessionOffer(decoding: mutation) {
                #expect(read.fingerprint.count == 32 && read.candidates.count <= 32)
            }
        }
    }

    @Test("the answer says what an offer has to know of this side") func answer() throws {
        let offer = try SessionOffer(decoding: bytes(chromium))
        let place = try home()
        let answer = SessionAnswer(
            name: Array("ours".utf8), password: Array("0123456789abcdef012345".utf8),
            fingerprint: hex(digest), candidates: [ICECandidate(.host, place)])
        let lines = String(decoding: answer.encoded(to: offer), as: UTF8.self)
            .components(separatedBy: "\r\n")
        for line in [
            "a=group:BUNDLE 0", "a=mid:0", "a=ice-ufrag:ours", "a=setup:passive",
            "a=ice-pwd:0123456789abcdef012345", "a=fingerprint:sha-256 " + digest,
            "a=candidate:1 1 udp 2130706431 5.2.0.1 4001 typ host",
        ] { #expect(lines.contains(line), "\(line)") }
        #expect(lines.first == "v=0" && lines.last == "")
        #expect(!lines.contains("a=ice-lite"))
    }

    @Test("candidates in JSON are read, and written so that they are read") func json() throws {
        let place = try home()
        for kind in [ICECandidate.Kind.host, .reflexive] {
            let candidate = ICECandidate(kind, place)
            #expect(ICECandidate(json: candidate.json(mid: "0")) == candidate)
        }
        let text = "candidate:1 1 udp 5 5.2.0.1 4001 typ host"
        for json in [
            "{\"candidate\":\"\(text)\"}",
            "{ \"sdpMid\" : \"0\", \"candidate\" : \"\(text) x 1\" }",
        ] { #expect(ICECandidate(json: Array(json.utf8)) == ICECandidate(.host, place), "\(json)") }
        for json in [
            "", "null", "{\"candidate\":\"\"}", "{\"candidate\":5}", "{\"candidate\"",
            "{\"candidate\":\"",
            "{\"candidate\":\"candidate:1 1 udp 5 host.example 4001 typ host\"}",
            "{\"candidate\":\"candidate:1 1 udp 5 5.2.0.1 0 typ host\"}",
            "{\"candidate\":\"candidate:1 1 udp 5 5.2.0.1 65536 typ host\"}",
            "{\"candidate\":\"candidate:1 1 udp 5 5.2.0.1/tcp/4 4001 typ host\"}",
        ] { #expect(ICECandidate(json: Array(json.utf8)) == nil, "\(json)") }
    }
}
