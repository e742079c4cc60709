// Small answers kept ready, so that a hot object costs no walk through its path, no block read
// and no head: only what is immutable, and only what one request line says completely.

import HTTPTypes
import NIOCore
import Synchronization
import Weft

/// Small, immutable answers by request target, bounded in bytes.
final class ResponseCache: Sendable {
    /// The largest body that is kept, in bytes.
    static let maxBody = 32 << 10

    /// An answer, as the bytes of HTTP/1.1.
    struct Entry: Sendable {
        /// The status line and all fields but `Date`, each line with its end.
        let head: ByteBuffer
        let body: ByteBuffer

        var size: Int { head.readableBytes + body.readableBytes }
    }

    /// Two generations instead of a list in order of use: what is not used while one generation
    /// fills is forgotten with it.
    private struct Generations {
        var young: [String: Entry] = [:]
        var old: [String: Entry] = [:]
        var youngBytes = 0
    }

    private let half: Int
    private let state = Mutex(Generations())

    /// A cache of at most this many bytes.
    init(bytes: Int) {
        half = bytes / 2
    }

    /// The answer to a target, if it is kept.
    func entry(_ target: String) -> Entry? {
        state.withLock { state in
            if let entry = state.young[target] { return entry }
            guard let entry = state.old[target] else { return nil }
            insert(entry, for: target, &state)
            return entry
        }
    }

    /// Forgets everything.
    func clear() {
        state.withLock { $0 = Generations() }
    }

    /// Keeps an answer if it may be.
    ///
    /// - Returns: The body if it had to be read to the end for that; the answer's own body has
    ///   been used up then.
    func keep(
        _ response: Weft.Response, of request: HTTPRequest, in gateway: Gateway
    ) async throws -> ByteBuffer? {
        guard response.status == .ok, Self.isPlain(request), let target = request.path,
            let length = response.headers[.contentLength].flatMap({ Int($0) }),
            (1...Self.maxBody).contains(length),
            response.headers[.cacheControl]?.hasSuffix("immutable") ?? false,
            !(response.headers[.contentType]?.contains("vnd.ipld") ?? true),
            HostRoute(request.authority ?? "", gateways: gateway.options.subdomainHosts) == .path
        else { return nil }
        let body = try await response.body.collect(upTo: length)
        guard body.readableBytes == length else { return body }
        var head = ByteBuffer(string: "HTTP/1.1 200 OK\r\n")
        for field in response.headers {
            head.writeString("\(field.name.rawName): \(field.value)\r\n")
        }
        let entry = Entry(head: head, body: ByteBuffer(bytes: body.readableBytesView))
        state.withLock { insert(entry, for: target, &$0) }
        return body
    }

    /// Whether the target alone decides the answer to a request.
    static func isPlain(_ request: HTTPRequest) -> Bool {
        guard request.method == .get, request.path?.hasPrefix("/ipfs/") ?? false else {
            return false
        }
        for field in request.headerFields {
            switch field.name.canonicalName {
            case "range", "if-range", "if-none-match", "if-modified-since", "cache-control",
                "connection", "x-forwarded-host", "x-forwarded-proto", "service-worker",
                "content-length", "transfer-encoding":
                return false
            case "accept":
                if field.value.contains("application/") && !field.value.contains("text/html") {
                    return false
                }
            default: continue
            }
        }
        return true
    }

    private func insert(_ entry: Entry, for target: String, _ state: inout Generations) {
        let size = entry.size + target.utf8.count + 200
        if state.youngBytes + size > half {
            state.old = state.young
            state.young = [:]
            state.youngBytes = 0
        }
        guard size <= half, state.young.updateValue(entry, forKey: target) == nil else { return }
        state.youngBytes += size
    }
}
