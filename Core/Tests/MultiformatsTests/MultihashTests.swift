import Cryptography
import Multiformats
import TestSupport
import Testing
import Wire

@Suite struct MultihashTests {
    /// The specification's own cases. Digests of 80 bits can be read, but vouch for nothing.
    @Test func vectors() throws {
        let vectors = rows(of: "multihash.csv")
        #expect(vectors.count == 52)
        for vector in vectors {
            let bytes = hex(vector[3])
            let hash = try Multihash(decoding: bytes.rawSpan)
            #expect(hash.bytes == bytes)
            #expect(hash.code == HashCode(name: vector[0]))
            #expect(hash.digest.count * 8 == Int(vector[1]))
            let message = Array(vector[2].utf8)
            if hash.digest.count < Multihash.minDigestLength {
                #expect(throws: DecodeError.self) { try hash.verify(message.rawSpan) }
            } else {
                try hash.verify(message.rawSpan)
            }
        }
    }

    private static let functions: [HashCode] = [
        .identity, .sha1, .sha2_256, .sha2_512, .sha3_224, .sha3_256, .sha3_384, .sha3_512,
        .keccak_224, .keccak_256, .keccak_384, .keccak_512, .blake3, .dbl_sha2_256, .blake2b_160,
        .blake2b_256, .blake2b_512,
    ]

    private func hash(_ content: [UInt8], _ function: HashCode) -> Multihash? {
        Multihash(hashing: content.rawSpan, with: function)
    }

    /// Content passes its own hash and no other, with every function that has a name here.
    @Test(arguments: functions)
    func verify(function: HashCode) throws {
        let content = countingMessage(100)
        let hash = try #require(self.hash(content, function))
        try hash.verify(content.rawSpan)
        #expect(try Multihash(decoding: hash.bytes.rawSpan) == hash)
        for changed in [Array(content.dropLast()), content + [0], [1] + content.dropFirst()] {
            let error = #expect(throws: DecodeError.self) { try hash.verify(changed.rawSpan) }
            #expect(error?.kind == .mismatch)
        }
        let name = try #require(function.name)
        #expect(HashCode(name: name) == function)
    }

    /// Hashes that cannot vouch for content are refused by name, not reported as a mismatch.
    @Test func unverifiable() throws {
        let digest = Multihash.sha2_256(of: [1, 2, 3].rawSpan).digest
        let cases: [(HashCode, [UInt8], DecodeError.Kind)] = [
            (HashCode(rawValue: 0xd5), Array(digest.prefix(16)), .unsupported),
            (HashCode(rawValue: 0x22), Array(digest.prefix(8)), .unsupported),
            (.sha2_256, Array(digest.prefix(19)), .unsupported),
            (.sha2_256, [], .unsupported),
            (.sha2_256, digest + [0], .malformed),
            (.sha1, digest, .malformed),
            (.blake2b_256, digest + digest, .malformed),
            (.blake2b_256, Array(digest.prefix(20)), .malformed),
            (HashCode(rawValue: 0xb201), [1], .unsupported),
        ]
        for (code, digest, kind) in cases {
            let hash = Multihash(code: code, digest: digest)
            let error = #expect(throws: DecodeError.self) { try hash.verify([1, 2, 3].rawSpan) }
            #expect(error?.kind == kind, "\(code) with \(digest.count) bytes")
        }
        try Multihash(code: .sha2_256, digest: Array(digest.prefix(20))).verify([1, 2, 3].rawSpan)
        // BLAKE3 makes as much output as one asks for.
        let extended = BLAKE3.hash([1, 2, 3].rawSpan, length: 64)
        try Multihash(code: .blake3, digest: extended).verify([1, 2, 3].rawSpan)
    }

    /// Inlined content is bounded, both when it is made and when it is read.
    @Test func identity() throws {
        #expect(hash(countingMessage(129), .identity) == nil)
        let longest = try #require(hash(countingMessage(128), .identity))
        #expect(try Multihash(decoding: longest.bytes.rawSpan) == longest)
        let error = #expect(throws: DecodeError.self) {
            try Multihash(decoding: ([0x00, 0x81, 0x01] + countingMessage(129)).rawSpan)
        }
        #expect(error?.kind == .overLimit)
        let empty = try #require(hash([UInt8](), .identity))
        #expect(empty.bytes == [0, 0])
        #expect(throws: DecodeError.self) { try empty.verify([1].rawSpan) }
    }

    /// Every truncation and every mutation of a multihash is refused or read as another one that
    /// encodes to exactly those bytes.
    @Test func noise() {
        var noise = Noise(seed: 3)
        let valid = Multihash.sha2_256(of: [1].rawSpan).bytes
        for length in 0..<valid.count {
            #expect(throws: DecodeError.self) {
                try Multihash(decoding: Array(valid.prefix(length)).rawSpan)
            }
        }
        for round in 0..<4000 {
            let bytes = round % 2 == 0 ? noise.mutation(of: valid) : noise.bytes(upTo: 20)
            // Refusal is as good an answer as any here.
            guard let hash = try? Multihash(decoding: bytes.rawSpan) else { continue }
            #expect(hash.bytes == bytes)
        }
    }
}
