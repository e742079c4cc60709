// The three kinds of answer that commands read: one JSON object, one a line, or bytes in frames.

import Gateway
import IPLD
import NIOCore

extension LocalClient {
    /// The one JSON value that a call answers.
    func value(_ call: APICall) async throws -> Value {
        let body = Collected()
        try await send(call) { await body.add($0) }
        return try JSONText.value(of: await body.whole)
    }

    /// Hands over each JSON object of an answer that has one a line.
    func values(
        _ call: APICall, _ each: @escaping @Sendable (Value) async throws -> Void
    ) async throws {
        let lines = Lines()
        let deliver: @Sendable (ByteBuffer) async throws -> Void = { line in
            let value = try JSONText.value(of: line)
            if value["Type"]?.text == "error", value["Message"] != nil {
                throw CommandFailure(apiError: value)
            }
            try await each(value)
        }
        try await send(call) { chunk in
            for line in await lines.feed(chunk) { try await deliver(line) }
        }
        if let rest = await lines.rest { try await deliver(rest) }
    }

    /// Hands over the content of a framed answer.
    ///
    /// - Returns: what the node said about the content: its head and its trace.
    func content(
        _ call: APICall, head: @escaping @Sendable (Value) async throws -> Void = { _ in },
        _ consume: @escaping @Sendable (ByteBuffer) async throws -> Void
    ) async throws -> Value? {
        var call = call
        call.answer = .framed
        let stream = FramedStream(head: head, consume: consume)
        try await send(call) { try await stream.feed($0) }
        return try await stream.finish()
    }
}

private actor Collected {
    private(set) var whole = ByteBuffer()

    func add(_ chunk: ByteBuffer) {
        var chunk = chunk
        whole.writeBuffer(&chunk)
    }
}

private actor Lines {
    private var buffer = ByteBuffer()

    /// The complete lines so far.
    func feed(_ chunk: ByteBuffer) -> [ByteBuffer] {
        var chunk = chunk
        buffer.discardReadBytes()
        buffer.writeBuffer(&chunk)
        var lines: [ByteBuffer] = []
        while let end = buffer.readableBytesView.firstIndex(of: 0x0a) {
            if let line = buffer.readSlice(length: end - buffer.readerIndex), !isBlank(line) {
                lines.append(line)
            }
            buffer.moveReaderIndex(forwardBy: 1)
        }
        return lines
    }

    /// What stands behind the last line break.
    var rest: ByteBuffer? { isBlank(buffer) ? nil : buffer }

    private func isBlank(_ line: ByteBuffer) -> Bool {
        line.readableBytesView.allSatisfy { $0 == 0x20 || $0 == 0x0d }
    }
}

private actor FramedStream {
    private let head: @Sendable (Value) async throws -> Void
    private let consume: @Sendable (ByteBuffer) async throws -> Void
    private var reader = FrameReader()
    private var trace: Value?

    init(
        head: @escaping @Sendable (Value) async throws -> Void,
        consume: @escaping @Sendable (ByteBuffer) async throws -> Void
    ) {
        self.head = head
        self.consume = consume
    }

    func feed(_ chunk: ByteBuffer) async throws {
        reader.feed(chunk)
        while let frame = try reader.next() {
            switch frame.kind {
            case .head: try await head(try JSONText.value(of: frame.payload))
            case .data: try await consume(frame.payload)
            case .trace: trace = try JSONText.value(of: frame.payload)
            case .error:
                throw CommandFailure(apiError: try JSONText.value(of: frame.payload))
            case .end: break
            }
        }
    }

    func finish() throws -> Value? {
        guard reader.isComplete else {
            throw CommandFailure("the node broke off in the middle of the content; try again")
        }
        return trace
    }
}
