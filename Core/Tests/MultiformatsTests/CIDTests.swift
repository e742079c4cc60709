import Multiformats
import TestSupport
import Testing
import Wire

@Suite struct CIDTests {
    /// Text forms of the same content in both versions, as the specification and Kubo print them.
    @Test func knownForms() throws {
        let v0 = try CID(text: "QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n")
        #expect(v0.version == .v0 && v0.codec == .dagPB)
        #expect(v0.description == "QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n")
        #expect(v0.text(in: .base58btc) == v0.description)
        let v1 = "bafybeihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
        #expect(v0.v1.description == v1)
        #expect(v0.text(in: .base32) == v1)
        #expect(try CID(text: v1) == v0.v1)
        let hash = Multihash.sha2_256(of: Array("hello world".utf8).rawSpan)
        #expect(
            CID(.raw, hash).description
                == "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e")
        let empty = try CID(text: "bafkqaaa")
        #expect(empty.hash.code == .identity && empty.hash.digest.isEmpty)
        #expect(empty.description == "bafkqaaa")
    }

    /// A CID reads back from every base.
    @Test(arguments: Multibase.allCases)
    func bases(base: Multibase) throws {
        let cid = CID(.dagCBOR, .sha2_256(of: [1].rawSpan))
        #expect(try CID(text: cid.text(in: base)) == cid)
        let v0 = try #require(CID(v0: .sha2_256(of: [1].rawSpan)))
        #expect(try CID(text: v0.text(in: base)).v1 == v0.v1)
    }

    /// Each of these breaks one rule of the specification.
    @Test(arguments: [
        "", "Qm", "z", "b", "f00", "f01", "f0155", "f015512", "f01551220",
        // Version 0 inside a multibase, versions 2 and 3, and version 0 with a codec.
        "f1220e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "f02551220e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "f00551220e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        // A version, a codec and a length with padded varints; a byte too many and too few.
        "f8100551220e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "f01d5001220e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "f015512a000e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "f01551220e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85500",
        "f01551220e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b8",
        // 46 characters that are no base58, and a peer id.
        "Qm0fTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n",
        "12D3KooWLU2znyJMtDiHArqAGbZn8CgUGp92kxDBtefftEEaHSZS",
        "QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1",
    ])
    func refused(text: String) {
        #expect(throws: DecodeError.self) { try CID(text: text) }
    }

    /// Every truncation is refused, and every mutation is refused or encodes to the same bytes.
    @Test func noise() throws {
        var noise = Noise(seed: 4)
        let hash = Multihash.sha2_256(of: [1].rawSpan)
        let forms = [CID(.raw, hash).bytes, try #require(CID(v0: hash)).bytes]
        for valid in forms {
            for length in 0..<valid.count {
                #expect(throws: DecodeError.self) {
                    try CID(decoding: Array(valid.prefix(length)).rawSpan)
                }
            }
        }
        for round in 0..<6000 {
            let bytes =
                round % 3 == 0 ? noise.bytes(upTo: 40) : noise.mutation(of: forms[round % 3 - 1])
            // Refusal is as good an answer as any here.
            guard let cid = try? CID(decoding: bytes.rawSpan) else { continue }
            #expect(cid.bytes == bytes)
            #expect(try CID(text: cid.description) == cid)
        }
    }
}
