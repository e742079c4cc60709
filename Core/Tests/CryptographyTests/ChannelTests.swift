// What secure channels are built of, against published vectors and an independent implementation.

import Cryptography
import TestSupport
import Testing
import Wire

@Suite struct HMACTests {
    /// Cases 1 and 6 of RFC 4231: a short key, and one longer than a block.
    @Test(arguments: [
        (
            String(repeating: "0b", count: 20), "Hi There",
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        ),
        (
            String(repeating: "aa", count: 131),
            "Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        ),
    ])
    func vectors(key: String, message: String, code: String) {
        let bytes = Array(message.utf8)
        #expect(hex(HMACSHA256.code(of: bytes.rawSpan, key: hex(key).rawSpan)) == code)
    }

    /// Case 1 of RFC 5869.
    @Test func derivation() {
        let output = HKDFSHA256.key(
            from: [UInt8](repeating: 0x0b, count: 22).rawSpan,
            salt: hex("000102030405060708090a0b0c").rawSpan,
            info: hex("f0f1f2f3f4f5f6f7f8f9").rawSpan, length: 42)
        #expect(
            hex(output) == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
                + "34007208d5b887185865")
    }
}

#if HostCrypto
    @Suite struct AgreementTests {
        /// The example of RFC 7748, section 6.1.
        @Test func vector() throws {
            let bob = hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
            let alice = hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
            #expect(
                hex(try X25519.publicKey(of: bob))
                    == "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
            #expect(
                hex(try X25519.secret(privateKey: bob, publicKey: alice))
                    == "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")
        }

        /// A key that forces a secret that everybody knows is refused, and so are odd lengths.
        @Test func weakKeys() {
            let key = X25519.makePrivateKey()
            #expect(throws: CipherError.invalidKey) {
                try X25519.secret(privateKey: key, publicKey: [UInt8](repeating: 0, count: 32))
            }
            #expect(throws: CipherError.invalidKey) {
                try X25519.secret(privateKey: key, publicKey: [1])
            }
        }
    }

    @Suite struct ChaChaPolyTests {
        private let key = (0..<32).map(UInt8.init)

        /// Two messages in a row, as Python's cryptography package seals them.
        @Test func vectors() throws {
            let channel = try ChaChaPoly(key: key)
            let first = try channel.seal(
                Array("Ladies and gentlemen".utf8).rawSpan,
                authenticating: Array("data".utf8).rawSpan)
            #expect(
                hex(first)
                    == "54d92658c89586b07d057c06ca2d3a4b9ddc969b5dd83593350c90dfd472ecf1db683f74")
            let second = try channel.seal(countingMessage(300).rawSpan, authenticating: RawSpan())
            #expect(
                hex(Array(second.suffix(32)))
                    == "eef5ac81ba615bbfc047d83776d7b8405d08f2f2ca9406f540903adecd5bd7d8")
        }

        /// Text written in pieces is sealed as if it had come whole, and opens again.
        @Test(arguments: [0, 1, 15, 16, 17, 63, 64, 65, 1000, 65519])
        func pieces(length: Int) throws {
            let (whole, parts) = (try ChaChaPoly(key: key), try ChaChaPoly(key: key))
            let text = countingMessage(length)
            let sealed = try whole.seal(text.rawSpan, authenticating: RawSpan())
            var noise = SeededGenerator(seed: UInt64(length))
            try parts.start(authenticating: RawSpan())
            let written = try [UInt8](capacity: length + ChaChaPoly.tagLength) {
                (output: inout OutputRawSpan) throws(CipherError) in
                var start = 0
                while start < length {
                    let end = Int.random(in: (start + 1)...length, using: &noise)
                    try parts.write(text.rawSpan.extracting(start..<end), to: &output)
                    start = end
                }
                try parts.finish(into: &output)
            }
            #expect(written == sealed)
            let reader = try ChaChaPoly(key: key)
            #expect(try reader.open(sealed.rawSpan, authenticating: RawSpan()) == text)
            #expect(reader.nonce == 1)
        }

        /// A changed bit, a missing byte, other data and a repeated message are all refused.
        @Test func forgeries() throws {
            let sealed = try ChaChaPoly(key: key).seal(
                [1, 2, 3].rawSpan, authenticating: RawSpan())
            for index in sealed.indices {
                var forged = sealed
                forged[index] ^= 1
                #expect(throws: CipherError.forged) {
                    try ChaChaPoly(key: key).open(forged.rawSpan, authenticating: RawSpan())
                }
                let short = Array(sealed.prefix(index))
                #expect(throws: CipherError.forged) {
                    try ChaChaPoly(key: key).open(short.rawSpan, authenticating: RawSpan())
                }
            }
            #expect(throws: CipherError.forged) {
                try ChaChaPoly(key: key).open(sealed.rawSpan, authenticating: [9].rawSpan)
            }
            let reader = try ChaChaPoly(key: key)
            _ = try reader.open(sealed.rawSpan, authenticating: RawSpan())
            #expect(throws: CipherError.forged) {
                try reader.open(sealed.rawSpan, authenticating: RawSpan())
            }
            #expect(throws: CipherError.invalidKey) { try ChaChaPoly(key: [1]) }
        }
    }
#endif
