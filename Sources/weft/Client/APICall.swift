// One request to the local API, as the commands make it.

import HTTPTypes
import NIOCore
import Weft

/// A request to the local API.
struct APICall: Sendable {
    /// The route, such as `/api/v0/cat`.
    let path: String
    /// Parameters in order; a name may occur again.
    var query: [(name: String, value: String)] = []
    /// What is sent along.
    var body = Body()
    /// Whether the answer is to come in frames, so that a failure half way has a reason.
    var answer = Answer.plain

    enum Answer: Sendable {
        case plain
        case framed
    }

    init(_ path: String, _ query: [(name: String, value: String)] = []) {
        self.path = path
        self.query = query
    }

    /// Path and query as a URL has them.
    var target: String {
        guard !query.isEmpty else { return path }
        return path + "?"
            + query.map { item in
                PercentCoding.encode(item.name, for: .parameter) + "="
                    + PercentCoding.encode(item.value, for: .parameter)
            }.joined(separator: "&")
    }

    /// The body of a request: pieces that are sent one after the other.
    struct Body: AsyncSequence, Sendable {
        typealias Element = ByteBuffer

        /// One piece.
        enum Piece: Sendable {
            case bytes(ByteBuffer)
            case file(InputFile)
        }

        var contentType = ""
        var pieces: [Piece] = []

        /// No body.
        init() {}

        /// A JSON text, or other bytes.
        init(_ contentType: String, _ bytes: ByteBuffer) {
            self.contentType = contentType
            pieces = [.bytes(bytes)]
        }

        /// Files as a multipart form.
        init(uploading files: [(name: String, file: InputFile)]) {
            let boundary =
                "weft-\(UInt64.random(in: .min ... .max))-\(UInt64.random(in: 0 ... .max))"
            contentType = "multipart/form-data; boundary=\(boundary)"
            for (name, file) in files {
                let encoded = PercentCoding.encode(name, for: .parameter)
                let header =
                    "--\(boundary)\r\nContent-Disposition: form-data; name=\"file\"; "
                    + "filename=\"\(encoded)\"\r\nContent-Type: application/octet-stream\r\n\r\n"
                pieces += [
                    .bytes(ByteBuffer(string: header)), .file(file),
                    .bytes(ByteBuffer(string: "\r\n")),
                ]
            }
            pieces.append(.bytes(ByteBuffer(string: "--\(boundary)--\r\n")))
        }

        func makeAsyncIterator() -> Iterator { Iterator(pieces: pieces[...]) }

        struct Iterator: AsyncIteratorProtocol {
            fileprivate var pieces: ArraySlice<Piece>
            private var open: InputFile.Iterator?

            fileprivate init(pieces: ArraySlice<Piece>) { self.pieces = pieces }

            mutating func next() async throws -> ByteBuffer? {
                while true {
                    if var reading = open {
                        if let chunk = try await reading.next() {
                            open = reading
                            return chunk
                        }
                        open = nil
                    }
                    switch pieces.popFirst() {
                    case nil: return nil
                    case .bytes(let bytes): return bytes
                    case .file(let file): open = file.makeAsyncIterator()
                    }
                }
            }
        }
    }
}
