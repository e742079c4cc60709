// Who is let in by checks, where peers are, and how little strangers cost.

import TestSupport
import Testing
import Wire

@testable import Connections

/// A dialer with one password, and what it sends.
private struct Dialer {
    let ours: [UInt8]
    var version = 2

    init(_ name: String) {
        ours = Array(("libp2p+webrtc+v2/" + name + String(repeating: "x", count: 22)).utf8)
    }

    func check(isNomination: Bool = false, key: [UInt8]? = nil) -> [UInt8] {
        var writer = STUNWriter(.request, transaction: [UInt8](repeating: 3, count: 12))
        writer.add(username: ours + Array(":ufrg".utf8))
        writer.add(priority: 1, isNomination: isNomination)
        return writer.finish(key: key ?? ours)
    }
}

private func place(_ host: UInt8, _ port: UInt16 = 4000) -> UDPAddress {
    UDPAddress(ip: [10, 0, 0, host].rawSpan, port: port) ?? place(host, port)
}

/// An expectation about what changes as it is looked at.
private func holds(_ isTrue: Bool, sourceLocation: SourceLocation = #_sourceLocation) {
    #expect(isTrue, sourceLocation: sourceLocation)
}

private func need<Value>(
    _ value: Value?, sourceLocation: SourceLocation = #_sourceLocation
) throws -> Value {
    try #require(value, sourceLocation: sourceLocation)
}

private let start = Instant(nanoseconds: 1_000_000_000)

extension ICEResponder {
    /// The peer of a check that is answered.
    fileprivate mutating func checked(
        _ message: [UInt8], from source: UDPAddress, now: Instant = start
    ) -> UInt64? {
        guard case .checked(let peer, _) = receive(message.rawSpan, from: source, now: now) else {
            return nil
        }
        return peer
    }
}

@Suite struct ICEResponderTests {
    @Test("a valid check makes a peer, and its answer is signed and says where it came from")
    func valid() throws {
        var responder = ICEResponder(now: start)
        let dialer = Dialer("a")
        let outcome = responder.receive(dialer.check().rawSpan, from: place(1), now: start)
        guard case .checked(let peer, let answer) = outcome else {
            Issue.record("the check was not answered")
            return
        }
        let read = try STUNMessage(decoding: answer.rawSpan)
        holds(read.kind == .success && read.mappedAddress == place(1))
        holds(read.transaction == [UInt8](repeating: 3, count: 12))
        holds(read.isAuthentic(answer, key: dialer.ours))
        holds(responder.peer(at: place(1)) == peer && responder.address(of: peer) == place(1))
        holds(responder.count == 1 && responder.checkedCount == 1)
        // The same again is the same peer.
        let again = responder.checked(dialer.check(), from: place(1))
        holds(again == peer && responder.count == 1)
    }

    @Test("nothing is kept of a check with the wrong key, of noise, or of an answer")
    func invalid() {
        var responder = ICEResponder(now: start)
        let dialer = Dialer("a")
        var answer = STUNWriter(.success, transaction: [UInt8](repeating: 3, count: 12))
        answer.add(username: dialer.ours + Array(":ufrg".utf8))
        for message in [
            dialer.check(key: Array("wrong".utf8)), Array(dialer.check().dropLast()), [0], [],
            answer.finish(key: dialer.ours),
        ] {
            guard case .ignored = responder.receive(message.rawSpan, from: place(1), now: start)
            else {
                Issue.record("an invalid message was answered")
                return
            }
        }
        holds(responder.count == 0 && responder.deadline == nil)
    }

    @Test("whoever asks without a name hears where it is seen, and leaves no trace")
    func server() throws {
        var responder = ICEResponder(now: start)
        let question = STUNWriter(.request, transaction: [UInt8](repeating: 9, count: 12))
            .finish(key: nil)
        let outcome = responder.receive(question.rawSpan, from: place(8, 77), now: start)
        guard case .answered(let answer) = outcome else {
            Issue.record("the question was not answered")
            return
        }
        let read = try STUNMessage(decoding: answer.rawSpan)
        holds(read.mappedAddress == place(8, 77))
        holds(responder.count == 0)
        holds(answer.count <= 2 * question.count)
    }

    @Test("a peer with which that was agreed is known by its checks, and by nothing else")
    func agreed() throws {
        var limits = ICELimits()
        limits.burst = 0
        var responder = ICEResponder(limits, now: start)
        let offer = try SessionOffer(
            decoding: Array(
                """
                m=application 9 UDP/DTLS/SCTP webrtc-datachannel
                a=ice-ufrag:them
                a=ice-pwd:pppppppppppppppppppppp
                a=fingerprint:sha-256 \(repeatElement("00", count: 32).joined(separator: ":"))
                """.utf8))
        let agreement = ICEAgreement(answering: offer, random: (0..<40).map { UInt8($0 * 5) })
        let peer = try need(responder.expect(agreement, now: start))
        holds(responder.expect(agreement, now: start) == nil)
        holds(responder.address(of: peer) == nil && responder.checkedCount == 0)
        func check(_ password: [UInt8], _ name: [UInt8]) -> [UInt8] {
            var writer = STUNWriter(.request, transaction: [UInt8](repeating: 3, count: 12))
            writer.add(username: name + Array(":them".utf8))
            return writer.finish(key: password)
        }
        holds(responder.checked(check(offer.password, agreement.name), from: place(1)) == nil)
        holds(responder.checked(check(agreement.password, [1, 2, 3, 4]), from: place(1)) == nil)
        // Whoever is expected is no stranger, of whom none is answered here.
        let good = check(agreement.password, agreement.name)
        holds(responder.checked(good, from: place(1)) == peer)
        holds(responder.checked(good, from: place(2)) == peer)
        holds(responder.address(of: peer) == place(1) && responder.peer(at: place(2)) == peer)
        holds(responder.begin(peer) && responder.halfOpenCount == 1)
        holds(responder.takeLost(now: start + limits.agreement) == [peer])
        holds(responder.count == 0 && responder.halfOpenCount == 0)
        holds(responder.peer(at: place(2)) == nil)
        // Our own check carries the names the other way around, and the peer's password.
        let ours = agreement.check(transaction: [UInt8](repeating: 7, count: 12))
        let read = try STUNMessage(decoding: ours.rawSpan)
        holds(read.username == Array("them:".utf8) + agreement.name && !read.isUnclear)
        holds(read.isAuthentic(ours, key: offer.password))
    }

    @Test("a server's answer tells where this side is seen") func seen() throws {
        var responder = ICEResponder(now: start)
        let transaction = [UInt8](repeating: 9, count: 12)
        var answer = STUNWriter(.success, transaction: transaction)
        answer.add(mapped: place(8, 77))
        let outcome = responder.receive(
            answer.finish(key: nil).rawSpan, from: place(1), now: start)
        guard case .seen(let address, let echo) = outcome else {
            Issue.record("the answer was not understood")
            return
        }
        holds(address == place(8, 77) && echo == transaction)
    }

    @Test("a peer is followed to where it nominates, and nobody takes its place")
    func moving() throws {
        var responder = ICEResponder(now: start)
        let (one, two) = (Dialer("a"), Dialer("b"))
        let peer = try need(responder.checked(one.check(), from: place(1)))
        holds(responder.checked(one.check(), from: place(2)) == peer)
        holds(responder.address(of: peer) == place(1) && responder.peer(at: place(2)) == peer)
        holds(responder.checked(one.check(isNomination: true), from: place(2)) == peer)
        holds(responder.address(of: peer) == place(2))
        holds(responder.checked(two.check(), from: place(2)) == nil)
        responder.select(place(1), of: peer)
        holds(responder.address(of: peer) == place(1))
        responder.select(place(77), of: peer)
        holds(responder.address(of: peer) == place(1))
        responder.select(place(2), of: peer)
        for host in 3...40 {
            holds(responder.checked(one.check(), from: place(UInt8(host))) == peer)
        }
        // It can only be at so many, where it nominated is one of them, and then nowhere.
        holds(responder.peer(at: place(2)) == peer && responder.peer(at: place(5)) == nil)
        responder.remove(peer)
        for host in 1...40 { holds(responder.peer(at: place(UInt8(host))) == nil) }
        holds(responder.count == 0 && responder.checkedCount == 0)
    }

    @Test("so many handshakes are under way at most; each that ends makes room for another")
    func halfOpen() throws {
        var limits = ICELimits()
        (limits.halfOpen, limits.crowd, limits.burst) = (2, 1, 1_000)
        var responder = ICEResponder(limits, now: start)
        let all = try (1...4).map {
            try need(responder.checked(Dialer("\($0)").check(), from: place(UInt8($0))))
        }
        holds(!responder.isCrowded)
        for peer in all.prefix(2) { holds(responder.begin(peer)) }
        holds(responder.isCrowded && !responder.begin(all[2]))
        // It has begun already.
        holds(!responder.begin(all[0]) && responder.halfOpenCount == 2)
        responder.open(all[0])
        responder.open(all[0])
        holds(responder.halfOpenCount == 1 && responder.begin(all[2]))
        holds(!responder.begin(all[3]))
        responder.remove(all[1])
        holds(responder.begin(all[3]) && responder.checkedCount == 0)
    }

    /// Of 128 silent handshakes of one host the oldest made others try twice.
    @Test("the network with the most handshakes under way makes room for others, not for itself")
    func halfOpenByNetwork() throws {
        var limits = ICELimits()
        (limits.halfOpen, limits.burst) = (4, 1_000)
        var responder = ICEResponder(limits, now: start)
        func dial(_ name: String, from source: UDPAddress) throws -> UInt64 {
            try need(responder.checked(Dialer(name).check(), from: source))
        }
        let flood = try (1...3).map { try dial("f\($0)", from: place(1, UInt16($0))) }
        let guest = try dial("guest", from: place(2))
        for peer in flood + [guest] {
            holds(responder.inTheWay(of: peer) == nil && responder.begin(peer))
        }
        let more = try dial("more", from: place(1, 9))
        holds(responder.inTheWay(of: more) == nil && !responder.begin(more))
        let late = try dial("late", from: place(3))
        holds(responder.inTheWay(of: late) == flood[0])
        responder.end(flood[0], now: start)
        holds(responder.inTheWay(of: late) == nil && responder.begin(late))
        // Two are not more than one who comes would have.
        let second = try dial("second", from: place(2, 9))
        holds(responder.inTheWay(of: second) == nil && !responder.begin(second))
    }

    /// A school has one address; so has who takes all handshakes that there may be.
    @Test("64 pages behind one address begin at once, beside a host that floods")
    func school() throws {
        var responder = ICEResponder(now: start)
        let limits = ICELimits()
        // Of the flood no more than 64 are answered at once.
        let now = start + .seconds(2)
        for number in 0..<limits.halfOpen {
            let check = Dialer("f\(number)").check()
            let time = number < limits.burst ? start : now
            let source = place(1, UInt16(number + 1))
            holds(responder.begin(try need(responder.checked(check, from: source, now: time))))
        }
        var pages: [UInt64] = []
        for number in 0..<64 {
            let source = place(2, UInt16(number + 1))
            let check = Dialer("p\(number)").check()
            let page = try need(responder.checked(check, from: source, now: now))
            if let other = responder.inTheWay(of: page) { responder.end(other, now: now) }
            if responder.begin(page) { pages.append(page) }
        }
        // The two share what there is, and each that ends leaves its place.
        holds(pages.count >= 63 && responder.halfOpenCount == limits.halfOpen)
        for page in pages { responder.open(page) }
        holds(responder.halfOpenCount <= limits.halfOpen - 63)
    }

    /// So that the other end of an association of before notices that it is over: what it asks
    /// carries its own key, as if it began one.
    @Test("checks that come to nothing are answered no more for a while, and others at once")
    func dead() throws {
        var limits = ICELimits()
        limits.dead = 2
        var responder = ICEResponder(limits, now: start)
        let old = Dialer("old")
        let peer = try need(responder.checked(old.check(), from: place(1)))
        holds(responder.isNew(peer))
        holds(responder.takeLost(now: start + limits.handshake).isEmpty && responder.count == 0)
        let then = start + limits.handshake
        holds(responder.checked(old.check(), from: place(1), now: then) == nil)
        holds(responder.checked(old.check(), from: place(2), now: then) == nil)
        // Who dials anew from there has another name.
        let new = try need(responder.checked(Dialer("new").check(), from: place(1), now: then))
        holds(responder.begin(new) && !responder.isNew(new))
        responder.end(new, now: then)
        holds(responder.checked(Dialer("new").check(), from: place(1), now: then) == nil)
        let end = then + limits.death
        let again = try need(responder.checked(old.check(), from: place(1), now: end))
        // One that had to make room has not come to nothing.
        responder.remove(again)
        holds(responder.checked(old.check(), from: place(1), now: end) != nil)
        // Only so many are remembered.
        for name in ["a", "b", "c"] {
            let peer = try need(responder.checked(Dialer(name).check(), from: place(9), now: end))
            responder.end(peer, now: end)
        }
        holds(responder.checked(Dialer("c").check(), from: place(9), now: end) == nil)
        holds(responder.checked(Dialer("a").check(), from: place(9), now: end) != nil)
    }

    @Test("there are so many peers at most") func many() throws {
        var limits = ICELimits()
        limits.peers = 1
        var responder = ICEResponder(limits, now: start)
        let first = try need(responder.checked(Dialer("a").check(), from: place(1)))
        let second = try need(responder.checked(Dialer("b").check(), from: place(2)))
        holds(responder.begin(first))
        responder.open(first)
        holds(!responder.begin(second))
        responder.remove(first)
        holds(responder.begin(second))
    }

    /// Strangers with made-up addresses do checks and no more: what they take does not grow, and
    /// whoever goes on at once gets in among them.
    @Test("a flood of checks keeps nobody out") func flood() throws {
        var limits = ICELimits()
        (limits.checked, limits.peers) = (8, 4)
        var responder = ICEResponder(limits, now: start)
        let guest = try need(responder.checked(Dialer("guest").check(), from: place(250)))
        holds(responder.begin(guest))
        for number in 0..<2_000 {
            let now = start + .milliseconds(number)
            let source = place(UInt8(number % 200), UInt16(number + 1))
            _ = responder.checked(Dialer("f\(number)").check(), from: source, now: now)
            holds(responder.count <= 9)
            guard number.isMultiple(of: 100) else { continue }
            let late = try need(
                responder.checked(Dialer("g\(number)").check(), from: place(251), now: now))
            holds(responder.begin(late))
            responder.remove(late)
        }
        holds(responder.peer(at: place(250)) == guest)
        // What is left of it goes in time.
        responder.open(guest)
        holds(responder.takeLost(now: start + .seconds(12)).isEmpty && responder.count == 1)
    }

    @Test("one source may ask so often; what it has already is answered further")
    func rate() throws {
        var limits = ICELimits()
        (limits.burst, limits.rate) = (3, 2)
        var responder = ICEResponder(limits, now: start)
        for (index, name) in ["a", "b", "c"].enumerated() {
            holds(responder.checked(Dialer(name).check(), from: place(1, UInt16(index))) != nil)
        }
        holds(responder.checked(Dialer("d").check(), from: place(1, 50)) == nil)
        let question = STUNWriter(.request, transaction: [UInt8](repeating: 9, count: 12))
            .finish(key: nil)
        guard case .ignored = responder.receive(question.rawSpan, from: place(1, 60), now: start)
        else {
            Issue.record("the question was answered")
            return
        }
        holds(responder.checked(Dialer("a").check(), from: place(1, 0)) != nil)
        let later = start + .milliseconds(600)
        holds(responder.checked(Dialer("d").check(), from: place(1, 50), now: later) != nil)
        holds(responder.checked(Dialer("e").check(), from: place(1, 51), now: later) == nil)
        let muchLater = start + .seconds(3_600)
        for name in ["e", "f", "g"] {
            let port = UInt16(100 + name.utf8.reduce(0) { $0 + Int($1) })
            holds(
                responder.checked(Dialer(name).check(), from: place(1, port), now: muchLater)
                    != nil)
        }
        holds(
            responder.checked(Dialer("h").check(), from: place(1, 55), now: muchLater) == nil)
    }

    @Test("a peer is lost when its handshake takes too long, and when it goes silent")
    func silence() throws {
        var responder = ICEResponder(now: start)
        let slow = try need(responder.checked(Dialer("a").check(), from: place(1)))
        let silent = try need(responder.checked(Dialer("b").check(), from: place(2)))
        holds(responder.begin(slow) && responder.begin(silent))
        responder.open(silent)
        holds(responder.takeLost(now: start + .milliseconds(9_999)).isEmpty)
        holds(responder.takeLost(now: start + .seconds(10)) == [slow])
        holds(
            responder.checked(Dialer("b").check(), from: place(2), now: start + .seconds(20))
                == silent)
        holds(responder.takeLost(now: start + .seconds(49)).isEmpty)
        holds(responder.takeLost(now: start + .seconds(50)) == [silent])
        holds(responder.count == 0 && responder.deadline == nil)
    }

    @Test("a flood of spoofed checks stays within the limits")
    func spoofed() {
        var generator = SeededGenerator(seed: 5)
        var responder = ICEResponder(now: start)
        for index in 0..<5_000 {
            let ip = generator.bytes(index.isMultiple(of: 2) ? 4 : 16)
            guard let source = UDPAddress(ip: ip.rawSpan, port: UInt16(index)) else { continue }
            _ = responder.checked(Dialer("\(index)").check(), from: source)
        }
        holds(responder.count == 1_024 && responder.checkedCount == 1_024)
        holds(responder.takeLost(now: start + .seconds(11)).isEmpty)
        holds(responder.count == 0 && responder.deadline == nil)
    }
}
