// The ways to a node that a page has without libp2p: WebSockets, plain and in TLS, and STUN.

import Foundation
import Testing

@Suite(.serialized) struct BrowserWayTests {
    /// Chromium opens a WebSocket to `/ws` and, with a certificate, to `/tls/ws`, and is told by
    /// the port of WebRTC where it is seen.
    @Test("a page reaches a node by WebSockets, and asks it for its address") func ways() throws {
        let place = try Workplace()
        try place.isolate()
        let (certificate, key) = (place.path("certificate.pem"), place.path("key.pem"))
        let made = try place.shell(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout '\(key)' "
                + "-out '\(certificate)' -subj /CN=localhost -days 2")
        #expect(made.status == 0, "\(made.errors)")
        for (name, file) in [("certificate", certificate), ("certificate-key", key)] {
            #expect(try place.weft("config", "set", "mesh.\(name)", file).status == 0)
        }
        let node = try RunningNode(
            place, "--listen", "/ip4/127.0.0.1/tcp/0/ws", "--listen",
            "/ip4/127.0.0.1/tcp/0/tls/ws", "--listen", "/ip4/127.0.0.1/udp/0/webrtc-direct")
        defer { node.stop() }
        let listening = try #require(node.announcement["listen"] as? [String])
        func port(_ part: String) throws -> Substring {
            let address = try #require(listening.first { $0.contains(part) })
            return address.split(separator: "/")[3]
        }
        let (plain, secure) = try (port("/ws/"), port("/tls/ws/"))
        let wish: [String: [String]] = try [
            "sockets": ["ws://127.0.0.1:\(plain)/", "wss://127.0.0.1:\(secure)/"],
            "servers": ["stun:127.0.0.1:\(port("/webrtc-direct/"))"],
        ]
        let text = String(decoding: try JSONEncoder().encode(wish), as: UTF8.self)
        let outcome = try place.python("../Browsers/chromium.py", ["transports.html", text])
        #expect(outcome.status == 0, "\(outcome.errors)\(outcome.output)")
        let report = try outcome.object()
        #expect(report["sockets"] as? [Bool] == [true, true], "\(report)")
        #expect(report["servers"] as? [[String]] == [["127.0.0.1"]], "\(report)")
    }

    /// A page holds 300 connections, and then its browser is gone without a word: the node lets all
    /// of them go.
    @Test(
        "300 connections of a page come, and vanish",
        .enabled(if: ProcessInfo.processInfo.environment["WEFT_LONG"] != nil),
        .timeLimit(.minutes(10)))
    func vanishing() throws {
        let place = try Workplace()
        try place.isolate()
        let node = try RunningNode(place, "--listen", "/ip4/127.0.0.1/udp/0/webrtc-direct")
        defer { node.stop() }
        let address = try #require((node.announcement["listen"] as? [String])?.first)
        let outcome = try place.python(
            "../Browsers/chromium.py",
            ["webrtc-measure.html", "{\"node\": \"\(address)\", \"connections\": 300}"])
        #expect(outcome.status == 0, "\(outcome.errors)\(outcome.output)")
        #expect(try outcome.object()["connections"] as? Int == 300)
        let end = ContinuousClock.now + .seconds(240)
        var peers: Int?
        while peers != 0, ContinuousClock.now < end {
            peers = try place.weft("status", "--json").object()["peers"] as? Int
        }
        #expect(peers == 0)
    }
}
