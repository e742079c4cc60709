// Streams of bytes as values: what the drivers of Core's machines are, and how a few bytes are
// drawn ahead so that an error becomes a status rather than a broken body.

import NIOCore

/// A stream of bytes that is a value: a copy of it goes on from the same place.
protocol ByteStream: Sendable {
    /// The next bytes; nil at the end.
    mutating func next() async throws -> ByteBuffer?
}

extension ResponseBody {
    /// What a stream yields.
    init(_ stream: some ByteStream) {
        self.init(state: { stream }, next: { try await $0.next() })
    }
}

/// A stream some of whose bytes have been drawn already.
struct PrimedStream<Rest: ByteStream>: ByteStream {
    private(set) var ready: [ByteBuffer] = []
    private var rest: Rest
    private var position = 0
    /// Whether all bytes are in ``ready``.
    private(set) var isComplete = false

    init(_ rest: Rest) {
        self.rest = rest
    }

    /// Draws at least `count` bytes, or all there are.
    mutating func draw(_ count: Int) async throws {
        var drawn = ready.reduce(0) { $0 + $1.readableBytes }
        while drawn < count, !isComplete {
            guard let part = try await rest.next() else {
                isComplete = true
                return
            }
            drawn += part.readableBytes
            ready.append(part)
        }
    }

    /// How many bytes have been drawn.
    var drawnBytes: Int { ready.reduce(0) { $0 + $1.readableBytes } }

    /// A copy of the first bytes that have been drawn.
    func head(_ count: Int) -> [UInt8] {
        var out: [UInt8] = []
        for part in ready where out.count < count {
            out.append(contentsOf: part.readableBytesView.prefix(count - out.count))
        }
        return out
    }

    mutating func next() async throws -> ByteBuffer? {
        if position < ready.count {
            defer { position += 1 }
            return ready[position]
        }
        if !ready.isEmpty {
            ready = []
            position = 0
        }
        return isComplete ? nil : try await rest.next()
    }
}

/// The bytes of one buffer.
struct BufferStream: ByteStream {
    private var buffer: ByteBuffer?

    init(_ buffer: ByteBuffer) {
        self.buffer = buffer.readableBytes > 0 ? buffer : nil
    }

    mutating func next() async throws -> ByteBuffer? {
        defer { buffer = nil }
        return buffer
    }
}

extension ByteBuffer {
    /// The bytes of a range that counts from the first readable byte, without a copy.
    func slice(_ range: Range<Int>) -> ByteBuffer? {
        getSlice(at: readerIndex + range.lowerBound, length: range.count)
    }
}
