import HTTPTypes
import Wire

/// A content path, `/ipfs/<cid>/…` or `/ipns/<name>/…`, as a URL carries it
/// (specs.ipfs.tech/http-gateways/path-gateway).
public struct ContentPath: Hashable, Sendable {
    /// What the root of a path is.
    public enum Namespace: String, Hashable, Sendable {
        /// The root is a CID; the content never changes.
        case ipfs
        /// The root is a key's name or a DNSLink name; the content can change.
        case ipns
    }

    /// The most bytes that a path may have.
    public static let maxLength = 16 << 10
    /// The most segments that a path may have.
    public static let maxSegments = 1_000

    /// Whether the root names content or points to it.
    public let namespace: Namespace
    /// The CID, key or domain, percent-decoded.
    public let root: String
    /// The names below the root, percent-decoded.
    public let segments: [String]
    /// Whether the path ended in a slash, which asks for a directory.
    public let hasTrailingSlash: Bool

    /// A path of known parts.
    public init(
        _ namespace: Namespace, root: String, segments: [String] = [],
        hasTrailingSlash: Bool = false
    ) {
        self.namespace = namespace
        self.root = root
        self.segments = segments
        self.hasTrailingSlash = hasTrailingSlash
    }

    /// Reads the percent-encoded path of a URL, without its query.
    ///
    /// Empty segments are dropped, as gateways do; `.` and `..` are refused rather than resolved,
    /// because URL parsers have already resolved those that are meant.
    public init(encoded path: some StringProtocol) throws(ContentError) {
        guard path.utf8.count <= Self.maxLength else {
            throw ContentError(.badRequest, "the path is longer than \(Self.maxLength) bytes")
        }
        let parts = String(path).namesInPath
        guard path.utf8.first == UInt8(ascii: "/"), let first = parts.first,
            let namespace = Namespace(rawValue: first)
        else { throw ContentError(.badRequest, "invalid path \"\(path)\": no /ipfs/ or /ipns/") }
        guard parts.count >= 2 else {
            throw ContentError(.badRequest, "invalid path \"\(path)\": it names no root")
        }
        guard parts.count - 2 <= Self.maxSegments else {
            throw ContentError(.badRequest, "the path has over \(Self.maxSegments) segments")
        }
        let root = try Self.decode(parts[1], of: path)
        var segments: [String] = []
        segments.reserveCapacity(parts.count - 2)
        for part in parts.dropFirst(2) { segments.append(try Self.decode(part, of: path)) }
        self.init(
            namespace, root: root, segments: segments,
            hasTrailingSlash: String(path).utf8.last == UInt8(ascii: "/"))
    }

    /// Reads the segments of a path below a root that is known from elsewhere, such as a host.
    public init(
        _ namespace: Namespace, root: String, encodedRest path: some StringProtocol
    ) throws(ContentError) {
        guard path.utf8.count <= Self.maxLength else {
            throw ContentError(.badRequest, "the path is longer than \(Self.maxLength) bytes")
        }
        let parts = String(path).namesInPath
        guard parts.count <= Self.maxSegments else {
            throw ContentError(.badRequest, "the path has over \(Self.maxSegments) segments")
        }
        var segments: [String] = []
        segments.reserveCapacity(parts.count)
        for part in parts { segments.append(try Self.decode(part, of: path)) }
        self.init(
            namespace, root: root, segments: segments,
            hasTrailingSlash: String(path).utf8.last == UInt8(ascii: "/"))
    }

    /// The path as a person reads it, without percent encoding.
    public var text: String {
        "/\(namespace.rawValue)/\(root)" + segments.map { "/" + $0 }.joined()
            + (hasTrailingSlash ? "/" : "")
    }

    /// The path with more segments at its end.
    public func appending(_ more: [String]) -> ContentPath {
        ContentPath(
            namespace, root: root, segments: segments + more, hasTrailingSlash: hasTrailingSlash)
    }

    /// The percent-encoded form.
    public var encoded: String {
        var out = "/\(namespace.rawValue)/"
        PercentCoding.append(root, for: .pathSegment, to: &out)
        out += encodedRest
        return out
    }

    /// The percent-encoded form of what follows the root; empty for the root itself.
    public var encodedRest: String {
        var out = ""
        for segment in segments {
            out += "/"
            PercentCoding.append(segment, for: .pathSegment, to: &out)
        }
        if hasTrailingSlash { out += "/" }
        return out
    }

    private static func decode(
        _ part: some StringProtocol, of path: some StringProtocol
    ) throws(ContentError) -> String {
        // Bytes, since a slash with an accent on it is not the character of a slash.
        guard let text = PercentCoding.decode(part), !text.utf8.contains(UInt8(ascii: "/")) else {
            throw ContentError(.badRequest, "invalid path \"\(path)\": a segment is not UTF-8 text")
        }
        guard text != ".", text != ".." else {
            throw ContentError(.badRequest, "invalid path \"\(path)\": \"\(text)\" is no name")
        }
        return text
    }
}
