// The files of a multipart body, read one after the other as they arrive.

import HTTPTypes
import Hummingbird
import HummingbirdCore
import NIOCore
import Weft

/// Reads the parts of an upload.
actor UploadReader {
    private var body: RequestBody.AsyncIterator
    private var parser: MultipartParser
    private var isInPart = false

    /// A reader of a call's body.
    init(_ call: APIRequest) throws {
        parser = try MultipartParser(contentType: call.request.headers[.contentType] ?? "")
        body = call.request.body.makeAsyncIterator()
    }

    /// The next part, after what is left of the one before; nil at the end.
    func nextPart() async throws -> MultipartParser.Part? {
        while isInPart, try await nextData() != nil {}
        while true {
            switch try await nextEvent() {
            case .part(let part):
                isInPart = true
                return part
            case .end: return nil
            default: break
            }
        }
    }

    /// The next bytes of the part; nil at its end.
    func nextData() async throws -> ByteBuffer? {
        guard isInPart else { return nil }
        switch try await nextEvent() {
        case .data(let data): return data
        default:
            isInPart = false
            return nil
        }
    }

    /// The bytes of the part as they come.
    nonisolated var part: Weft.ResponseBody {
        Weft.ResponseBody(state: { () }, next: { _ in try await self.nextData() })
    }

    /// All bytes of the part, of which there may be `limit`.
    func wholePart(upTo limit: Int) async throws -> ByteBuffer {
        var whole = ByteBuffer()
        while var data = try await nextData() {
            guard data.readableBytes <= limit - whole.readableBytes else {
                throw APIError.badArgument("what was sent is larger than \(limit) bytes")
            }
            whole.writeBuffer(&data)
        }
        return whole
    }

    private func nextEvent() async throws -> MultipartParser.Event {
        while true {
            let event = try parser.next()
            guard event == .needMore else { return event }
            var body = body
            let chunk = try await body.next(isolation: #isolation)
            self.body = body
            guard let chunk else {
                throw MultipartError(description: "the body ended before its last delimiter")
            }
            parser.feed(chunk)
        }
    }
}
