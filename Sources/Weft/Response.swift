// What `Node.fetch` answers: the browser's response (fetch.spec.whatwg.org), plus what the mesh
// did to get it. The body is pulled by its reader, so that nobody runs ahead of them.

public import HTTPTypes
public import Multiformats
public import NIOCore

/// An answer whose head is complete and whose body streams.
public struct Response: Sendable {
    /// The status, as a gateway would give it.
    public var status: HTTPResponse.Status
    /// The headers, as a gateway would give them.
    public var headers: HTTPFields
    /// The URL that was answered in the end, after redirects.
    public var url: String
    /// Whether a redirect was followed.
    public var redirected: Bool
    /// The content; every byte has been verified before it comes out.
    public var body: ResponseBody
    /// Where it came from.
    public var mesh: MeshInfo

    /// An answer; what the responding side does not know is filled in by ``Node``.
    public init(
        status: HTTPResponse.Status, headers: HTTPFields = [:], body: ResponseBody = .empty,
        url: String = "", redirected: Bool = false, mesh: MeshInfo = MeshInfo()
    ) {
        self.status = status
        self.headers = headers
        self.body = body
        self.url = url
        self.redirected = redirected
        self.mesh = mesh
    }

    /// Whether the status is 200…299.
    public var ok: Bool { status.kind == .successful }
}

/// What the mesh did to answer a request.
public struct MeshInfo: Sendable {
    /// The CID that the URL came down to, if it did.
    public var root: CID?
    /// How a call went; nil for content.
    public var call: CallInfo?
    /// What was looked up, who was asked and what each answered; it grows while the body streams.
    public var trace: Trace

    /// What is known so far.
    public init(root: CID? = nil, trace: Trace = Trace()) {
        self.root = root
        self.trace = trace
    }
}

/// How a call of a contract went.
public struct CallInfo: Sendable, Hashable {
    /// Who ran it.
    public enum Responder: Sendable, Hashable {
        /// This node, now.
        case here
        /// This node, before: the result was known.
        case memory
        /// A peer.
        case peer(PeerID)
    }

    /// The gas that it used, with what it called.
    public var gas: UInt64
    /// The CID of its record.
    public var record: CID
    /// Who ran it.
    public var responder: Responder
    /// How sure the result is, with what that rests on.
    public var confidence: String
    /// Whether peers ran it, or some of what it called: it could turn out to be wrong.
    public var restsOnPeers: Bool
    /// What it cost, in credits, over all peers that were asked.
    public var amount: UInt64 = 0
}

/// A stream of bytes that its reader pulls; it never runs ahead of them by more than its source
/// says.
///
/// Most bodies can be read once. One reader at a time.
public struct ResponseBody: AsyncSequence, Sendable {
    public typealias Element = ByteBuffer
    public typealias Failure = any Error

    private let start: @Sendable () -> AsyncIterator

    /// No bytes.
    public static let empty = ResponseBody(state: { () }, next: { _ in nil })

    /// The bytes of one buffer.
    public init(_ buffer: ByteBuffer) {
        self.init(
            state: { buffer.readableBytes > 0 ? buffer : nil },
            next: { (rest: inout ByteBuffer?) in
                defer { rest = nil }
                return rest
            })
    }

    /// The elements of another sequence.
    public init<Source: AsyncSequence & Sendable>(_ source: Source)
    where Source.Element == ByteBuffer {
        start = {
            var iterator = source.makeAsyncIterator()
            return AsyncIterator { try await iterator.next(isolation: #isolation) }
        }
    }

    /// What `next` makes of a state until it answers nil; `state` is called once a reader.
    public init<State>(
        state: @escaping @Sendable () -> State,
        next: @escaping @Sendable (inout State) async throws -> ByteBuffer?
    ) {
        start = {
            var state = state()
            return AsyncIterator { try await next(&state) }
        }
    }

    public func makeAsyncIterator() -> AsyncIterator { start() }

    /// Pulls one buffer after the other.
    public struct AsyncIterator: AsyncIteratorProtocol {
        private let pull: () async throws -> ByteBuffer?

        fileprivate init(_ pull: @escaping () async throws -> ByteBuffer?) {
            self.pull = pull
        }

        /// The next bytes; nil at the end.
        public mutating func next() async throws -> ByteBuffer? {
            try await pull()
        }
    }

    /// The whole body in one buffer.
    ///
    /// - Throws: ``FetchError`` with the code `tooLarge` when it is longer than `limit` bytes.
    public func collect(upTo limit: Int) async throws -> ByteBuffer {
        var whole = ByteBuffer()
        for try await var part in self {
            guard part.readableBytes <= limit - whole.readableBytes else {
                throw FetchError(
                    .tooLarge, "the body is longer than the \(limit) bytes that are allowed")
            }
            if whole.readableBytes == 0 {
                whole = part
            } else {
                whole.writeBuffer(&part)
            }
        }
        return whole
    }
}
