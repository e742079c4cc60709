// Answering offers over real sockets: aiortc offers, and is connected with if it is who it said.

import Connections
import Foundation
import Multiformats
import NIOCore
import Testing

@testable import Transports

@Suite(.serialized) struct WebRTCCallTests {
    private struct Offered: Decodable {
        let offer: String
    }

    private struct Said: Decodable {
        let state: String
    }

    /// A peer that offers, and this side, which answers.
    private struct Meeting {
        let foreign: ForeignPeer
        let name: PeerID
        let admission: Admission
        let listener: Listener
        let call: WebRTCCall
        var peers: AsyncStream<PeerConnection>.Iterator
        let noMorePeers: () -> Void
        var steps: AsyncStream<WebRTCCall.Step>.Iterator
    }

    /// The offer names this certificate instead of its own, if there is one.
    private func meeting(fingerprint: String? = nil) async throws -> Meeting {
        let (peers, isThere) = AsyncStream.makeStream(of: PeerConnection.self)
        let (steps, isStep) = AsyncStream.makeStream(of: WebRTCCall.Step.self)
        let admission = Admission(limit: 8)
        let mine = try makeTransport([.noise]) { $0.admission = admission }
        let (listener, _) = try await listening(mine) { isThere.yield($0) }
        let foreign = try ForeignPeer([], script: "webrtc_offer.py")
        let offered = try JSONDecoder().decode(Offered.self, from: Data(foreign.line().utf8))
        var lines = offered.offer.components(separatedBy: "\r\n")
        if let fingerprint {
            lines = lines.map {
                $0.hasPrefix("a=fingerprint:sha-256") ? "a=fingerprint:sha-256 " + fingerprint : $0
            }
        }
        let name = PeerID(PrivateKey.generateEd25519().publicKey)
        let call = try mine.answer(
            WebRTCOffer(
                peer: name, description: Array(lines.joined(separator: "\r\n").utf8),
                addresses: [listener.address], servers: [listener.address])
        ) { _ in
            true
        } tell: {
            isStep.yield($0)
        }
        return Meeting(
            foreign: foreign, name: name, admission: admission, listener: listener, call: call,
            peers: peers.makeAsyncIterator(), noMorePeers: { isThere.finish() },
            steps: steps.makeAsyncIterator())
    }

    private func answer(_ step: WebRTCCall.Step?, to foreign: ForeignPeer) throws {
        guard case .answer(let text)? = step else { throw Unanswered() }
        let line = ["answer": String(decoding: text, as: UTF8.self)]
        foreign.say(String(decoding: try JSONEncoder().encode(line), as: UTF8.self))
    }

    private func said(by foreign: ForeignPeer) throws -> Said {
        try JSONDecoder().decode(Said.self, from: Data(foreign.line().utf8))
    }

    private struct Unanswered: Error {}

    @Test("who offers is connected with, under the name that is known", .timeLimit(.minutes(10)))
    func connected() async throws {
        var meeting = try await meeting()
        let foreign = meeting.foreign
        defer { foreign.stop() }
        try answer(await meeting.steps.next(), to: foreign)
        // A STUN server, which is this listener itself, says where the socket is seen.
        guard case .candidate(let text)? = await meeting.steps.next() else { throw Unanswered() }
        #expect(String(decoding: text, as: UTF8.self).contains("typ srflx"))
        let peer = try #require(await meeting.peers.next())
        #expect(peer.peer == meeting.name && peer.isWebRTC)
        #expect(try said(by: foreign).state == "connected")
        peer.close()
        _ = try await peer.ended.get()
        try await meeting.listener.close()
    }

    @Test("who shows another certificate than it said is not", .timeLimit(.minutes(10)))
    func impostor() async throws {
        let other = Array(repeating: "AB", count: 32).joined(separator: ":")
        var meeting = try await meeting(fingerprint: other)
        let foreign = meeting.foreign
        defer { foreign.stop() }
        try answer(await meeting.steps.next(), to: foreign)
        // Its own end is up for a moment: then this side sees the certificate.
        #expect(try said(by: foreign).state == "connected")
        var last: WebRTCCall.Step?
        while let step = await meeting.steps.next() {
            last = step
            if case .failed = step { break }
        }
        guard case .failed? = last else { throw Unanswered() }
        while meeting.admission.counts.open > 0 { try await Task.sleep(for: .milliseconds(10)) }
        meeting.noMorePeers()
        #expect(await meeting.peers.next() == nil)
        try await meeting.listener.close()
    }

    @Test("what is no offer is refused at once") func nonsense() async throws {
        let mine = try makeTransport([.noise])
        #expect(throws: (any Error).self) {
            try mine.answer(
                WebRTCOffer(
                    peer: mine.peer, description: Array("v=0".utf8), addresses: [], servers: [])
            ) { _ in
                true
            } tell: { _ in
            }
        }
    }
}
