// The wire form of bitswap messages: bytes written by hand from the specification, round trips,
// and hostile input.

import Exchange
import IPLD
import Multiformats
import TestSupport
import Testing
import Wire

/// A block of noise and its CID.
func block(_ count: Int, seed: UInt64, codec: Codec = .raw) -> (cid: CID, bytes: [UInt8]) {
    var noise = SeededGenerator(seed: seed)
    let bytes = noise.bytes(count)
    return (CID(codec, .sha2_256(of: bytes.rawSpan)), bytes)
}

/// The bytes of a message whose blocks come from `blocks`.
func joined(_ message: OutgoingMessage, _ blocks: [Multihash: [UInt8]]) -> [UInt8] {
    var out: [UInt8] = []
    for piece in message.pieces {
        switch piece {
        case .bytes(let bytes): out += bytes
        case .block(let cid, let count):
            let bytes = blocks[cid.hash] ?? []
            #expect(bytes.count == count)
            out += bytes
        }
    }
    #expect(out.count == message.byteCount)
    return out
}

@Suite struct BitswapMessageTests {
    static let hello = Multihash.sha2_256(of: Array("hello".utf8).rawSpan)
    static let helloHex = "12202cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

    @Test("a want has the field numbers of the specification")
    func wantBytes() throws {
        var message = BitswapMessage()
        message.wants = [
            .init(CID(.raw, Self.hello), .have, priority: 5, absence: .answer),
            .init(CID(.raw, Self.hello), .cancel, priority: -1),
        ]
        message.isFull = true
        message.pendingBytes = 300
        let v2 =
            "0a65" + "0a2c0a240155" + Self.helloHex + "100520012801"
            + "0a33" + "0a240155" + Self.helloHex + "10ffffffffffffffffff011801" + "1001"
            + "28ac02"
        #expect(hex(message.encoded(.v1_2_0)) == v2)
        let decoded = try ReceivedBitswapMessage(verifying: hex(v2))
        #expect(decoded.lists == message)
        // Version 1.0.0 has neither want-have nor CIDs of version 1.
        let v0 = "0a350a310a22" + Self.helloHex + "10ffffffffffffffffff0118011001"
        #expect(hex(message.encoded(.v1_0_0)) == v0)
    }

    @Test("presences say have and don't have")
    func presenceBytes() throws {
        var message = BitswapMessage()
        let cid = CID(.dagPB, Self.hello)
        message.presences = [.init(cid, .have), .init(cid, .dontHave)]
        let expected =
            "2226" + "0a240170" + Self.helloHex + "2228" + "0a240170" + Self.helloHex + "1001"
        #expect(hex(message.encoded(.v1_2_0)) == expected)
        #expect(message.encoded(.v1_1_0).isEmpty)
        #expect(try ReceivedBitswapMessage(verifying: hex(expected)).lists == message)
    }

    @Test("a block comes back under the CID it was asked for", arguments: [Codec.raw, .dagPB])
    func blockBytes(codec: Codec) throws {
        let bytes = Array("hello".utf8)
        let cid = CID(codec, Self.hello)
        let header = BitswapMessage.blockHeader(cid, byteCount: 5, .v1_1_0)
        let code = codec == .raw ? "55" : "70"
        #expect(hex(header) == "1a0d" + "0a0401\(code)1220" + "1205")
        let read = try ReceivedBitswapMessage(verifying: header + bytes)
        #expect(read.blocks.map(\.cid) == [cid])
        #expect(read.blocks.map { Array($0.bytes) } == [bytes])
    }

    @Test("version 0 CIDs have their own prefix, and 1.0.0 has none")
    func versionZero() throws {
        let bytes = Array("hello".utf8)
        let cid = try #require(CID(v0: Self.hello))
        let header = BitswapMessage.blockHeader(cid, byteCount: 5, .v1_2_0)
        #expect(hex(header) == "1a0d" + "0a0400701220" + "1205")
        #expect(try ReceivedBitswapMessage(verifying: header + bytes).blocks[0].cid == cid)
        let bare = BitswapMessage.blockHeader(cid, byteCount: 5, .v1_0_0)
        #expect(hex(bare) == "1205")
        #expect(try ReceivedBitswapMessage(verifying: bare + bytes).blocks[0].cid == cid)
    }

    @Test("a block hashed with what cannot vouch for it is counted, not taken")
    func unverifiable() throws {
        for prefix in ["01550010", "01551213", "0155aa0120", "0155111f"] {
            let body = hex("0a" + (prefix.count == 10 ? "05" : "04") + prefix + "120168")
            let read = try ReceivedBitswapMessage(verifying: [0x1a, UInt8(body.count)] + body)
            #expect(read.blocks.isEmpty && read.unverifiableBlocks == 1, "\(prefix)")
        }
    }

    @Test("truncated digests and blake3 of other lengths are computed as asked")
    func digestLengths() throws {
        for (code, length) in [(HashCode.sha2_256, 20), (.blake3, 48), (.sha2_512, 64)] {
            let bytes = Array("hello".utf8)
            let made = Multihash(hashing: bytes.rawSpan, with: code, digestLength: length)
            let hash = try #require(made)
            let cid = CID(.raw, hash)
            try hash.verify(bytes.rawSpan)
            #expect(CIDPrefix(cid).cid(of: bytes.rawSpan) == cid)
            #expect(try CIDPrefix(decoding: CIDPrefix(cid).bytes.rawSpan) == CIDPrefix(cid))
        }
    }

    @Test("over the limits is refused")
    func limits() {
        let large = block(BlockLimits.maxBytes + 1, seed: 1)
        let header = BitswapMessage.blockHeader(
            large.cid, byteCount: large.bytes.count, .v1_2_0)
        #expect(throws: DecodeError.self) {
            try ReceivedBitswapMessage(verifying: header + large.bytes)
        }
        #expect(throws: DecodeError.self) {
            try ReceivedBitswapMessage(
                verifying: [UInt8](repeating: 0, count: BitswapLimits.maxMessageBytes + 1))
        }
        // An empty identity CID is the shortest that there is.
        let entry = hex("2206") + hex("0a0401550000")
        var many: [UInt8] = []
        for _ in 0...BitswapLimits.maxEntries { many += entry }
        #expect(throws: DecodeError.self) { try ReceivedBitswapMessage(verifying: many) }
    }

    /// A message with everything in it.
    static func rich() -> [UInt8] {
        var message = BitswapMessage()
        let first = block(100, seed: 3)
        let second = block(40, seed: 4, codec: .dagCBOR)
        message.wants = [
            .init(first.cid, .block, priority: 7), .init(second.cid, .have, absence: .answer),
        ]
        message.presences = [.init(second.cid, .have)]
        message.pendingBytes = 9
        return message.encoded(.v1_2_0)
            + BitswapMessage.blockHeader(first.cid, byteCount: 100, .v1_2_0) + first.bytes
            + BitswapMessage.blockHeader(second.cid, byteCount: 40, .v1_2_0) + second.bytes
    }

    @Test("no truncation and no noise does more than throw")
    func hostile() throws {
        let whole = Self.rich()
        #expect(try ReceivedBitswapMessage(verifying: whole).blocks.count == 2)
        for count in 0..<whole.count {
            _ = try? ReceivedBitswapMessage(verifying: Array(whole[..<count]))
        }
        var noise = Noise(seed: 5)
        for _ in 0..<2000 {
            _ = try? ReceivedBitswapMessage(verifying: noise.mutation(of: whole))
            _ = try? ReceivedBitswapMessage(verifying: noise.bytes(upTo: 200))
        }
    }

    @Test("unknown fields are passed over")
    func unknownFields() throws {
        let extra = hex("f2010301020348055d01000000")
        let read = try ReceivedBitswapMessage(verifying: extra + Self.rich() + extra)
        #expect(read.blocks.count == 2 && read.lists.wants.count == 2)
    }
}
