import NIOCore
import NIOHTTP1

/// What a client is told whose bytes are no request that can be answered; the connection ends
/// after it (RFC 6585, section 5; RFC 9112, sections 2.2, 3.2 and 8).
enum Refusal {
    case headersTooLarge
    case notHTTP
    /// It names no host, or several.
    case noHost
    /// It began well, but its body has no end that can be found.
    case brokenBody

    init(_ error: HTTPParserError) {
        switch error {
        case .headerOverflow: self = .headersTooLarge
        default: self = .notHTTP
        }
    }

    /// The whole answer, as HTTP/1.1 has it.
    var bytes: ByteBuffer {
        let (status, reason) =
            switch self {
            case .headersTooLarge:
                (
                    "431 Request Header Fields Too Large",
                    "the header fields of this request are too long"
                )
            case .notHTTP: ("400 Bad Request", "this is no HTTP request that can be read")
            case .noHost: ("400 Bad Request", "a request has one Host field")
            case .brokenBody:
                (
                    "400 Bad Request",
                    "the body of this request ends too soon, or its chunks are wrong"
                )
            }
        return ByteBuffer(
            string: "HTTP/1.1 \(status)\r\nContent-Type: text/plain; charset=utf-8\r\n"
                + "Content-Length: \(reason.utf8.count + 1)\r\nConnection: close\r\n\r\n"
                + "\(reason)\n")
    }
}
