// Figures of the block store alone: how fast small blocks go in and come out, what the index costs
// on disk, how long opening takes. Usage: store-bench DIRECTORY [COUNT]

import BlockStore
import Glibc
import IPLD
import Multiformats
import NIOCore

/// Processor time of this process so far, in seconds.
func processorTime() -> Double {
    var usage = rusage()
    getrusage(0, &usage)
    let micro = usage.ru_utime.tv_usec + usage.ru_stime.tv_usec
    return Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + Double(micro) / 1_000_000
}

/// How long a piece of work took, by the clock and in processor time, in seconds.
struct Cost {
    var time: Double
    var processor: Double
}

func cost(_ body: () async throws -> Void) async rethrows -> Cost {
    let clock = ContinuousClock()
    let start = clock.now
    let processor = processorTime()
    try await body()
    let time = Double((clock.now - start) / .microseconds(1)) / 1_000_000
    return Cost(time: time, processor: processorTime() - processor)
}

func content(_ index: Int, _ count: Int) -> ByteBuffer {
    var buffer = ByteBuffer()
    var value = UInt64(truncatingIfNeeded: index) &* 0x9e37_79b9_7f4a_7c15 | 1
    while buffer.readableBytes < count {
        value ^= value << 13
        value ^= value >> 7
        value ^= value << 17
        buffer.writeInteger(value)
    }
    return buffer.getSlice(at: 0, length: count) ?? buffer
}

func tell(_ name: String, _ cost: Cost, _ count: Int, _ bytes: Int) {
    let rate = Int(Double(count) / cost.time)
    let speed = Int(Double(bytes) / cost.time / 1_000_000)
    print(
        "\(name): \(Int(cost.time * 1000)) ms, processor \(Int(cost.processor * 1000)) ms,",
        "\(rate) blocks/s, \(speed) MB/s")
}

let path = CommandLine.arguments[1]
let count = CommandLine.arguments.count > 2 ? Int(CommandLine.arguments[2]) ?? 100_000 : 100_000
let options = StoreOptions(maxBytes: 16 << 30)
var store = try BlockStore.open(at: path + "/small", options)
var blocks: [Block] = []
for index in 0..<100_000 {
    blocks.append(try Block(hashing: content(index, 1024), codec: .raw))
}
for batch in 0..<max(1, count / 100_000) {
    if batch > 0 {
        for index in 0..<100_000 {
            blocks[index] = try Block(
                hashing: content(batch * 100_000 + index, 1024), codec: .raw)
        }
    }
    let roots = try stride(from: 0, to: 100_000, by: 1000).map { start in
        let links = blocks[start..<start + 1000].map { Value.link($0.cid) }
        return Block(EncodedBlock(try DagCBOR.encode(.list(links)), codec: .dagCBOR))
    }
    let root = Block(
        EncodedBlock(
            try DagCBOR.encode(.list(roots.map { .link($0.cid) })), codec: .dagCBOR))
    let time = try await cost {
        let session = store.beginWrite()
        for block in blocks + roots + [root] { try session.put(block) }
        session.pin(root.cid, .recursive)
        try await session.commit()
    }
    tell("put 100,000 blocks of 1 KiB, pinned, durable (\(batch))", time, 100_000, 102_400_000)
}
let figures = store.statistics()
// A record has a header of ten bytes; the rest is the index, its log, and rounding.
let overhead = Double(figures.usedBytes - figures.liveBytes) / Double(figures.blocks) + 10
print("overhead \(overhead) bytes a block in \(figures.segments) segments: \(figures)")
let again = try await cost {
    let session = store.beginWrite()
    for block in blocks { try session.put(block) }
    try await session.commit()
}
tell("put them again", again, 100_000, 102_400_000)
let cold = try await cost {
    for index in 0..<20_000 { _ = try await store.block(blocks[index &* 7919 % 100_000].cid.hash) }
}
tell("first read", cold, 20_000, 20_480_000)
let hot = try await cost {
    for index in 0..<1_000_000 { _ = try await store.block(blocks[index % 1000].cid.hash) }
}
tell("hot read", hot, 1_000_000, 1_024_000_000)
try await store.close()
let opening = try await cost { store = try BlockStore.open(at: path + "/small", options) }
print("open: \(Int(opening.time * 1_000_000)) us")
let check = try await cost { print(try await store.check(.report)) }
tell("check", check, count, count * 1024)
try await store.close()

store = try BlockStore.open(at: path + "/large", options)
var large: [Block] = []
for index in 0..<1024 {
    large.append(try Block(hashing: content(index, 1 << 20), codec: .raw))
}
let append = try await cost {
    let session = store.beginWrite()
    for block in large { try session.put(block) }
    try await session.commit()
}
tell("put 1 GiB in blocks of 1 MiB, durable", append, 1024, 1 << 30)
let read = try await cost {
    for block in large { _ = try await store.block(block.cid.hash) }
}
tell("read 1 GiB in blocks of 1 MiB", read, 1024, 1 << 30)
try await store.close()
