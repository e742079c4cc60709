// The vectors of ipld/codec-fixtures and hyphacoop/dasl-testing.

import Foundation
import IPLD
import Multiformats
import TestSupport
import Testing
import Wire

/// One value in all the codecs that can carry it.
struct CodecFixture: CustomTestStringConvertible, Sendable {
    struct Block: Sendable {
        let codec: Codec
        let cid: CID
        let bytes: [UInt8]
    }

    let name: String
    let blocks: [Block]

    var testDescription: String { name }

    static let all: [CodecFixture] = [
        "codec-fixtures.json", "codec-fixtures-garbage-1.json", "codec-fixtures-garbage-2.json",
    ].flatMap { Vectors.objects("codecs/" + $0) }.compactMap { object in
        guard let name = object["name"] as? String,
            let blocks = object["blocks"] as? [String: [String: String]]
        else { return nil }
        return CodecFixture(
            name: name,
            blocks: blocks.sorted { $0.key < $1.key }.compactMap { codec, block in
                guard let codec = Codec(name: codec), let text = block["cid"],
                    let cid = try? CID(text: text), let base64 = block["base64"],
                    let bytes = try? Multibase.base64.decodeBody(base64)
                else { return nil }
                return Block(codec: codec, cid: cid, bytes: bytes)
            })
    }
}

@Suite struct CodecFixtureTests {
    @Test func theFixturesAreAllThere() {
        #expect(CodecFixture.all.count == 128)
        #expect(CodecFixture.all.reduce(0) { $0 + $1.blocks.count } == 273)
    }

    @Test("every codec turns into every other, byte for byte", arguments: CodecFixture.all)
    func crossCodec(fixture: CodecFixture) throws {
        for source in fixture.blocks {
            let named = EncodedBlock(source.bytes, codec: source.codec)
            #expect(named.cid == source.cid)
            let value = try IPLDCodec.decode(source.bytes.rawSpan, codec: source.codec)
            for target in fixture.blocks {
                let bytes = try IPLDCodec.encode(value, codec: target.codec)
                #expect(bytes == target.bytes)
                #expect(EncodedBlock(bytes, codec: target.codec).cid == target.cid)
            }
        }
    }

    @Test("all codecs of a value name the same links", arguments: CodecFixture.all)
    func links(fixture: CodecFixture) throws {
        let links = try fixture.blocks.map {
            Set(try IPLDCodec.links(in: $0.bytes.rawSpan, codec: $0.codec))
        }
        for other in links { #expect(other == links[0]) }
        if fixture.name.hasPrefix("cid-Qm") { #expect(links[0].count == 1) }
    }

    @Test("no truncation, mutation or noise traps a decoder", arguments: CodecFixture.all)
    func noise(fixture: CodecFixture) {
        for (index, block) in fixture.blocks.enumerated() {
            expectNoTrap(on: block.bytes, seed: UInt64(index), rounds: 100) { bytes in
                for codec in [Codec.dagPB, .dagCBOR, .dagJSON, .cbor, .json] {
                    let value = try? IPLDCodec.decode(bytes.rawSpan, codec: codec)
                    let links = try? IPLDCodec.links(in: bytes.rawSpan, codec: codec)
                    if codec == .dagCBOR, let value {
                        // What the strict decoder takes has one form.
                        #expect((try? DagCBOR.encode(value)) == bytes)
                        #expect(links != nil)
                    }
                }
            }
        }
    }

    @Test("what ends too early is refused", arguments: CodecFixture.all)
    func truncation(fixture: CodecFixture) {
        for block in fixture.blocks where block.codec == .dagCBOR {
            for length in stride(
                from: 0, to: block.bytes.count, by: max(1, block.bytes.count / 300))
            {
                #expect(throws: DecodeError.self) {
                    try DagCBOR.decode(Array(block.bytes.prefix(length)).rawSpan)
                }
            }
        }
    }
}

/// A form that must be refused, by name.
struct NegativeFixture: CustomTestStringConvertible, Sendable {
    let name: String
    let codec: Codec
    /// The block to refuse, or the value in dag-json to refuse to encode.
    let block: [UInt8]
    let isEncoding: Bool

    var testDescription: String { "\(codec.name ?? "") \(name)" }

    static let all: [NegativeFixture] = Vectors.objects("codecs/codec-fixtures-negative.json")
        .compactMap { object in
            guard let name = object["name"] as? String, let codecName = object["codec"] as? String,
                let codec = Codec(name: codecName)
            else { return nil }
            if let text = object["hex"] as? String {
                return Self(name: name, codec: codec, block: hex(text), isEncoding: false)
            }
            guard let value = object["dag-json"],
                let json = try? JSONSerialization.data(
                    withJSONObject: value, options: .fragmentsAllowed)
            else { return nil }
            return Self(name: name, codec: codec, block: [UInt8](json), isEncoding: true)
        }
}

@Suite struct NegativeFixtureTests {
    @Test func theFixturesAreAllThere() {
        #expect(NegativeFixture.all.count > 60)
    }

    @Test("forms that the specifications forbid are refused", arguments: NegativeFixture.all)
    func refused(fixture: NegativeFixture) throws {
        guard fixture.isEncoding else {
            #expect(throws: DecodeError.self) {
                try IPLDCodec.decode(fixture.block.rawSpan, codec: fixture.codec)
            }
            return
        }
        let value = try DagJSON.decode(fixture.block.rawSpan)
        if fixture.name.hasPrefix("bad sort") {
            // As in go-codec-dagpb, links that are out of order are put in order.
            let bytes = try IPLDCodec.encode(value, codec: fixture.codec)
            let names = try PBNode(decoding: bytes.rawSpan).links.map { $0.name ?? [] }
            #expect(names == names.sorted { $0.lexicographicallyPrecedes($1) })
            return
        }
        #expect(throws: EncodeError.self) {
            try IPLDCodec.encode(value, codec: fixture.codec)
        }
    }
}

/// One case of dasl-testing.
struct DaslFixture: CustomTestStringConvertible, Sendable {
    let file: String
    let type: String
    let block: [UInt8]
    let tags: [String]
    let name: String

    var testDescription: String { "\(type) \(file) \(name)" }

    /// The cases that speak about dag-cbor or about any CBOR.
    static let all: [DaslFixture] = Vectors.objects("codecs/dasl-cbor.json").compactMap { object in
        guard let file = object["file"] as? String, let type = object["type"] as? String,
            let block = object["hex"] as? String, let tags = object["tags"] as? [String],
            let name = object["name"] as? String,
            tags.contains("dag-cbor") || tags.contains("basic")
        else { return nil }
        return Self(file: file, type: type, block: hex(block), tags: tags, name: name)
    }
}

@Suite struct DaslFixtureTests {
    @Test("dag-cbor is as strict as dasl-testing says", arguments: DaslFixture.all)
    func strictness(fixture: DaslFixture) throws {
        switch fixture.type {
        case "roundtrip":
            let value = try DagCBOR.decode(fixture.block.rawSpan)
            #expect(try DagCBOR.encode(value) == fixture.block)
        case "invalid_in":
            #expect(throws: DecodeError.self) { try DagCBOR.decode(fixture.block.rawSpan) }
        default:
            // The value itself has no form; what plain cbor can read of it, dag-cbor won't write,
            // unless reading already lost what makes it special (undefined).
            guard let value = try? CBOR.decode(fixture.block.rawSpan), value != .null else {
                return
            }
            #expect(throws: EncodeError.self) { try DagCBOR.encode(value) }
        }
    }
}
