import Wire

/// BLAKE3 without a key (github.com/BLAKE3-team/BLAKE3-specs): a tree over chunks of 1 KiB.
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

    /// One compression; the first eight words of the result are the chaining value. The state is
    /// in variables and the message moves between rounds, so that the compiler can use registers.
    private static func compress(
        _ value: Words, _ block: InlineArray<16, UInt32>, counter: UInt64, length: UInt32,
        flags: UInt32
    ) -> InlineArray<16, UInt32> {
        var m = block
        var (a0, a1, a2, a3) = (value[0], value[1], value[2], value[3])
        var (b0, b1, b2, b3) = (value[4], value[5], value[6], value[7])
        var (c0, c1, c2, c3) = (initial[0], initial[1], initial[2], initial[3])
        var (d0, d1) = (UInt32(truncatingIfNeeded: counter), UInt32(counter >> 32))
        var (d2, d3) = (length, flags)
        for round in 0..<7 {
            mix(&a0, &b0, &c0, &d0, m[0], m[1])
            mix(&a1, &b1, &c1, &d1, m[2], m[3])
            mix(&a2, &b2, &c2, &d2, m[4], m[5])
            mix(&a3, &b3, &c3, &d3, m[6], m[7])
            mix(&a0, &b1, &c2, &d3, m[8], m[9])
            mix(&a1, &b2, &c3, &d0, m[10], m[11])
            mix(&a2, &b3, &c0, &d1, m[12], m[13])
            mix(&a3, &b0, &c1, &d2, m[14], m[15])
            if round == 6 { break }
            m = [
                m[2], m[6], m[3], m[10], m[7], m[0], m[4], m[13],
                m[1], m[11], m[12], m[5], m[9], m[14], m[15], m[8],
            ]
        }
        return [
            a0 ^ c0, a1 ^ c1, a2 ^ c2, a3 ^ c3, b0 ^ d0, b1 ^ d1, b2 ^ d2, b3 ^ d3,
            c0 ^ value[0], c1 ^ value[1], c2 ^ value[2], c3 ^ value[3],
            d0 ^ value[4], d1 ^ value[5], d2 ^ value[6], d3 ^ value[7],
        ]
    }

    @inline(__always)
    private static func mix(
        _ a: inout UInt32, _ b: inout UInt32, _ c: inout UInt32, _ d: inout UInt32,
        _ x: UInt32, _ y: UInt32
    ) {
        a = a &+ b &+ x
        d = (d ^ a).rotatedRight(16)
        c = c &+ d
        b = (b ^ c).rotatedRight(12)
        a = a &+ b &+ y
        d = (d ^ a).rotatedRight(8)
        c = c &+ d
        b = (b ^ c).rotatedRight(7)
    }
}
