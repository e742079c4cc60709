// Calls: what URL and headers become one, what is refused, and that each has one encoding.

import Compute
import IPLD
import Multiformats
import TestSupport
import Testing
import Wire

@Suite struct CallTests {
    @Test("a URL is taken apart, its path decoded once and its query left alone")
    func url() throws {
        let call = try Call(
            url: "weft://\(contract)/thumbnail/a%20b/%2525?width=200&x=%20#part", gas: 10)
        #expect(call.contract == contract)
        #expect(call.path == "/thumbnail/a b/%25")
        #expect(call.query == "width=200&x=%20")
        #expect(call.function == "thumbnail")
        #expect(call.method == "GET")
        #expect(call.url == "weft://\(contract)/thumbnail/a%20b/%2525?width=200&x=%20")
    }

    @Test("a URL without a path asks for the root; a body makes it a POST")
    func bareURL() throws {
        let call = try Call(url: "WEFT://\(contract)?q", body: .inline([1]), gas: 10)
        #expect(call.path == "/")
        #expect(call.function == "")
        #expect(call.query == "q")
        #expect(call.method == "POST")
    }

    @Test("both versions of a contract's CID are one contract")
    func versions() throws {
        let hash = Multihash.sha2_256(of: [1, 2, 3].rawSpan)
        let old = try #require(CID(v0: hash))
        let one = try Call(url: "weft://\(old)/run", gas: 10)
        let two = try Call(url: "weft://\(CID(.dagPB, hash))/run", gas: 10)
        #expect(one.cid == two.cid)
    }

    @Test(
        "what is no URL of a call is refused with the reason",
        arguments: [
            ("ipfs://\(contract)/a", CallFault.url), ("weft://", .url), ("weft://nothing/a", .url),
            ("weft:/\(contract)/a", .url), ("weft://\(contract)/%zz", .path),
            ("weft://\(contract)/%", .path), ("weft://\(contract)/%ff", .path),
            ("weft://\(contract)/%00", .nul), ("weft://\(contract)/a?b c", .query),
            ("weft://\(CID(.dagCBOR, contract.hash))/a", .contract),
            ("weft://\(contract)/" + String(repeating: "a", count: 4_096), .path),
            ("weft://\(contract)/?" + String(repeating: "a", count: 8_193), .query),
        ])
    func refusedURL(text: String, fault: CallFault) {
        #expect(throws: fault) { try Call(url: text, gas: 10) }
    }

    @Test("only the headers of the whitelist reach a contract, in lower case, sorted and trimmed")
    func headers() throws {
        var headers = CallHeaders()
        for (name, value) in [
            ("User-Agent", "browser"), ("Weft-Arg-B", " two "), ("Cookie", "secret"),
            ("Accept", "text/html"), ("Content-Type", "text/plain"), ("weft-arg-a", "1"),
            ("Weft-Dir", "bafy"), ("weft-arg-a", "2"), ("Weft-Gas", "777"),
        ] { try headers.append(name, value) }
        let call = try Call(contract, headers: headers, gas: 10)
        #expect(
            call.headers.fields.map { $0.name + ": " + $0.value } == [
                "accept: text/html", "content-type: text/plain", "weft-arg-a: 1, 2",
                "weft-arg-b: two", "weft-dir: bafy",
            ])
        #expect(call.gas == 777)
        #expect(call.header("weft-gas") == "777")
        #expect(call.header("cookie") == nil)
        #expect(
            call.headerNames == [
                "accept", "content-type", "weft-arg-a", "weft-arg-b", "weft-dir", "weft-gas",
            ])
        let other = try Call(contract, headers: call.headers, gas: 777)
        #expect(other.cid == call.cid, "what does not reach the contract changes nothing")
    }

    @Test(
        "headers that could break a line or hide in a log are refused",
        arguments: [
            ("accept", "a\r\nb"), ("accept", "a\u{0}"), ("accept", "\u{7f}"), ("", "a"),
            ("a b", "c"), ("ä", "c"), (String(repeating: "a", count: 65), "c"),
        ])
    func refusedHeader(name: String, value: String) {
        #expect(throws: CallFault.header) {
            var headers = CallHeaders()
            try headers.set(name, value)
        }
    }

    @Test("headers have a limit of number and size, and a refused one changes nothing")
    func headerLimits() throws {
        var headers = CallHeaders()
        for number in 0..<32 { try headers.set("weft-arg-\(number)", "x") }
        let full = headers
        #expect(throws: CallFault.headers) { try headers.set("weft-arg-32", "x") }
        #expect(throws: CallFault.headers) {
            try headers.set("weft-arg-1", String(repeating: "x", count: 8_192))
        }
        #expect(headers == full)
    }

    @Test(
        "gas is a number from 1 to 2^48, written in one way",
        arguments: ["0", "-1", "+5", "05", "1e3", "281474976710657", "18446744073709551616", ""])
    func refusedGas(text: String) throws {
        var headers = CallHeaders()
        try headers.set("weft-gas", text)
        let asked = headers
        #expect(throws: CallFault.gas) { try Call(contract, headers: asked, gas: 10) }
    }

    @Test("methods, bodies and gas have limits")
    func limits() throws {
        #expect(throws: CallFault.method) { try Call(contract, method: "get", gas: 1) }
        #expect(throws: CallFault.method) { try Call(contract, method: "", gas: 1) }
        #expect(throws: CallFault.gas) { try Call(contract, gas: 0) }
        let most = [UInt8](repeating: 7, count: CallLimits.maxInlineBytes)
        #expect(try Call(contract, body: .inline(most), gas: 1).encoded.count < 33_000)
        #expect(throws: CallFault.body) { try Call(contract, body: .inline(most + [1]), gas: 1) }
    }

    @Test("the identity of a known call does not change")
    func identity() throws {
        var headers = CallHeaders()
        try headers.set("accept", "*/*")
        let call = try Call(
            contract, method: "POST", path: "/count/é", query: "a=1", headers: headers,
            body: .inline([1, 2]), gas: 1_000_000, rules: 1)
        #expect(hex(call.encoded) == Self.known)
    }

    static let known =
        "a8636761731a000f424064626f64794201026470617468692f636f756e742fc3a965717565727963"
        + "613d316572756c657301666d6574686f6464504f5354676865616465727381826661636365707463"
        + "2a2f2a68636f6e7472616374d82a58250001551220cd5d4935a48c0672cb06407bb443bc0087aff9"
        + "47c6b864bac886982c73b3027f"

    @Test("each part of a call is part of its identity")
    func distinct() throws {
        var headers = CallHeaders()
        try headers.set("accept", "*/*")
        let calls = try [
            Call(contract, gas: 10), Call(file([9]), gas: 10), Call(contract, path: "/a", gas: 10),
            Call(contract, query: "a", gas: 10), Call(contract, headers: headers, gas: 10),
            Call(contract, body: .inline([1]), gas: 10), Call(contract, gas: 11),
            Call(contract, body: .content(file([1])), gas: 10), Call(contract, gas: 10, rules: 2),
            Call(contract, method: "PUT", gas: 10),
        ]
        #expect(Set(calls.map { $0.cid }).count == calls.count)
        #expect(Set(calls).count == calls.count)
    }

    @Test("a call survives its encoding, and noise never becomes another call with its bytes")
    func roundTrip() throws {
        var noise = Noise(seed: 1)
        for _ in 0..<400 {
            let call = try noise.call()
            let bytes = call.encoded
            #expect(try Call(decoding: bytes.rawSpan) == call)
            #expect(try CallURL(call.url).path == call.path)
            let changed = noise.mutation(of: bytes)
            if let other = try? Call(decoding: changed.rawSpan) {
                #expect(other.encoded == changed, "a call has one encoding")
            }
            let noisy = noise.bytes(upTo: 60)
            if let other = try? Call(decoding: noisy.rawSpan) { #expect(other.encoded == noisy) }
        }
    }

    @Test("what another encoder might write is refused: only one form is the call's")
    func notCanonical() throws {
        let call = try makeCall()
        guard case .map(let entries) = try DagCBOR.decode(call.encoded.rawSpan) else {
            Issue.record("a call is a map")
            return
        }
        func changed(_ key: String, _ value: Value?) throws -> [UInt8] {
            try DagCBOR.encode(
                .map(
                    entries.filter { $0.key != key }
                        + (value.map { [Value.Entry(key, $0)] } ?? [])))
        }
        let hash = Multihash.sha2_256(of: [1].rawSpan)
        let pair: (String, String) -> Value = { .list([.string($0), .string($1)]) }
        for (key, value) in [
            ("gas", nil), ("more", .integer(1)), ("gas", .string("1")), ("gas", .integer(0)),
            ("contract", .link(try #require(CID(v0: hash)))), ("path", .string("count")),
            ("path", .string("")), ("method", .string("get")), ("rules", .integer(1 << 32)),
            ("headers", .list([pair("Accept", "a")])), ("headers", .list([pair("cookie", "a")])),
            ("headers", .list([pair("weft-dir", "a"), pair("accept", "a")])),
            ("headers", .list([pair("accept", "a"), pair("accept", "a")])),
            ("headers", .list([pair("accept", " a")])), ("body", .null),
            ("headers", .list([pair("weft-gas", "5")])),
        ] as [(String, Value?)] {
            let bytes = try changed(key, value)
            #expect(throws: DecodeError.self, "\(key)") { try Call(decoding: bytes.rawSpan) }
        }
        let long = [UInt8](repeating: 0, count: CallLimits.maxCallBytes + 1)
        #expect(throws: DecodeError.self) { try Call(decoding: long.rawSpan) }
    }
}
