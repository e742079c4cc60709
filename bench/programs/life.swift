// Conway's Game of Life on a torus, in Embedded Swift.

import Weft

@c(run)
public func run() {
    let side = 256
    var cells = [UInt8](repeating: 0, count: side * side)
    var random: UInt32 = 12
    for index in cells.indices {
        random = random &* 1_664_525 &+ 1_013_904_223
        cells[index] = UInt8(random >> 31)
    }
    for _ in 0..<100 { cells = next(cells, side: side) }
    var sum: UInt64 = 0
    for cell in cells { sum = (sum ^ UInt64(cell)) &* 0x100_0000_01b3 }
    Response.write((0..<8).map { UInt8(truncatingIfNeeded: sum >> (8 * $0)) })
}

/// The next generation.
func next(_ cells: [UInt8], side: Int) -> [UInt8] {
    var out = [UInt8](repeating: 0, count: cells.count)
    for row in 0..<side {
        let above = (row + side - 1) % side * side
        let here = row * side
        let below = (row + 1) % side * side
        for column in 0..<side {
            let left = (column + side - 1) % side
            let right = (column + 1) % side
            let around =
                cells[above + left] + cells[above + column] + cells[above + right]
                + cells[here + left] + cells[here + right]
                + cells[below + left] + cells[below + column] + cells[below + right]
            out[here + column] = around == 3 || around == 2 && cells[here + column] == 1 ? 1 : 0
        }
    }
    return out
}
