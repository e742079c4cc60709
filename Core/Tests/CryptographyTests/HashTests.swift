import Cryptography
import TestSupport
import Testing
import Wire

@Suite struct HashTests {
    /// Every function against an independent implementation, at lengths on both sides of every
    /// block boundary. Run with and without the trait HostCrypto, it proves both implementations.
    @Test func vectors() throws {
        let vectors = rows(of: "hashes.csv")
        #expect(vectors.count == 336)
        for vector in vectors {
            let length = try #require(Int(vector[1]))
            let message = countingMessage(length)
            let digest = try #require(Self.digest(vector[0], message))
            #expect(hex(digest) == vector[2], "\(vector[0]) of \(length) bytes")
        }
    }

    /// The outputs of BLAKE3 that its authors publish, short and extended.
    @Test func blake3() throws {
        let vectors = rows(of: "blake3.csv")
        #expect(vectors.count == 35)
        for vector in vectors {
            let message = countingMessage(try #require(Int(vector[0])))
            let output = hex(vector[1])
            #expect(BLAKE3.hash(message.rawSpan, length: output.count) == output, "\(vector[0])")
            #expect(BLAKE3.hash(message.rawSpan) == Array(output.prefix(32)))
        }
    }

    /// Keccak-256 as Ethereum uses it: the empty message, `abc`, and one over the block length.
    @Test(arguments: [
        ("", "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"),
        ("abc", "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"),
        (
            "testing", "5f16f4c7f149ac4f9510d9cf8cf384038ad348b3bcdc01915f95de12df9d1b02"
        ),
    ])
    func keccak(message: String, digest: String) {
        #expect(hex(Keccak.hash(Array(message.utf8).rawSpan, .keccak_256)) == digest)
    }

    /// However a message is cut into pieces, its digest is the same.
    @Test(arguments: [1, 7, 63, 64, 65, 128, 136, 1000, 1024, 4096, 4097])
    func pieces(size: Int) throws {
        let message = countingMessage(9000)
        var hashers = (SHA256(), SHA512(), SHA1(), SHA384())
        var (keccak, blake2b, blake3) = (
            Keccak(.sha3_256), BLAKE2b(digestLength: 32), BLAKE3()
        )
        for start in stride(from: 0, to: message.count, by: size) {
            let piece = Array(message[start..<min(start + size, message.count)])
            hashers.0.update(piece.rawSpan)
            hashers.1.update(piece.rawSpan)
            hashers.2.update(piece.rawSpan)
            hashers.3.update(piece.rawSpan)
            keccak.update(piece.rawSpan)
            blake2b.update(piece.rawSpan)
            blake3.update(piece.rawSpan)
        }
        #expect(hashers.0.finalize() == SHA256.hash(message.rawSpan))
        #expect(hashers.1.finalize() == SHA512.hash(message.rawSpan))
        #expect(hashers.2.finalize() == SHA1.hash(message.rawSpan))
        #expect(hashers.3.finalize() == SHA384.hash(message.rawSpan))
        #expect(keccak.finalize() == Keccak.hash(message.rawSpan, .sha3_256))
        #expect(blake2b.finalize() == BLAKE2b.hash(message.rawSpan, digestLength: 32))
        #expect(blake3.finalize() == BLAKE3.hash(message.rawSpan))
    }

    private static func digest(_ function: String, _ message: [UInt8]) -> [UInt8]? {
        switch function {
        case "sha1": SHA1.hash(message.rawSpan)
        case "sha2-256": SHA256.hash(message.rawSpan)
        case "sha2-384": SHA384.hash(message.rawSpan)
        case "sha2-512": SHA512.hash(message.rawSpan)
        case "sha3-224": Keccak.hash(message.rawSpan, .sha3_224)
        case "sha3-256": Keccak.hash(message.rawSpan, .sha3_256)
        case "sha3-384": Keccak.hash(message.rawSpan, .sha3_384)
        case "sha3-512": Keccak.hash(message.rawSpan, .sha3_512)
        case "dbl-sha2-256": SHA256.hash(SHA256.hash(message.rawSpan).rawSpan)
        case "blake2b-160": BLAKE2b.hash(message.rawSpan, digestLength: 20)
        case "blake2b-256": BLAKE2b.hash(message.rawSpan, digestLength: 32)
        case "blake2b-512": BLAKE2b.hash(message.rawSpan, digestLength: 64)
        default: nil
        }
    }
}
