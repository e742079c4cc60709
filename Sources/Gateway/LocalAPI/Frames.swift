// The framing of streams on the local API: a stream of bytes together with its head, its trace and,
// if it fails half way, the reason. Plain HTTP can only break the connection then.

public import NIOCore

/// One piece of a framed stream: a kind byte, a 32-bit big-endian length, then the payload.
public struct Frame: Equatable, Sendable {
    /// What the payload is.
    public enum Kind: UInt8, Sendable {
        /// `h`: a JSON object with `status`, `headers`, `url`; at most once, first.
        case head = 0x68
        /// `d`: bytes of the content.
        case data = 0x64
        /// `t`: a JSON array with what was tried.
        case trace = 0x74
        /// `e`: a JSON object with `Message`, `Code`, `Type`; the stream ends with it.
        case error = 0x65
        /// `z`: empty; the stream is complete.
        case end = 0x7a
    }

    /// The media type of a framed stream.
    public static let mediaType = "application/vnd.weft.frames"
    /// The request header that asks for framing.
    public static let requestHeader = "weft-frames"
    /// The largest payload that a reader accepts, in bytes.
    public static let maxPayload = 16 << 20

    /// What the payload is.
    public let kind: Kind
    /// The payload.
    public let payload: ByteBuffer

    /// A frame of at most ``maxPayload`` bytes.
    public init(_ kind: Kind, _ payload: ByteBuffer = ByteBuffer()) {
        self.kind = kind
        self.payload = payload
    }

    /// The five bytes that stand before the payload.
    public var header: ByteBuffer {
        var header = ByteBuffer()
        header.writeInteger(kind.rawValue)
        header.writeInteger(UInt32(payload.readableBytes))
        return header
    }
}

/// Why a framed stream cannot be read.
public struct FrameError: Error, CustomStringConvertible {
    /// What was found.
    public let description: String
}

/// Takes frames out of chunks of a stream. Content passes through without waiting for the end of
/// its frame.
public struct FrameReader {
    private var buffer = ByteBuffer()
    private var remainingData = 0
    /// Whether the stream said that it is complete.
    public private(set) var isComplete = false

    /// A reader at the beginning of a stream.
    public init() {}

    /// Adds bytes of the stream.
    public mutating func feed(_ chunk: ByteBuffer) {
        var chunk = chunk
        if buffer.readableBytes == 0 {
            buffer = chunk
        } else {
            buffer.discardReadBytes()
            buffer.writeBuffer(&chunk)
        }
    }

    /// The next frame, or a part of a data frame; nil until more is fed.
    public mutating func next() throws(FrameError) -> Frame? {
        if remainingData > 0 {
            let length = min(remainingData, buffer.readableBytes)
            guard length > 0, let data = buffer.readSlice(length: length) else { return nil }
            remainingData -= length
            return Frame(.data, data)
        }
        guard let byte = buffer.getInteger(at: buffer.readerIndex, as: UInt8.self),
            let length = buffer.getInteger(at: buffer.readerIndex + 1, as: UInt32.self)
        else { return nil }
        guard let kind = Frame.Kind(rawValue: byte), length <= Frame.maxPayload else {
            throw FrameError(description: "the node answered with a frame that makes no sense")
        }
        if kind == .data {
            buffer.moveReaderIndex(forwardBy: 5)
            remainingData = Int(length)
            return try next()
        }
        guard buffer.readableBytes >= 5 + Int(length) else { return nil }
        buffer.moveReaderIndex(forwardBy: 5)
        guard let payload = buffer.readSlice(length: Int(length)) else { return nil }
        if kind == .end { isComplete = true }
        return Frame(kind, payload)
    }
}
