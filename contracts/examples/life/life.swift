// Conway's Game of Life on an endless plane. A pattern goes in and comes out in the run-length
// encoded form that collections of patterns use (conwaylife.com/wiki/Run_Length_Encoded):
// POST /step?generations=30

import Weft

@c(step)
public func step() {
    let generations = Request.number("generations") ?? 1
    guard (0...1_000).contains(generations) else {
        return Response.fail(400, "generations is a number from 0 to 1000")
    }
    guard var pattern = Pattern(runLengthEncoded: Request.body.bytes) else {
        return Response.fail(
            400, "the body is no run-length encoded pattern of at most 1024 x 1024")
    }
    for _ in 0..<generations { pattern.step() }
    Response.header("content-type", "text/plain")
    Response.write(pattern.runLengthEncoded)
}

/// The living cells within a rectangle of the plane.
struct Pattern {
    private(set) var width: Int
    private(set) var height: Int
    /// Where the rectangle's first cell is on the plane.
    private var column = 0
    private var row = 0
    /// 1 for a living cell, row by row.
    private var cells: [UInt8]

    private static let maxSide = 1_024

    /// Another generation. The rectangle grows by a cell on each side, and shrinks to what lives.
    mutating func step() {
        let wide = width + 2
        // The living neighbours of each cell and nine times itself, so that 3, 11 and 12 live on.
        var sums = [UInt8](repeating: 0, count: wide * (height + 2))
        for y in 0..<height {
            for x in 0..<width where cells[y * width + x] == 1 {
                for above in [y, y + 1, y + 2] {
                    let place = above * wide + x
                    sums[place] += 1
                    sums[place + 1] += 1
                    sums[place + 2] += 1
                }
                sums[(y + 1) * wide + x + 1] += 8
            }
        }
        cells = sums.map { $0 == 3 || $0 == 11 || $0 == 12 ? 1 : 0 }
        width = wide
        height += 2
        column -= 1
        row -= 1
        trim()
    }

    private mutating func trim() {
        var (left, right, top, bottom) = (width, -1, height, -1)
        for y in 0..<height {
            for x in 0..<width where cells[y * width + x] == 1 {
                (left, right) = (min(left, x), max(right, x))
                (top, bottom) = (min(top, y), max(bottom, y))
            }
        }
        guard right >= 0 else {
            (width, height, cells) = (0, 0, [])
            return
        }
        var kept: [UInt8] = []
        kept.reserveCapacity((right - left + 1) * (bottom - top + 1))
        for y in top...bottom { kept += cells[(y * width + left)...(y * width + right)] }
        (width, height, cells) = (right - left + 1, bottom - top + 1, kept)
        column += left
        row += top
    }
}

extension Pattern {
    /// Reads a pattern; nil if it is none, or too large. Lines that begin with `#` are comments,
    /// the header is not needed: what is there is counted.
    init?(runLengthEncoded text: [UInt8]) {
        var rows: [[UInt8]] = [[]]
        var count = 0
        var isComment = false
        var isLineStart = true
        scan: for byte in text {
            if byte == UInt8(ascii: "\n") {
                (isComment, isLineStart) = (false, true)
                continue
            }
            if isLineStart, byte == UInt8(ascii: "#") || byte == UInt8(ascii: "x") {
                isComment = true
            }
            isLineStart = false
            if isComment { continue }
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                count = count * 10 + Int(byte - UInt8(ascii: "0"))
                guard count <= Self.maxSide else { return nil }
            case UInt8(ascii: "b"), UInt8(ascii: "o"):
                let cell: UInt8 = byte == UInt8(ascii: "o") ? 1 : 0
                for _ in 0..<max(count, 1) { rows[rows.count - 1].append(cell) }
                guard rows[rows.count - 1].count <= Self.maxSide else { return nil }
                count = 0
            case UInt8(ascii: "$"):
                for _ in 0..<max(count, 1) { rows.append([]) }
                guard rows.count <= Self.maxSide else { return nil }
                count = 0
            case UInt8(ascii: "!"): break scan
            case UInt8(ascii: " "), UInt8(ascii: "\r"), UInt8(ascii: "\t"): break
            default: return nil
            }
        }
        let widest = rows.reduce(0) { max($0, $1.count) }
        cells = []
        for row in rows { cells += row + [UInt8](repeating: 0, count: widest - row.count) }
        width = widest
        height = rows.count
        trim()
    }

    /// The pattern in the same form, with its place on the plane.
    var runLengthEncoded: String {
        var out = "#CXRLE Pos=\(column),\(row)\nx = \(width), y = \(height), rule = B3/S23\n"
        var line = ""
        func put(_ count: Int, _ tag: String) {
            let item = (count > 1 ? "\(count)" : "") + tag
            if line.utf8.count + item.utf8.count > 70 {
                out += line + "\n"
                line = ""
            }
            line += item
        }
        var ends = 0
        for y in 0..<height {
            var x = 0
            while x < width {
                let cell = cells[y * width + x]
                var end = x
                while end < width, cells[y * width + end] == cell { end += 1 }
                // Dead cells at the end of a row are left out.
                if cell == 1 || end < width {
                    if ends > 0 { put(ends, "$") }
                    ends = 0
                    put(end - x, cell == 1 ? "o" : "b")
                }
                x = end
            }
            ends += 1
        }
        put(1, "!")
        return out + line + "\n"
    }
}
