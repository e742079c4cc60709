// CBOR beyond the shared fixtures: the degrees of strictness.

import IPLD
import Multiformats
import TestSupport
import Testing
import Wire

@Suite struct CBORTests {
    @Test(
        "plain cbor is read in every well-formed encoding (RFC 8949, appendix A)",
        arguments: [
            ("1800", .integer(0)), ("1b000000e8d4a51000", .integer(1_000_000_000_000)),
            ("3bffffffffffffffff", .integer(-(1 << 64))),
            ("f93c00", .float(1)), ("f93e00", .float(1.5)), ("f97bff", .float(65504)),
            ("f90001", .float(5.960464477539063e-8)), ("f90400", .float(0.00006103515625)),
            ("f9c400", .float(-4)), ("fa47c35000", .float(100_000)), ("f98000", .float(-0.0)),
            ("fb3ff199999999999a", .float(1.1)), ("f7", .null), ("f6", .null), ("f5", .bool(true)),
            ("5f42010243030405ff", .bytes([1, 2, 3, 4, 5])), ("5fff", .bytes([])),
            ("7f657374726561646d696e67ff", .string("streaming")),
            ("9fff", .list([])),
            (
                "9f018202039f0405ffff",
                .list([
                    .integer(1), .list([.integer(2), .integer(3)]),
                    .list([.integer(4), .integer(5)]),
                ])
            ),
            (
                "83018202039f0405ff",
                .list([
                    .integer(1), .list([.integer(2), .integer(3)]),
                    .list([.integer(4), .integer(5)]),
                ])
            ),
            (
                "bf6346756ef563416d7421ff",
                .map([
                    Value.Entry("Fun", .bool(true)), Value.Entry("Amt", .integer(-2)),
                ])
            ),
            (
                "a2616202616101",
                .map([
                    Value.Entry("b", .integer(2)), Value.Entry("a", .integer(1)),
                ])
            ),
        ] as [(String, Value)])
    func plain(text: String, value: Value) throws {
        let bytes = hex(text)
        #expect(try CBOR.decode(bytes.rawSpan) == value)
        #expect(try decode(CBOR.encode(value), .cbor) == value)
    }

    @Test(
        "what is not well-formed, or no value of the data model, is refused in plain cbor too",
        arguments: [
            "", "18", "1c", "1f", "3f", "f8", "f818", "f0", "ff", "81", "8101ff", "9f01", "9f",
            "bf6161ff", "bf01ff", "a10101", "5f6161ff", "5f5f4100ffff", "7f61", "61ff", "c001",
            "d82a4100", "c24101", "f97e00", "f97c00", "faff800000", "fb7ff0000000000000",
            "1b00000000000000", "5bffffffffffffffff", "9bffffffffffffffff", "bb8000000000000000",
            "0000", "7f62c328ff",
        ])
    func malformed(text: String) {
        let bytes = hex(text)
        #expect(throws: DecodeError.self) { try CBOR.decode(bytes.rawSpan) }
        #expect(throws: DecodeError.self) { try DagCBOR.decode(bytes.rawSpan) }
    }

    @Test("links are found in the forms that old encoders wrote")
    func historicalForms() throws {
        let cid = CID(.dagCBOR, Multihash.sha2_256(of: [1, 2, 3].rawSpan))
        let link = [0xd8, 0x2a, 0x58, UInt8(cid.bytes.count + 1), 0] + cid.bytes
        // Keys out of order, a padded integer, a short float.
        let block = hex("a3 6162") + link + hex("6161 1801 6163 f93e00")
        #expect(try DagCBOR.links(in: block.rawSpan) == [cid])
        #expect(throws: DecodeError.self) { try DagCBOR.decode(block.rawSpan) }
        for cut in 0..<block.count {
            #expect(throws: DecodeError.self) {
                try DagCBOR.links(in: Array(block.prefix(cut)).rawSpan)
            }
        }
        for wrong in ["d82b4100", "d82a4101", "d82a6100", "d82a40", "9fff", "f7"] {
            let bytes = hex(wrong)
            #expect(throws: DecodeError.self) { try DagCBOR.links(in: bytes.rawSpan) }
        }
    }

    @Test("a promise of many items costs no memory")
    func promises() {
        for head in ["9b0000000100000000", "bb0000000100000000", "5a7fffffff", "9a7fffffff"] {
            let bytes = hex(head) + [0, 0, 0]
            let error = #expect(throws: DecodeError.self) { try DagCBOR.decode(bytes.rawSpan) }
            #expect(error?.kind == .truncated)
        }
    }
}
