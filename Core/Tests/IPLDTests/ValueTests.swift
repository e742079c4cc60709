// Properties that hold for every value in every structured codec.

import IPLD
import Multiformats
import TestSupport
import Testing
import Wire

extension Noise {
    /// A random value that every codec but dag-pb and raw can carry.
    fileprivate mutating func value(depth: Int) -> Value {
        switch Int.random(in: 0..<(depth > 0 ? 9 : 7), using: &self) {
        case 0: return .null
        case 1: return .bool(.random(using: &self))
        case 2:
            let magnitude = Int128(next() >> UInt64.random(in: 0..<64, using: &self))
            return .integer(.random(using: &self) ? magnitude : -1 - magnitude)
        case 3: return .float(float())
        case 4: return .string(text())
        case 5: return .bytes(bytes(upTo: 40))
        case 6:
            let hash = Multihash.sha2_256(of: bytes(upTo: 9).rawSpan)
            return .link(.random(using: &self) ? CID(.raw, hash) : CID(v0: hash) ?? CID(.raw, hash))
        case 7:
            return .list(
                (0..<Int.random(in: 0...5, using: &self)).map { _ in value(depth: depth - 1) })
        default:
            var entries: [Value.Entry] = []
            for index in 0..<Int.random(in: 0...5, using: &self) {
                entries.append(Value.Entry(text() + "\(index)", value(depth: depth - 1)))
            }
            return .map(entries)
        }
    }

    private mutating func float() -> Double {
        while true {
            let number = Double(bitPattern: next())
            if number.isFinite, number != 0 { return number }
        }
    }

    private mutating func text() -> String {
        let scalars = (0..<Int.random(in: 0...20, using: &self)).map { _ in
            let range: ClosedRange<UInt32> = .random(using: &self) ? 0...0x7f : 0xe000...0x10ffff
            return Unicode.Scalar(.random(in: range, using: &self)) ?? "x"
        }
        return String(String.UnicodeScalarView(scalars))
    }
}

extension Bool {
    fileprivate static func random(using noise: inout Noise) -> Bool {
        noise.next() & 1 == 1
    }
}

@Suite struct ValuePropertyTests {
    @Test("a value survives dag-cbor, dag-json and back", arguments: 0..<200)
    func roundTrip(seed: UInt64) throws {
        var noise = Noise(seed: seed)
        let value = noise.value(depth: 5)
        let cbor = try DagCBOR.encode(value)
        let fromCBOR = try DagCBOR.decode(cbor.rawSpan)
        let json = try DagJSON.encode(value)
        let fromJSON = try DagJSON.decode(json.rawSpan)
        #expect(try DagCBOR.encode(fromJSON) == cbor)
        #expect(try DagJSON.encode(fromCBOR) == json)
        // Sorting is the only difference that encoding makes.
        #expect(try decode(DagCBOR.encode(fromCBOR), .dagCBOR) == fromCBOR)
        #expect(try decode(DagJSON.encode(fromJSON), .dagJSON) == fromJSON)
        let links = try DagCBOR.links(in: cbor.rawSpan)
        #expect(try Set(links) == Set(DagJSON.links(in: json.rawSpan)))
        expectNoTrap(on: json, seed: seed, rounds: 40) { bytes in
            guard let value = try? DagJSON.decode(bytes.rawSpan) else { return }
            // What can be read can be written and read again, unless it only looks like a link.
            guard let again = try? DagJSON.encode(value) else { return }
            #expect((try? decode(again, .dagJSON)).map { try? DagJSON.encode($0) } == again)
        }
    }

    @Test("depth is bounded in every decoder and encoder, and costs no call stack to refuse")
    func depth() throws {
        let limit = Value.maxDepth
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            for depth in [limit, limit + 1, 2_000_000] {
                let json =
                    String(repeating: open, count: depth) + "0"
                    + String(repeating: close, count: depth)
                let text = Array(json.utf8)
                if depth == limit {
                    let value = try DagJSON.decode(text.rawSpan)
                    #expect(try DagJSON.encode(value) == text)
                    let cbor = try DagCBOR.encode(value)
                    #expect(try DagCBOR.decode(cbor.rawSpan) == value)
                } else {
                    let error = #expect(throws: DecodeError.self) {
                        try DagJSON.decode(text.rawSpan)
                    }
                    #expect(error?.kind == .overLimit)
                }
            }
        }
        for (head, deep) in [([0x81], 2_000_000), ([0xa1, 0x61, 0x61], 600_000)] as [([UInt8], Int)]
        {
            let bytes = Array(repeatElement(head, count: deep).joined()) + [0]
            for codec in [Codec.dagCBOR, .cbor] {
                let error = #expect(throws: DecodeError.self) {
                    try IPLDCodec.decode(bytes.rawSpan, codec: codec)
                }
                #expect(error?.kind == .overLimit)
            }
            #expect(throws: DecodeError.self) { try DagCBOR.links(in: bytes.rawSpan) }
        }
        var value = Value.null
        for _ in 0...limit { value = .list([value]) }
        for codec in [Codec.dagCBOR, .dagJSON, .cbor, .json] {
            let error = #expect(throws: EncodeError.self) {
                try IPLDCodec.encode(value, codec: codec)
            }
            #expect(error?.kind == .tooDeep)
        }
    }

    @Test("what a codec has no form for is refused, not bent")
    func unrepresentable() {
        let cid = CID(.raw, Multihash.sha2_256(of: [UInt8]().rawSpan))
        let refused: [(Value, [Codec])] = [
            (.float(.nan), [.dagCBOR, .dagJSON, .cbor, .json]),
            (.float(-.infinity), [.dagCBOR, .dagJSON, .cbor, .json]),
            (.float(-0.0), [.dagCBOR]),
            (.integer(1 << 64), [.dagCBOR, .dagJSON, .cbor, .json]),
            (.integer(-1 << 64 - 1), [.dagCBOR, .dagJSON, .cbor, .json]),
            (.link(cid), [.cbor, .json, .raw, .dagPB]),
            (.bytes([]), [.json, .dagPB]),
            (.string(""), [.raw, .dagPB]),
            (
                .map([Value.Entry("a", .null), Value.Entry("b", .null), Value.Entry("a", .null)]),
                [.dagCBOR, .dagJSON, .cbor, .json]
            ),
            (.null, [.libp2pKey, .gitRaw]),
        ]
        for (value, codecs) in refused {
            for codec in codecs {
                #expect(throws: EncodeError.self) { try IPLDCodec.encode(value, codec: codec) }
            }
        }
    }

    @Test("links of codecs that are not known are not taken for none")
    func unknownCodec() {
        #expect(throws: DecodeError.self) {
            try IPLDCodec.links(in: [UInt8]().rawSpan, codec: .gitRaw)
        }
        #expect(throws: DecodeError.self) {
            try IPLDCodec.decode([UInt8]().rawSpan, codec: Codec(rawValue: 0xb19))
        }
    }
}
