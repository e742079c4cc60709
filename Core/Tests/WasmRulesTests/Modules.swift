// Modules made byte by byte, for what no assembler writes.

import Wire

/// A module of these sections: their numbers and contents.
func module(_ sections: (UInt8, [UInt8])...) -> [UInt8] {
    var out: [UInt8] = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]
    for (id, content) in sections {
        out.append(id)
        out += part(content)
    }
    return out
}

/// Bytes with their length before them.
func part(_ bytes: [UInt8]) -> [UInt8] { number(bytes.count) + bytes }

/// A number in LEB128.
func number(_ value: Int) -> [UInt8] {
    var out: [UInt8] = []
    out.appendVarint(UInt64(value))
    return out
}

/// A list of items, with their number before them.
func list(_ items: [[UInt8]]) -> [UInt8] { number(items.count) + items.flatMap { $0 } }

/// A name.
func name(_ text: String) -> [UInt8] { part(Array(text.utf8)) }

/// The types `[] -> []`, `[i32] -> [i32]` and `[f64] -> []`.
let someTypes: (UInt8, [UInt8]) = (
    1, list([[0x60, 0, 0], [0x60, 1, 0x7f, 1, 0x7f], [0x60, 1, 0x7c, 0]])
)

/// A module with a memory, a table and one function `[] -> []` of these instructions, which is
/// called "compute", with these variables.
func module(code: [UInt8], variables: [UInt8] = [0]) -> [UInt8] {
    let names = name("name") + [1] + part(list([[0] + name("compute")]))
    return module(
        someTypes, (3, [1, 0]), (4, [1, 0x70, 0, 1]), (5, [1, 0, 1]),
        (10, list([part(variables + code + [0x0b])])), (0, names))
}
