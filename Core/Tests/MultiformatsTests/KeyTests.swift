import Multiformats
import TestSupport
import Testing
import Wire

@Suite struct KeyTests {
    private static let vectors = rows(of: "keys.csv").map { (hex($0[1]), hex($0[2])) }

    /// The public keys of the specification read and write unchanged.
    @Test func publicKeys() throws {
        #expect(Self.vectors.count == 4)
        for (index, vector) in Self.vectors.enumerated() {
            let key = try PublicKey(decoding: vector.1.rawSpan)
            #expect(key.type == KeyType.allCases[index])
            #expect(key.encoded == vector.1)
        }
    }

    #if HostCrypto
        /// The private keys of the specification yield its public keys, and sign what these verify.
        @Test(arguments: 0..<4)
        func privateKeys(index: Int) throws {
            let vector = Self.vectors[index]
            let key = try PrivateKey(decoding: vector.0.rawSpan)
            #expect(key.publicKey.encoded == vector.1)
            #expect(key.encoded == vector.0)
            let message = Array("a message".utf8)
            let signature = try key.sign(message)
            #expect(key.publicKey.verify(signature: signature, of: message))
            #expect(!key.publicKey.verify(signature: signature, of: message + [0]))
            var forged = signature
            forged[forged.count / 2] ^= 1
            #expect(!key.publicKey.verify(signature: forged, of: message))
            #expect(!key.publicKey.verify(signature: [], of: message))
        }

        /// Signatures made by OpenSSL, so that not only our own are accepted.
        @Test func foreignSignatures() throws {
            let vectors = rows(of: "signatures.csv")
            #expect(vectors.count == 6)
            for vector in vectors {
                let key = try PublicKey(decoding: hex(vector[1]).rawSpan)
                #expect(
                    key.verify(signature: hex(vector[2]), of: Array("a message".utf8)),
                    "\(vector[0])")
                #expect(!key.verify(signature: hex(vector[2]), of: Array("another".utf8)))
            }
        }

        /// New keys differ and survive storage; a stored key with a foreign public half is refused.
        @Test func generation() throws {
            let key = PrivateKey.generateEd25519()
            #expect(key.encoded != PrivateKey.generateEd25519().encoded)
            let stored = try PrivateKey(decoding: key.encoded.rawSpan)
            #expect(stored.publicKey == key.publicKey)
            var wrong = key.encoded
            wrong[wrong.count - 1] ^= 1
            let error = #expect(throws: DecodeError.self) {
                try PrivateKey(decoding: wrong.rawSpan)
            }
            #expect(error?.kind == .mismatch)
            let public32 = key.encoded.suffix(32)
            let old = [0x08, 0x01, 0x12, 0x60] + key.encoded.dropFirst(4) + public32
            #expect(try PrivateKey(decoding: old.rawSpan).publicKey == key.publicKey)
            #expect("\(key)" == "private ed25519 key")
        }
    #endif

    /// A key has one encoding; anything else would give its holder a second identity.
    @Test func encodings() throws {
        let good = Self.vectors[1].1
        let bad: [[UInt8]] = [
            [], [8], [8, 1], Array(good.dropLast()), good + [0], Array(good[2...] + good[..<2]),
            [8, 0x81, 0x00] + good.dropFirst(2), [8, 9] + good.dropFirst(2),
            [8, 1, 18, 31] + good[4..<35], [8, 2, 18, 33, 4] + good[4...], [10, 1] + good[2...],
            good + good, [8, 0, 18, 0xff, 0xff, 0xff, 0x7f],
        ]
        for bytes in bad {
            #expect(throws: DecodeError.self) { try PublicKey(decoding: bytes.rawSpan) }
            #expect(throws: DecodeError.self) { try PrivateKey(decoding: bytes.rawSpan) }
        }
    }

    /// Mutated keys are refused or harmless, whatever their bytes.
    @Test func noise() {
        var noise = Noise(seed: 5)
        for round in 0..<1200 {
            let (secret, key) = Self.vectors[round % 4]
            // Refusal is as good an answer as any here.
            if let changed = try? PublicKey(decoding: noise.mutation(of: key).rawSpan) {
                #expect(!changed.verify(signature: noise.bytes(upTo: 72), of: [1]))
            }
            if round % 4 != 0 { _ = try? PrivateKey(decoding: noise.mutation(of: secret).rawSpan) }
        }
    }
}

@Suite struct PeerIDTests {
    /// The text forms of the specification, for hashed and for inlined keys.
    @Test(arguments: [
        (
            "QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC",
            "k2k4r8oqamigqdo6o7hsbfwd45y70oyynp98usk7zmyfrzpqxh1pohl7"
        ),
        (
            "QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC",
            "bafzbeigvf25ytwc3akrijfecaotc74udrhcxzh2cx3we5qqnw5vgrei4bm"
        ),
        (
            "12D3KooWCryG7Mon9orvQxcS1rYZjotPgpwoJNHHKcLLfE4Hf5mV",
            "k51qzi5uqu5dhb6l8spkdx7yxafegfkee5by8h7lmjh2ehc2sgg34z7c15vzqs"
        ),
        (
            "12D3KooWCryG7Mon9orvQxcS1rYZjotPgpwoJNHHKcLLfE4Hf5mV",
            "bafzaajaiaejcalj543iwv2d7pkjt7ykvefrkfu7qjfi6sduakhso4lay6abn2d5u"
        ),
    ])
    func textForms(base58: String, cid: String) throws {
        let peer = try PeerID(text: base58)
        #expect(try PeerID(text: cid) == peer)
        #expect(peer.description == base58)
        #expect(peer.cid.text(in: cid.hasPrefix("k") ? .base36 : .base32) == cid)
        if cid.hasPrefix("k") { #expect(peer.ipnsName == cid) }
        #expect(try PeerID(decoding: peer.bytes.rawSpan) == peer)
    }

    /// Short keys are inlined and can be taken out again, long ones are hashed.
    @Test func keys() throws {
        for vector in rows(of: "keys.csv") {
            let key = try PublicKey(decoding: hex(vector[2]).rawSpan)
            let peer = PeerID(key)
            let isInlined = key.encoded.count <= 42
            #expect(peer.hash.code == (isInlined ? .identity : .sha2_256))
            #expect(peer.publicKey == (isInlined ? key : nil))
            #expect(peer.description.hasPrefix(isInlined ? "1" : "Qm"))
        }
    }

    /// What is not the hash of a key names no peer: other codecs, functions and lengths.
    @Test(arguments: [
        "", "1", "Qm", "11", "bafkqaaa", "QmxoHT6iViN5xAjoz1VZ553cL31U9F94ht3QvWR1FrEbZY",
        "bafybeihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku", "peer", "f0172000",
        "12D3KooWCryG7Mon9orvQxcS1rYZjotPgpwoJNHHKcLLfE4Hf5m",
    ])
    func refused(text: String) {
        #expect(throws: DecodeError.self) { try PeerID(text: text) }
    }
}
