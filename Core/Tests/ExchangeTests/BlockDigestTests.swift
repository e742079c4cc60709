// Blocks whose digests somebody else has computed, as browsers do for pages.

import Cryptography
import Exchange
import Multiformats
import TestSupport
import Testing
import Wire

@Suite("digests that are computed elsewhere")
struct BlockDigestTests {
    private func frame(_ block: [UInt8], of request: UInt64 = 1) -> [UInt8] {
        var body: [UInt8] = []
        body.appendField(1, varint: request)
        body.appendField(2, bytes: block)
        var out: [UInt8] = []
        out.appendField(4, bytes: body)
        return out
    }

    private func intake(of cid: CID) throws -> ExchangeIntake {
        var intake = try #require(ExchangeIntake(WeftLimits.protocolName, openedBy: .us))
        intake.note(.list(id: 1, credit: 1000, [cid]))
        return intake
    }

    @Test("large blocks are found, and a digest decides whether a block is the one")
    func decides() throws {
        let bytes = [UInt8](repeating: 7, count: 500)
        let cid = CID(.raw, Multihash.sha2_256(of: bytes.rawSpan))
        let message = frame(bytes)
        var intake = try intake(of: cid)
        #expect(intake.blocks(in: message, ofAtLeast: 501).isEmpty)
        #expect(intake.blocks(in: Array(message.dropLast()), ofAtLeast: 500).isEmpty)
        // Nobody hashes what nobody asked for.
        #expect(intake.blocks(in: frame(bytes, of: 2), ofAtLeast: 500).isEmpty)
        let range = try #require(intake.blocks(in: message, ofAtLeast: 500).first)
        #expect(Array(message[range]) == bytes)
        let other = SHA256.hash([UInt8](repeating: 8, count: 500).rawSpan)
        #expect(throws: DecodeError(.mismatch, "the content does not match its hash")) {
            var copy = intake
            return try copy.receive(message, digests: [BlockDigest(range, other)])
        }
        // The digest of a block that lies elsewhere counts for nothing.
        let elsewhere = BlockDigest(0..<500, other)
        let own = BlockDigest(range, SHA256.hash(bytes.rawSpan))
        guard case .answers(let answers) = try intake.receive(message, digests: [elsewhere, own])
        else { throw DecodeError(.malformed, "no answers") }
        #expect(answers.count == 1)
    }

    @Test("a SHA2-256 digest does not vouch for a block of another hash")
    func otherHash() throws {
        let bytes = [UInt8](repeating: 7, count: 500)
        let blake3 = Multihash(hashing: bytes.rawSpan, with: .blake3)
        let hash = try #require(blake3)
        var intake = try intake(of: CID(.raw, hash))
        let lie = frame([UInt8](repeating: 8, count: 500))
        let range = try #require(intake.blocks(in: lie, ofAtLeast: 1).first)
        #expect(throws: DecodeError.self) {
            try intake.receive(lie, digests: [BlockDigest(range, hash.digest)])
        }
    }
}
