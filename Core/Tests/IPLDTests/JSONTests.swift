// JSON and dag-json: grammar, numbers, strings and the reserved forms.

import IPLD
import Multiformats
import TestSupport
import Testing
import Wire

private let cid = "bafkreifw7plhl6mofk6sfvhnfh64qmkq73oeqwl6sloru6rehaoujituke"

private func decode(_ text: String) throws(DecodeError) -> Value {
    let bytes = Array(text.utf8)
    return try DagJSON.decode(bytes.rawSpan)
}

private func encode(_ value: Value) throws -> String {
    String(decoding: try DagJSON.encode(value), as: UTF8.self)
}

@Suite struct JSONGrammarTests {
    @Test(
        "texts that are no JSON are refused",
        arguments: [
            "", " ", "[", "]", "{", "}", "[1,]", "[,1]", "[1 2]", "{\"a\"}", "{\"a\":}",
            "{\"a\":1,}", "{,}", "{a:1}", "{1:1}", "{\"a\" 1}", "[1}", "{\"a\":1]", "nul", "nulls",
            "True", "tru", "'a'", "\"a", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\\udc00\"",
            "\"\\ud800\\u0041\"", "\"\\ud800a\"", "\"\u{1}\"", "\"\n\"", "1 2", "[] []", "01", "-",
            "+1", ".5", "1.", "1.e1", "1e", "1e+", "0x1", "NaN", "Infinity", "-Infinity", "--1",
            "\u{feff}1", "1//", "/* */1", "[1]]", "1e400", "-1e999999999999",
            "18446744073709551616", "-18446744073709551617", "123456789012345678901234567890",
            "{\"a\":1,\"a\":2}", "{\"b\":1,\"a\":1,\"\\u0062\":2}", "{\"a\":{\"b\":1,\"b\":1}}",
        ])
    func refused(text: String) {
        #expect(throws: DecodeError.self) { try decode(text) }
        #expect(throws: DecodeError.self) { try JSON.decode(Array(text.utf8).rawSpan) }
    }

    @Test(
        "bytes that are not UTF-8 are refused",
        arguments: [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80]])
    func notUTF8(bytes: [UInt8]) {
        let text = [UInt8(ascii: "\"")] + bytes + [UInt8(ascii: "\"")]
        #expect(throws: DecodeError.self) { try DagJSON.decode(text.rawSpan) }
    }

    @Test(
        "reading is lenient in form, writing is not",
        arguments: [
            (" [ 1 , 2 ] \n", "[1,2]"),
            ("{\"b\":1,\"a\":{\"d\":1,\"c\":2}}", "{\"a\":{\"c\":2,\"d\":1},\"b\":1}"),
            ("\"\\u0041\\/\\b\\f\\n\\r\\t\\\"\\\\\"", "\"A/\\b\\f\\n\\r\\t\\\"\\\\\""),
            ("\"\\ud83c\\udf64\\u001f\\u007f\"", "\"🍤\\u001f\u{7f}\""),
            ("-0", "0"), ("1E2", "100.0"), ("1.50", "1.5"), ("-0.0", "-0.0"), ("1e-400", "0.0"),
            ("18446744073709551615", "18446744073709551615"),
            ("-18446744073709551616", "-18446744073709551616"),
            ("[]", "[]"), ("{}", "{}"), ("[{},[]]", "[{},[]]"), ("\"\"", "\"\""),
        ])
    func lenient(text: String, canonical: String) throws {
        #expect(try encode(decode(text)) == canonical)
    }
}

@Suite struct JSONNumberTests {
    @Test(
        "floats are written as ECMAScript writes them, and keep their point",
        arguments: [
            (1.0, "1.0"), (0.1, "0.1"), (100, "100.0"), (1e20, "100000000000000000000.0"),
            (1e21, "1e+21"), (1.5e300, "1.5e+300"), (123_456_789.125, "123456789.125"),
            (1e-6, "0.000001"), (1.25e-6, "0.00000125"), (1e-7, "1e-7"),
            (.leastNonzeroMagnitude, "5e-324"),
            (.greatestFiniteMagnitude, "1.7976931348623157e+308"), (-2.5, "-2.5"), (0, "0.0"),
            (9_007_199_254_740_992, "9007199254740992.0"), (1e16, "10000000000000000.0"),
        ])
    func written(number: Double, text: String) throws {
        #expect(try encode(.float(number)) == text)
        #expect(try decode(text) == .float(number))
    }

    @Test(
        "decimals are read to the nearest double, ties to even",
        arguments: [
            "9007199254740993.0", "9007199254740992.5", "9007199254740993.00000000000000000001",
            "2.2250738585072011e-308", "2.2250738585072014e-308", "4.9e-324",
            "2.4703282292062327e-324",
            "2.4703282292062328e-324", "2.47e-324", "1.7976931348623158e308", "0.1e1", "0.000e5",
            "179769313486231580793e288", "8.41", "6.02214076e23", "1e23", "8.5e22", "1e-5",
            "1.00000000000000011102230246251565404236316680908203125",
            "1.00000000000000011102230246251565404236316680908203124",
            "1.00000000000000011102230246251565404236316680908203126",
            "0.00000000000000000000000000000000000000000000001e46", "12345678901234567890.0e-10",
        ])
    func read(text: String) throws {
        #expect(
            try decode(text.contains(where: { ".e".contains($0) }) ? text : text + ".0")
                == .float(try #require(Double(text))))
    }

    @Test("reading agrees with the standard library on random digits", arguments: 0..<20)
    func agrees(seed: UInt64) throws {
        var noise = Noise(seed: seed)
        for _ in 0..<200 {
            let length = Int.random(in: 1...30, using: &noise)
            let digits = (0..<length).map { _ in "\(Int.random(in: 0...9, using: &noise))" }
            let exponent = Int.random(in: -340...280, using: &noise)
            let text = "\(Int.random(in: 1...9, using: &noise)).\(digits.joined())e\(exponent)"
            #expect(try decode(text) == .float(try #require(Double(text))))
            let number = Double(bitPattern: noise.next())
            guard number.isFinite else { continue }
            #expect(try decode(encode(.float(number))) == .float(number))
        }
    }

    @Test("a float of a million digits is read in linear time and to the last bit")
    func longNumber() throws {
        let zeros = String(repeating: "0", count: 1_000_000)
        #expect(try decode("0.\(zeros)1e1000001") == .float(1))
        #expect(try decode("1\(zeros).0e-1000000") == .float(1))
        #expect(try decode("9007199254740993.\(zeros)1") == .float(9_007_199_254_740_994))
        #expect(try decode("9007199254740993.\(zeros)") == .float(9_007_199_254_740_992))
    }
}

@Suite struct DagJSONReservedTests {
    @Test(
        "links and bytes have one form",
        arguments: [
            "{\"/\":\"\(cid)\"}", "{\"/\":\"QmQg1v4o9xdT3Q14wh4S7dxZkDjyZ9ssFzFzyep1YrVJBY\"}",
            "{\"/\":{\"bytes\":\"\"}}", "{\"/\":{\"bytes\":\"AQID\"}}",
            "{\"/\":{\"bytes\":\"AQ\"}}",
        ])
    func oneForm(text: String) throws {
        let value = try decode(text)
        switch value {
        case .link, .bytes: break
        default: Issue.record("read as \(value)")
        }
        #expect(try encode(value) == text)
    }

    @Test(
        "what misuses the reserved forms is refused",
        arguments: [
            "{\"/\":\"\(cid)\",\"a\":1}", "{\"/\":\"foo\"}", "{\"/\":\"\"}",
            "{\"/\":\"foo\",\"bar\":1}",
            "{\"/\":\"zb2rhe5P4gXftAwvA4eXQ5HJwsER2owDyS9sKaQRRVQPn93bA\"}",
            "{\"/\":{\"bytes\":\"AQID\",\"a\":1}}", "{\"/\":{\"bytes\":\"AQID\"},\"a\":1}",
            "{\"/\":{\"bytes\":\"AQ==\"}}", "{\"/\":{\"bytes\":\"A\"}}",
            "{\"/\":{\"bytes\":\"_-\"}}",
            "{\"/\":{\"bytes\":\"AR\"}}", "{\"/\":{\"bytes\":\" AQ\"}}",
        ])
    func misused(text: String) {
        #expect(throws: DecodeError.self) { try decode(text) }
    }

    @Test(
        "maps that only resemble the reserved forms are maps",
        arguments: [
            "{\"/\":true}", "{\"/\":{}}", "{\"/\":{\"bytes\":1}}", "{\"/\":[\"\(cid)\"]}",
            "{\"/\":true,\"bar\":\"baz\"}", "{\"+\":\"baz\",\"/\":\"foo\"}",
            "{\"/\":{\"abar\":\"baz\",\"bytes\":\"foo\"}}",
            "{\"/\":{\"bytes\":true},\"bar\":\"baz\"}",
            "{\"+\":\"baz\",\"/\":{\"bytes\":\"foo\"}}",
        ])
    func ordinary(text: String) throws {
        guard case .map = try decode(text) else {
            Issue.record("not read as a map")
            return
        }
        #expect(try encode(decode(text)) == text)
    }

    @Test("a map that would be read as a link or bytes is not written")
    func notWritten() {
        let values: [Value] = [
            .map([Value.Entry("/", .string("foo"))]),
            .map([Value.Entry("a", .null), Value.Entry("/", .string(cid))]),
            .map([Value.Entry("/", .map([Value.Entry("bytes", .string("AQ"))]))]),
            .map([
                Value.Entry(
                    "/", .map([Value.Entry("z", .null), Value.Entry("bytes", .string("AQ"))]))
            ]),
        ]
        for value in values {
            #expect(throws: EncodeError.self) { try DagJSON.encode(value) }
        }
    }

    @Test func plainJSONKnowsNoReservedForms() throws {
        let text = Array("{\"b\":{\"/\":\"\(cid)\"},\"/\":{\"bytes\":\"AQ\",\"a\":1}}".utf8)
        let value = try JSON.decode(text.rawSpan)
        #expect(try JSON.encode(value) == text)
        #expect(try IPLDCodec.links(in: text.rawSpan, codec: .json).isEmpty)
    }
}
