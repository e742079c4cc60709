// dag-pb nodes: what is canonical, what is only old, and what is wrong.

import IPLD
import Multiformats
import TestSupport
import Testing
import Wire

private let cid = CID(.raw, Multihash.sha2_256(of: [1].rawSpan))

/// The field of a link with these contents, as hexadecimal of what follows the Hash.
private func link(_ fields: String) -> [UInt8] {
    let content = [0x0a, UInt8(cid.bytes.count)] + cid.bytes + hex(fields)
    return [0x12, UInt8(content.count)] + content
}

@Suite struct DagPBTests {
    @Test("absent and empty fields stay apart, so that every canonical block re-encodes to itself")
    func byteExact() throws {
        for name in [nil, [], Array("name".utf8)] as [[UInt8]?] {
            for tsize in [nil, 0, 300, UInt64.max] as [UInt64?] {
                for data in [nil, [], [1, 2, 3]] as [[UInt8]?] {
                    let entry = PBLink(cid, name: name, tsize: tsize)
                    let node = PBNode(links: [entry, entry], data: data)
                    let bytes = node.encoded()
                    #expect(try PBNode(decoding: bytes.rawSpan) == node)
                    let layout = try PBLayout(decoding: bytes.rawSpan)
                    #expect(layout.links == node.links)
                    #expect(layout.dataRange.map { Array(bytes[$0]) } == data)
                    let value = try DagPB.decode(bytes.rawSpan)
                    #expect(try DagPB.encode(value) == bytes)
                    #expect(try PBLayout.links(in: bytes.rawSpan) == [cid, cid])
                }
            }
        }
        #expect(PBNode().encoded().isEmpty)
        #expect(try PBNode(decoding: [UInt8]().rawSpan) == PBNode())
    }

    @Test("Data before Links is old and is read; the two never mix")
    func fieldOrder() throws {
        let data = hex("0a0101")
        let old = data + link("1200") + link("120161")
        let node = try PBNode(decoding: old.rawSpan)
        #expect(node.data == [1] && node.links.count == 2)
        #expect(node.encoded() == link("1200") + link("120161") + data)
        for wrong in [
            link("") + data + link(""), data + link("") + data, data + data, link("") + data + data,
        ] {
            #expect(throws: DecodeError.self) { try PBNode(decoding: wrong.rawSpan) }
            #expect(throws: DecodeError.self) { try PBLayout.links(in: wrong.rawSpan) }
        }
    }

    @Test(
        "fields that are unknown, repeated, out of order or of another type are refused",
        arguments: [
            link("1801 1200"), link("1200 1200"), link("1801 1801"), link("2001"), link("1001"),
            link("1a00"), link("12"), link("1205 61"), link("18"), link("18ffffffffffffffffff7f"),
            link("188000"), hex("1a00"), hex("0801"), hex("1001"), hex("0a05 01"), hex("12"),
            hex("1202 1200"), hex("1200"), hex("00"), hex("8a00 0101"), hex("0a8000"),
            hex("0affffffffffffffff7f"), hex("12 04 0a02 0155"), hex("1206 0a04 01550000 "),
            hex("1203 0a01 00 "), link("") + [0x12],
        ])
    func refused(block: [UInt8]) {
        // The one form above that is right: an identity CID without content.
        guard block != hex("1206 0a04 01550000") else {
            #expect(throws: Never.self) { try PBNode(decoding: block.rawSpan) }
            return
        }
        #expect(throws: DecodeError.self) { try PBNode(decoding: block.rawSpan) }
        #expect(throws: DecodeError.self) { try PBLayout.links(in: block.rawSpan) }
    }

    @Test("links sort by the bytes of their names, equal names in the order they had")
    func sorting() {
        let names = ["b", "", "a", "aa", "b", "Z", "\u{e9}", ""]
        var node = PBNode()
        for (index, name) in names.enumerated() {
            node.links.append(PBLink(cid, name: Array(name.utf8), tsize: UInt64(index)))
        }
        node.links.append(PBLink(cid, name: nil, tsize: 8))
        node.sortLinks()
        #expect(node.links.map(\.tsize) == [1, 7, 8, 5, 2, 3, 0, 4, 6])
        let sorted = node
        node.sortLinks()
        #expect(node == sorted)
    }

    @Test("a node with 100,000 links goes through whole")
    func manyLinks() throws {
        var node = PBNode()
        for index in 0..<100_000 {
            node.links.append(PBLink(cid, name: Array("\(index)".utf8), tsize: 1))
        }
        let bytes = node.encoded()
        #expect(try PBNode(decoding: bytes.rawSpan) == node)
        #expect(try PBLayout.links(in: bytes.rawSpan).count == 100_000)
    }

    @Test("an error says where it is")
    func place() {
        let block = link("1200") + link("1801 1200")
        let error = #expect(throws: DecodeError.self) { try PBNode(decoding: block.rawSpan) }
        #expect(error?.offset == block.count - 2)
    }
}
