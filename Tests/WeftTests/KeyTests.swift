// Private keys: kept for their owner's eyes, read and written in the forms of others.

import Foundation
import Multiformats
import Testing

@testable import Weft

@Suite struct KeyTests {
    @Test("The identity is made once, privately, and stays")
    func identity() async throws {
        let base = try TemporaryDirectory()
        let first = try await Node.start(at: base.path, configuration: .offline)
        let peer = first.peer
        await first.stop()
        #expect(try base.mode("keys/self.key") == 0o600)
        let second = try await Node.start(at: base.path, configuration: .offline)
        #expect(second.peer == peer)
        await second.stop()
    }

    @Test("Keys are made, listed, found by name and by id, and removed")
    func ring() throws {
        let base = try TemporaryDirectory()
        let ring = KeyRing(base.path)
        _ = try ring.identity()
        let site = try ring.generate("site")
        #expect(try base.mode("site.key") == 0o600)
        #expect(try ring.list().map(\.name) == ["self", "site"])
        for text in [site.peer.description, site.peer.ipnsName, "site"] {
            #expect(try PeerID(ring.key(text).publicKey) == site.peer)
        }
        #expect(throws: KeyError.exists("site")) { try ring.generate("site") }
        #expect(throws: KeyError.isIdentity) { try ring.remove("self") }
        try ring.remove("site")
        #expect(throws: KeyError.unknown("site")) { try ring.key("site") }
        #expect(throws: KeyError.unknown("site")) { try ring.remove("site") }
    }

    @Test(
        "Names that could be other files are refused",
        arguments: ["", ".", "..", "../self", "a/b", ".hidden", "é", "a\u{0}"])
    func names(name: String) throws {
        let ring = KeyRing(try TemporaryDirectory().path)
        #expect(throws: KeyError.badName(name)) { try ring.generate(name) }
        #expect(throws: KeyError.self) { try ring.key(name) }
    }

    @Test("A key survives both forms", arguments: KeyForm.allCases)
    func forms(form: KeyForm) throws {
        let key = PrivateKey.generateEd25519()
        #expect(try KeyForm.decode(form.encode(key)).encoded == key.encoded)
    }

    @Test("The example key of RFC 8410 is read and written as it stands there")
    func pem() throws {
        let pem = """
            -----BEGIN PRIVATE KEY-----
            MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
            -----END PRIVATE KEY-----

            """
        let key = try KeyForm.decode(Array(pem.utf8))
        let publicKey = key.publicKey.data.map {
            String($0 >> 4, radix: 16) + String($0 & 15, radix: 16)
        }
        #expect(
            publicKey.joined() == "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1"
        )
        #expect(try KeyForm.pem.encode(key) == Array(pem.utf8))
    }

    @Test("Rubbish is no key", arguments: ["", "x", "-----BEGIN PRIVATE KEY-----\nxx"])
    func rubbish(text: String) {
        #expect(throws: KeyError.self) { try KeyForm.decode(Array(text.utf8)) }
    }
}
