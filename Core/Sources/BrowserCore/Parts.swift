// Several byte strings in one: each after its length, four bytes with the least significant first.
// So what has parts passes the doors of all modules.

import Wire

/// Byte strings as one.
func joined(_ parts: [[UInt8]]) -> [UInt8] {
    var out: [UInt8] = []
    for part in parts {
        out.appendLittleEndian(UInt32(part.count))
        out += part
    }
    return out
}

/// The byte strings that one is made of.
func parts(of bytes: RawSpan) throws(DecodeError) -> [[UInt8]] {
    var reader = ByteReader(bytes)
    var parts: [[UInt8]] = []
    while !reader.isAtEnd {
        let count = Int(try reader.readLittleEndian(UInt32.self))
        parts.append([UInt8](try reader.readBytes(count)))
    }
    return parts
}

/// Lines as bytes.
func lines(_ texts: [String]) -> [UInt8] {
    var out: [UInt8] = []
    for (index, text) in texts.enumerated() {
        if index > 0 { out.append(0x0a) }
        out += text.utf8
    }
    return out
}
