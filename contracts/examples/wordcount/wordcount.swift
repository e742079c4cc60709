// Counts the words of a text as a map-reduce over many calls: /count?of=CID&part=4096 calls /part
// of itself for every 4096 bytes of the content, all at once, and adds up what they say. Each part
// is an activation of its own, which another machine can run, check and remember.

import Weft

/// Calls that one count may make.
private let maxParts: UInt64 = 1_000

@c(count)
public func count() {
    guard let cid = Request.parameter("of") else {
        return Response.fail(400, "name the text: /count?of=CID")
    }
    let size = fetch("ipfs://\(cid)").size
    // Some ten milliseconds of work each: what a call costs beside its work is below one.
    let part = UInt64(max(Request.number("part") ?? 524_288, 64))
    let parts = (size + part - 1) / part
    guard parts <= maxParts else {
        return Response.fail(400, "that makes \(parts) parts; choose a larger part")
    }
    // Started together. Each sets aside what it may use, and gives back what it does not.
    var calls: [Source] = []
    for index in 0..<parts {
        calls.append(
            fetch("/part?of=\(cid)&from=\(index * part)&count=\(part)", gas: 500_000 + part * 2_500)
        )
    }
    var total = WordCounts()
    for call in calls {
        guard call.status == 200 else {
            return Response.fail(500, "a part answered \(call.status)")
        }
        total.add(lines: call.bytes)
    }
    Response.header("content-type", "text/plain; charset=utf-8")
    Response.write(total.lines(byCount: true))
}

@c(part)
public func part() {
    guard let cid = Request.parameter("of"), let from = Request.number("from"),
        let count = Request.number("count"), from >= 0, count > 0
    else { return Response.fail(400, "a part is named by of, from and count") }
    let source = fetch("ipfs://\(cid)")
    // A word belongs to the part in which it begins.
    let start = max(from - 1, 0)
    let limit = from + count
    var counts = WordCounts()
    var word: [UInt8] = []
    var isWithin = false
    var offset = start
    reading: while true {
        let bytes = source.read(4_096, at: UInt64(offset))
        if bytes.isEmpty { break }
        for byte in bytes {
            if let letter = lowered(byte) {
                if !isWithin {
                    isWithin = true
                    // One that goes on from the part before is that part's.
                    if offset >= limit { break reading }
                    word = offset < from ? [] : [letter]
                } else if !word.isEmpty {
                    word.append(letter)
                }
            } else {
                if !word.isEmpty { counts.add(word, 1) }
                word = []
                isWithin = false
                if offset >= limit { break reading }
            }
            offset += 1
        }
    }
    if !word.isEmpty { counts.add(word, 1) }
    Response.write(counts.lines(byCount: false))
}

/// A letter in lower case; nil for what is between words. Whatever is not ASCII counts as a letter.
private func lowered(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), 0x80...0xff, UInt8(ascii: "'"): byte
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte | 0x20
    default: nil
    }
}

/// How often words occur.
struct WordCounts {
    private var counts: [[UInt8]: Int] = [:]

    mutating func add(_ word: [UInt8], _ count: Int) { counts[word, default: 0] += count }

    /// Adds what `lines` wrote.
    mutating func add(lines: [UInt8]) {
        for line in lines.split(separator: UInt8(ascii: "\n")) {
            guard let space = line.firstIndex(of: UInt8(ascii: " ")) else { continue }
            let count = line[..<space].reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) }
            add(Array(line[(space + 1)...]), count)
        }
    }

    /// Lines of a count and a word. The order does not depend on how words are hashed.
    func lines(byCount: Bool) -> [UInt8] {
        let sorted = counts.sorted { first, second in
            byCount && first.value != second.value
                ? first.value > second.value : first.key.lexicographicallyPrecedes(second.key)
        }
        var out: [UInt8] = []
        for (word, count) in sorted {
            out += "\(count) ".utf8
            out += word
            out.append(UInt8(ascii: "\n"))
        }
        return out
    }
}
