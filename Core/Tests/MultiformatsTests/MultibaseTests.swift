import Multiformats
import TestSupport
import Testing
import Wire

@Suite struct MultibaseTests {
    private static let names: [String: Multibase] = [
        "base2": .base2, "base8": .base8, "base10": .base10, "base16": .base16,
        "base16upper": .base16Upper, "base32": .base32, "base32upper": .base32Upper,
        "base32hex": .base32Hex, "base32hexupper": .base32HexUpper, "base32pad": .base32Pad,
        "base32padupper": .base32PadUpper, "base32hexpad": .base32HexPad,
        "base32hexpadupper": .base32HexPadUpper, "base32z": .base32Z, "base36": .base36,
        "base36upper": .base36Upper, "base58flickr": .base58flickr, "base58btc": .base58btc,
        "base64": .base64, "base64pad": .base64Pad, "base64url": .base64URL,
        "base64urlpad": .base64URLPad,
    ]

    /// The specification's tables, in both directions where the text is what an encoder writes.
    @Test func vectors() throws {
        let vectors = rows(of: "multibase.csv")
        #expect(vectors.count == 78)
        for vector in vectors {
            let base = try #require(Self.names[vector[1]])
            let decoded = try Multibase.decode(vector[2])
            #expect(decoded.base == base)
            #expect(decoded.bytes == hex(vector[0]), "\(vector[2])")
            if vector[3] == "yes" { #expect(base.encode(hex(vector[0])) == vector[2]) }
        }
    }

    /// What comes out of an encoder goes back in, for every length around a group boundary and
    /// with zeros in front.
    @Test(arguments: Multibase.allCases)
    func roundTrip(base: Multibase) throws {
        var noise = Noise(seed: 1)
        for length in 0..<70 {
            var bytes = (0..<length).map { _ in UInt8.random(in: 0...255, using: &noise) }
            for zeros in 0..<min(3, length) { bytes[zeros] = 0 }
            let text = base.encode(bytes)
            let decoded = try Multibase.decode(text)
            #expect(decoded.base == base && decoded.bytes == bytes)
            #expect(text.utf8.first == base.prefix)
        }
    }

    /// Text that another encoder could never have written is refused, so that a value has one text.
    @Test(arguments: [
        "", "\0abc", "?abc", "é", "f0", "f0g", "f 00", "b1", "bmf======", "bmy=", "baa=",
        "cme",
        "cme=====", "cme======x", "cmf======", "c=", "cme====== ", "mA", "mAB", "mAA==", "MAA",
        "MAA=",
        "MAA===", "uA+A", "m-A", "MAB==", "z0", "zO", "zl", "z é", "k-", "92a", "001", "78", "779",
        "vw", "h0", "t0",
    ])
    func refused(text: String) {
        #expect(throws: DecodeError.self) { try Multibase.decode(text) }
    }

    /// Decoding in a base that is not a power of two takes quadratic time, so its text is bounded.
    @Test func longNumbers() {
        let text = "z" + String(repeating: "2", count: Multibase.maxRadixLength + 1)
        #expect(throws: DecodeError.self) { try Multibase.decode(text) }
    }

    /// Whatever the text, decoding answers or throws, and what it answers encodes to the same
    /// text but for the case of letters.
    @Test func noise() {
        var noise = Noise(seed: 2)
        let characters = Array(
            "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+/=-_ ")
        for _ in 0..<5000 {
            let length = Int.random(in: 0...20, using: &noise)
            let text = String((0..<length).map { _ in characters.randomElement(using: &noise)! })
            // Refusal is as good an answer as any here.
            guard let decoded = try? Multibase.decode(text) else { continue }
            let again = decoded.base.encode(decoded.bytes)
            #expect(again.lowercased() == text.lowercased())
        }
    }
}
