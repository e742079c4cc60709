import Wire

/// BLAKE3 without a key (github.com/BLAKE3-team/BLAKE3-specs): a tree over chunks of 1 KiB.
///
/// Long input is hashed four chunks at a time, one in each lane of a vector.
public struct BLAKE3: Sendable {
    private typealias Words = InlineArray<8, UInt32>

    private static let chunkLength = 1024
    private static let chunkStart: UInt32 = 1
    private static let chunkEnd: UInt32 = 2
    private static let parent: UInt32 = 4
    private static let root: UInt32 = 8

    /// The input of the current chunk, held back because the last chunk may be the root.
    private var chunk = BlockBuffer(blockSize: BLAKE3.chunkLength, last: .heldBack)
    /// How many chunks are complete and in the tree.
    private var chunks: UInt64 = 0
    /// The roots of the complete subtrees, the largest first.
    private var subtrees: [Words] = []

    /// Starts a new message.
    public init() {}

    /// Takes in the next piece of the message.
    public mutating func update(_ bytes: RawSpan) {
        var tree = Tree(chunks: chunks, subtrees: subtrees)
        chunk.absorb(bytes) { tree.add(chunks: $0) }
        chunks = tree.chunks
        subtrees = tree.subtrees
    }

    /// The first `length` bytes of the message's output, of which there are as many as one likes.
    public consuming func finalize(length: Int = 32) -> [UInt8] {
        var node = Self.lastBlock(of: chunk, index: chunks)
        while let left = subtrees.popLast() {
            node = Node(left, node.chainingValue)
        }
        return node.output(length: length)
    }

    /// The digest of one message, 32 bytes unless another length is given.
    public static func hash(_ bytes: RawSpan, length: Int = 32) -> [UInt8] {
        var hasher = Self()
        hasher.update(bytes)
        return hasher.finalize(length: length)
    }

    private static func lastBlock(of chunk: BlockBuffer, index: UInt64) -> Node {
        var block = InlineArray<16, UInt32>(repeating: 0)
        var value = initial
        var start = 0
        var flags = chunkStart
        let bytes = chunk.pending.rawSpan
        while chunk.count - start > 64 {
            for i in 0..<16 { block[i] = bytes.littleEndian32(at: start + 4 * i) }
            let state = compress(value, block, counter: index, length: 64, flags: flags)
            for i in 0..<8 { value[i] = state[i] }
            start += 64
            flags = 0
        }
        block = InlineArray(repeating: 0)
        for i in start..<chunk.count {
            block[(i - start) / 4] |= UInt32(bytes.byte(at: i)) &<< UInt32(8 * (i & 3))
        }
        return Node(
            value: value, block: block, counter: index, length: UInt32(chunk.count - start),
            flags: flags | chunkEnd)
    }

    private static let initial: Words = [
        0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a,
        0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19,
    ]
}

extension BLAKE3 {
    /// The last compression of a chunk or a parent, not made yet: as the root of the message it
    /// yields output, else a chaining value.
    private struct Node {
        var value: Words
        var block: InlineArray<16, UInt32>
        var counter: UInt64
        var length: UInt32
        var flags: UInt32

        init(
            value: Words, block: InlineArray<16, UInt32>, counter: UInt64, length: UInt32,
            flags: UInt32
        ) {
            self.value = value
            self.block = block
            self.counter = counter
            self.length = length
            self.flags = flags
        }

        /// The parent of two subtrees.
        init(_ left: Words, _ right: Words) {
            block = InlineArray(repeating: 0)
            for i in 0..<8 {
                block[i] = left[i]
                block[i + 8] = right[i]
            }
            value = BLAKE3.initial
            counter = 0
            length = 64
            flags = BLAKE3.parent
        }

        var chainingValue: Words {
            let state = BLAKE3.compress(
                value, block, counter: counter, length: length, flags: flags)
            var words = Words(repeating: 0)
            for i in 0..<8 { words[i] = state[i] }
            return words
        }

        func output(length wanted: Int) -> [UInt8] {
            var out: [UInt8] = []
            var index: UInt64 = 0
            while out.count < wanted {
                let state = BLAKE3.compress(
                    value, block, counter: index, length: length, flags: flags | BLAKE3.root)
                for i in 0..<16 { out.appendLittleEndian(state[i]) }
                index += 1
            }
            out.removeLast(out.count - wanted)
            return out
        }
    }

    /// The complete part of the tree.
    private struct Tree {
        var chunks: UInt64
        var subtrees: [Words]

        /// Adds whole chunks, none of which is the last one of the message.
        mutating func add(chunks bytes: RawSpan) {
            var start = 0
            while bytes.byteCount - start >= 4 * BLAKE3.chunkLength {
                let values = BLAKE3.fourChunks(bytes, at: start, index: chunks)
                for lane in 0..<4 {
                    var words = Words(repeating: 0)
                    for i in 0..<8 { words[i] = values[i][lane] }
                    push(words)
                }
                start += 4 * BLAKE3.chunkLength
            }
            while start < bytes.byteCount {
                push(BLAKE3.oneChunk(bytes, at: start, index: chunks))
                start += BLAKE3.chunkLength
            }
        }

        /// Adds one chunk and joins the subtrees that it completes: as many as the number of
        /// chunks has trailing zero bits.
        private mutating func push(_ value: Words) {
            var value = value
            chunks += 1
            for _ in 0..<chunks.trailingZeroBitCount {
                guard let left = subtrees.popLast() else { break }
                value = Node(left, value).chainingValue
            }
            subtrees.append(value)
        }
    }
}

extension BLAKE3 {
    private typealias Lanes = SIMD4<UInt32>

    /// The chaining value of one whole chunk.
    private static func oneChunk(_ bytes: RawSpan, at start: Int, index: UInt64) -> Words {
        var value = initial
        var block = InlineArray<16, UInt32>(repeating: 0)
        for number in 0..<16 {
            for i in 0..<16 { block[i] = bytes.littleEndian32(at: start + 64 * number + 4 * i) }
            let flags = (number == 0 ? chunkStart : 0) | (number == 15 ? chunkEnd : 0)
            let state = compress(value, block, counter: index, length: 64, flags: flags)
            for i in 0..<8 { value[i] = state[i] }
        }
        return value
    }

    /// The chaining values of four neighbouring chunks; lane `n` of each word belongs to chunk
    /// `index + n`.
    private static func fourChunks(
        _ bytes: RawSpan, at start: Int, index: UInt64
    ) -> InlineArray<8, Lanes> {
        var value = InlineArray<8, Lanes>(repeating: Lanes())
        for i in 0..<8 { value[i] = Lanes(repeating: initial[i]) }
        var low = Lanes()
        var high = Lanes()
        for lane in 0..<4 {
            low[lane] = UInt32(truncatingIfNeeded: index + UInt64(lane))
            high[lane] = UInt32(truncatingIfNeeded: (index + UInt64(lane)) >> 32)
        }
        var block = InlineArray<16, Lanes>(repeating: Lanes())
        for number in 0..<16 {
            for i in 0..<16 {
                let place = start + 64 * number + 4 * i
                block[i] = Lanes(
                    bytes.littleEndian32(at: place),
                    bytes.littleEndian32(at: place + chunkLength),
                    bytes.littleEndian32(at: place + 2 * chunkLength),
                    bytes.littleEndian32(at: place + 3 * chunkLength))
            }
            let flags = (number == 0 ? chunkStart : 0) | (number == 15 ? chunkEnd : 0)
            var v = InlineArray<16, Lanes>(repeating: Lanes())
            for i in 0..<8 { v[i] = value[i] }
            for i in 0..<4 { v[i + 8] = Lanes(repeating: initial[i]) }
            v[12] = low
            v[13] = high
            v[14] = Lanes(repeating: 64)
            v[15] = Lanes(repeating: flags)
            rounds(&v, block)
            for i in 0..<8 { value[i] = v[i] ^ v[i + 8] }
        }
        return value
    }

    @inline(__always)
    private static func rounds(
        _ v: inout InlineArray<16, Lanes>, _ m: InlineArray<16, Lanes>
    ) {
        for round in 0..<7 {
            let row = 16 * round
            mix(&v, 0, 4, 8, 12, m[Int(order[row])], m[Int(order[row + 1])])
            mix(&v, 1, 5, 9, 13, m[Int(order[row + 2])], m[Int(order[row + 3])])
            mix(&v, 2, 6, 10, 14, m[Int(order[row + 4])], m[Int(order[row + 5])])
            mix(&v, 3, 7, 11, 15, m[Int(order[row + 6])], m[Int(order[row + 7])])
            mix(&v, 0, 5, 10, 15, m[Int(order[row + 8])], m[Int(order[row + 9])])
            mix(&v, 1, 6, 11, 12, m[Int(order[row + 10])], m[Int(order[row + 11])])
            mix(&v, 2, 7, 8, 13, m[Int(order[row + 12])], m[Int(order[row + 13])])
            mix(&v, 3, 4, 9, 14, m[Int(order[row + 14])], m[Int(order[row + 15])])
        }
    }

    @inline(__always)
    private static func mix(
        _ v: inout InlineArray<16, Lanes>, _ a: Int, _ b: Int, _ c: Int, _ d: Int,
        _ x: Lanes, _ y: Lanes
    ) {
        v[a] = v[a] &+ v[b] &+ x
        v[d] = rotatedRight(v[d] ^ v[a], 16)
        v[c] = v[c] &+ v[d]
        v[b] = rotatedRight(v[b] ^ v[c], 12)
        v[a] = v[a] &+ v[b] &+ y
        v[d] = rotatedRight(v[d] ^ v[a], 8)
        v[c] = v[c] &+ v[d]
        v[b] = rotatedRight(v[b] ^ v[c], 7)
    }

    @inline(__always)
    private static func rotatedRight(_ value: Lanes, _ count: UInt32) -> Lanes {
        (value &>> count) | (value &<< (32 - count))
    }

    /// One compression; the first eight words of the result are the chaining value.
    private static func compress(
        _ value: Words, _ block: InlineArray<16, UInt32>, counter: UInt64, length: UInt32,
        flags: UInt32
    ) -> InlineArray<16, UInt32> {
        var a = Lanes(value[0], value[1], value[2], value[3])
        var b = Lanes(value[4], value[5], value[6], value[7])
        var c = Lanes(initial[0], initial[1], initial[2], initial[3])
        var d = Lanes(
            UInt32(truncatingIfNeeded: counter), UInt32(truncatingIfNeeded: counter >> 32),
            length, flags)
        for round in 0..<7 {
            let row = 16 * round
            quarter(&a, &b, &c, &d, words(block, row, 0), words(block, row, 1))
            b = Lanes(b[1], b[2], b[3], b[0])
            c = Lanes(c[2], c[3], c[0], c[1])
            d = Lanes(d[3], d[0], d[1], d[2])
            quarter(&a, &b, &c, &d, words(block, row, 8), words(block, row, 9))
            b = Lanes(b[3], b[0], b[1], b[2])
            c = Lanes(c[2], c[3], c[0], c[1])
            d = Lanes(d[1], d[2], d[3], d[0])
        }
        var out = InlineArray<16, UInt32>(repeating: 0)
        for i in 0..<4 {
            out[i] = a[i] ^ c[i]
            out[i + 4] = b[i] ^ d[i]
            out[i + 8] = c[i] ^ value[i]
            out[i + 12] = d[i] ^ value[i + 4]
        }
        return out
    }

    /// Every second message word of a round, from `first` on.
    @inline(__always)
    private static func words(
        _ m: InlineArray<16, UInt32>, _ row: Int, _ first: Int
    ) -> Lanes {
        let start = row + first
        return Lanes(
            m[Int(order[start])], m[Int(order[start + 2])], m[Int(order[start + 4])],
            m[Int(order[start + 6])])
    }

    @inline(__always)
    private static func quarter(
        _ a: inout Lanes, _ b: inout Lanes, _ c: inout Lanes, _ d: inout Lanes,
        _ x: Lanes, _ y: Lanes
    ) {
        a = a &+ b &+ x
        d = rotatedRight(d ^ a, 16)
        c = c &+ d
        b = rotatedRight(b ^ c, 12)
        a = a &+ b &+ y
        d = rotatedRight(d ^ a, 8)
        c = c &+ d
        b = rotatedRight(b ^ c, 7)
    }

    /// The order of the message words in each of the seven rounds.
    private static let order: InlineArray<112, UInt8> = [
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
        2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8,
        3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1,
        10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6,
        12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4,
        9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7,
        11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13,
    ]
}
