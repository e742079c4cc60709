import TestSupport
import Testing
import Wire

@Suite struct VarintTests {
    /// The boundary of every length, in the shortest form and back.
    @Test func lengths() throws {
        for length in 1...9 {
            let bits = UInt64(7 * length)
            for value: UInt64 in [1 << (bits - 7), (1 << bits) - 1] {
                var bytes: [UInt8] = []
                bytes.appendVarint(value)
                #expect(bytes.count == length)
                #expect(Varint.length(of: value) == bytes.count)
                #expect(try readVarint(bytes) == value)
                for end in 0..<bytes.count {
                    let error = #expect(throws: DecodeError.self) {
                        try readVarint(Array(bytes[..<end]))
                    }
                    #expect(error?.kind == .truncated)
                }
            }
        }
        #expect(try readVarint([0]) == 0)
        #expect(try readProtobuf(Array(repeating: 0xff, count: 9) + [1]) == .max)
    }

    /// Padded, overlong and oversized forms are refused, so that a number has one encoding.
    @Test(
        arguments: [
            [0x80, 0x00], [0xff, 0x00], [0x81, 0x80, 0x00],
            [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
            [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ] as [[UInt8]])
    func refused(bytes: [UInt8]) {
        #expect(throws: DecodeError.self) { try readVarint(bytes) }
    }

    /// Protobuf's tenth byte may hold one bit only.
    @Test(arguments: [2, 3, 0x7f, 0x80, 0x81] as [UInt8])
    func protobufOverflow(last: UInt8) {
        #expect(throws: DecodeError.self) {
            try readProtobuf(Array(repeating: 0xff, count: 9) + [last, 0])
        }
    }

    /// Noise is refused, or encodes to the bytes that were read.
    @Test func noise() {
        var noise = Noise(seed: 6)
        for _ in 0..<5000 {
            let bytes = noise.bytes(upTo: 11)
            var reader = ByteReader(bytes.rawSpan)
            // Refusal is as good an answer as any here.
            guard let value = try? reader.readVarint() else { continue }
            var again: [UInt8] = []
            again.appendVarint(value)
            #expect(again == Array(bytes.prefix(reader.offset)))
        }
    }

    private func readVarint(_ bytes: [UInt8]) throws(DecodeError) -> UInt64 {
        var reader = ByteReader(bytes.rawSpan)
        return try reader.readVarint()
    }

    private func readProtobuf(_ bytes: [UInt8]) throws(DecodeError) -> UInt64 {
        var reader = ByteReader(bytes.rawSpan)
        return try reader.readProtobufVarint()
    }
}

@Suite struct ByteReaderTests {
    /// Integers are read in the order of bytes that was asked for, and appended likewise.
    @Test func integers() throws {
        let bytes: [UInt8] = [1, 2, 3, 4, 5, 6, 7, 8]
        var reader = ByteReader(bytes.rawSpan)
        #expect(try reader.readBigEndian(UInt16.self) == 0x0102)
        #expect(try reader.readLittleEndian(UInt16.self) == 0x0403)
        #expect(try reader.readBigEndian(UInt32.self) == 0x0506_0708)
        #expect(reader.isAtEnd && reader.peek == nil)
        var written: [UInt8] = []
        written.appendBigEndian(UInt16(0x0102))
        written.appendLittleEndian(UInt16(0x0403))
        written.appendBigEndian(UInt32(0x0506_0708))
        #expect(written == bytes)
    }

    /// No read passes the end, and a failed one reads nothing.
    @Test func ends() {
        let bytes: [UInt8] = [1, 2, 3]
        var reader = ByteReader(bytes.rawSpan)
        expectTruncated { _ = try reader.readBigEndian(UInt32.self) }
        expectTruncated { _ = try reader.readBytes(4) }
        expectTruncated { _ = try reader.readBytes(-1) }
        expectTruncated { _ = try reader.readBytes(.max) }
        expectTruncated { try reader.skip(.max) }
        #expect(reader.offset == 0 && reader.remaining == 3)
        #expect((try? reader.readBytes(3)) == bytes)
        expectTruncated { _ = try reader.readByte() }
    }

    private func expectTruncated(_ read: () throws -> Void) {
        do {
            try read()
            Issue.record("the read should have failed")
        } catch {
            #expect((error as? DecodeError)?.kind == .truncated)
        }
    }
}

@Suite struct ProtobufTests {
    /// A message of every wire type, read field by field.
    @Test func fields() throws {
        var message: [UInt8] = []
        message.appendField(1, varint: 300)
        message.appendField(2, bytes: [1, 2, 3])
        message.appendField(3, fixed32: 0x0102_0304)
        message.appendField(4, fixed64: .max)
        #expect(Array(message.prefix(3)) == [0x08, 0xac, 0x02])
        var reader = ByteReader(message.rawSpan)
        #expect(try reader.readTag() == ProtobufTag(1, .varint))
        #expect(try reader.readProtobufVarint() == 300)
        #expect(try reader.readTag() == ProtobufTag(2, .bytes))
        #expect([UInt8](try reader.readDelimited()) == [1, 2, 3])
        #expect(try reader.readTag() == ProtobufTag(3, .fixed32))
        #expect(try reader.readLittleEndian(UInt32.self) == 0x0102_0304)
        #expect(try reader.readTag() == ProtobufTag(4, .fixed64))
        try reader.skipValue(of: .fixed64)
        #expect(try reader.readTag() == nil)
    }

    /// Field zero, the group wire types and a length beyond the end are refused.
    @Test(arguments: [[0x00], [0x0b], [0x0c], [0x0e], [0x0a, 0x05, 1], [0x0d, 1], [0x09, 1]])
    func refused(bytes: [UInt8]) {
        #expect(throws: DecodeError.self) { try skipAll(bytes) }
    }

    /// Every truncation of a message inside a field is refused; mutations and noise never trap.
    @Test func noise() {
        var message: [UInt8] = []
        message.appendField(1, varint: .max)
        message.appendField(2, bytes: [1, 2, 3])
        message.appendField(3, fixed32: 7)
        message.appendField(1000, fixed64: 8)
        let boundaries = [0, 11, 16, 21, message.count]
        for length in 0...message.count {
            let isWhole = (try? skipAll(Array(message.prefix(length)))) != nil
            #expect(isWhole == boundaries.contains(length), "\(length)")
        }
        var noise = Noise(seed: 7)
        for round in 0..<5000 {
            let bytes = round % 2 == 0 ? noise.mutation(of: message) : noise.bytes(upTo: 30)
            // Whether it is refused does not matter here, only that it ends.
            try? skipAll(bytes)
        }
    }

    private func skipAll(_ bytes: [UInt8]) throws(DecodeError) {
        var reader = ByteReader(bytes.rawSpan)
        while let tag = try reader.readTag() { try reader.skipValue(of: tag.wireType) }
    }
}
