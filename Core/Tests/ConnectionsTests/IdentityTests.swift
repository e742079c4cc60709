// TLS certificates and private networks, against published data.

import Multiformats
import TestSupport
import Testing
import Wire

@testable import Connections

extension [UInt8] {
    /// The DER value that starts with these bytes, with its head; nil if there is none.
    fileprivate func value(startingWith head: [UInt8], length: Int) -> [UInt8]? {
        guard
            let start = indices.first(where: { self[$0...].starts(with: head) }),
            start + length <= count
        else { return nil }
        return Array(self[start..<(start + length)])
    }
}

@Suite struct TLSIdentityTests {
    private static let vectors = rows(of: "tls-certificates.csv")

    #if HostCrypto
        /// The certificates of the specification prove the identities it names, and the one that
        /// is signed by somebody else proves none.
        @Test(arguments: 0..<4)
        func certificates(index: Int) throws {
            #expect(Self.vectors.count == 4)
            let certificate = hex(Self.vectors[index][0])
            let key = try #require(certificate.value(startingWith: hex("3059301306"), length: 91))
            let name = hex("060a2b0601040183a25a0101")
            let place = try #require(
                certificate.indices.first { certificate[$0...].starts(with: name) })
            var reader = ByteReader(certificate.rawSpan.extracting((place + name.count)...))
            _ = try reader.readByte()
            let short = try reader.readByte()
            let length = short < 0x80 ? Int(short) : Int(try reader.readByte())
            let content = try reader.readBytes(length)
            let identity = try TLSIdentity(decoding: content.rawSpan)
            #expect(identity.encoded == content)
            let expected = Self.vectors[index][1]
            #expect(identity.peer(certificateKey: key)?.description ?? "" == expected)
        }

        /// What we write, we read; and no truncation or change of it is taken for an identity.
        @Test func roundTrip() throws {
            let key = PrivateKey.generateEd25519()
            let identity = try TLSIdentity(key, certificateKey: [1, 2, 3])
            #expect(identity.peer(certificateKey: [1, 2, 3]) == PeerID(key.publicKey))
            #expect(identity.peer(certificateKey: [1, 2, 4]) == nil)
            let bytes = identity.encoded
            #expect(try TLSIdentity(decoding: bytes.rawSpan) == identity)
            for length in bytes.indices {
                #expect(throws: DecodeError.self) {
                    try TLSIdentity(decoding: bytes.rawSpan.extracting(..<length))
                }
            }
        }
    #endif

    /// Noise does not crash the decoder.
    @Test func noise() {
        var noise = Noise(seed: 4)
        for vector in Self.vectors {
            let valid = hex(vector[0])
            for _ in 0..<300 {
                let bytes = noise.mutation(of: Array(valid.suffix(120)))
                _ = try? TLSIdentity(decoding: bytes.rawSpan)
            }
        }
    }
}

@Suite struct PrivateNetworkTests {
    /// The key stream, from its 33rd byte, as libsodium's secret boxes use it.
    @Test func cipher() {
        let expected =
            "02b999c93ab6cee9b0fd23943784a3183eaa38a7e4a64b1ba60c42940a8bc988"
            + "a86ff4184f379be4f51617620013dd65c190ae181286395f03e15304dbb29e64"
            + "438b4c6dc83c488ab98f1ff240c3ed9354978d07a7ff7b02929b892778e6e5c6"
        var cipher = XSalsa20(
            key: (0..<32).map(UInt8.init), nonce: (100..<124).map(UInt8.init))
        var head = [UInt8](repeating: 0, count: 32)
        cipher.apply(to: &head)
        // In uneven pieces, so that blocks are cut.
        var stream: [UInt8] = []
        for size in [1, 30, 2, 63] {
            var piece = [UInt8](repeating: 0, count: size)
            cipher.apply(to: &piece)
            stream += piece
        }
        #expect(hex(stream) == expected)
    }

    /// Both codings of the key file are read, and what is no key file is refused.
    @Test func keyFiles() throws {
        let text = String(repeating: "0f", count: 32)
        let file = Array("/key/swarm/psk/1.0.0/\n/base16/\n\(text)\n".utf8)
        #expect(try PresharedKey(file: file.rawSpan).bytes == [UInt8](repeating: 15, count: 32))
        let raw = Array("/key/swarm/psk/1.0.0/\n/bin/\n".utf8) + [UInt8](repeating: 10, count: 32)
        #expect(try PresharedKey(file: raw.rawSpan).bytes == [UInt8](repeating: 10, count: 32))
        for bad in [
            "", "/key/swarm/psk/1.0.0/\n/base16/\n0f", "/key/other/\n/base16/\n\(text)",
            "/key/swarm/psk/1.0.0/\n/base64/\n\(text)",
            "/key/swarm/psk/1.0.0/\n/base16/\n\(text.dropLast())g",
        ] {
            #expect(throws: DecodeError.self) { try PresharedKey(file: Array(bad.utf8).rawSpan) }
        }
        #expect(!"\(try PresharedKey(file: file.rawSpan))".contains("0f"))
    }
}
