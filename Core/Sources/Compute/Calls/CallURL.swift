// `weft://<cid>/<method>/…?query` and the percent encoding of its path (RFC 3986).

import IPLD
public import Multiformats
import Wire

/// The parts of a call's URL.
public struct CallURL: Hashable, Sendable {
    /// The contract, as a CID of version 1.
    public let contract: CID
    /// The path after it, percent-decoded once; begins with `/`.
    public let path: String
    /// The query without its question mark, as it is written; empty if there is none.
    public let query: String

    /// Reads a URL. A fragment is the reader's own affair and left out.
    public init(_ text: String) throws(CallFault) {
        let limit = 3 * CallLimits.maxPathBytes + CallLimits.maxQueryBytes + 512
        guard text.utf8.count <= limit else { throw .path }
        let scheme = Array("weft://".utf8)
        let all = Array(text.utf8)
        let bytes = all[..<(all.firstIndex(of: UInt8(ascii: "#")) ?? all.count)]
        guard bytes.count > scheme.count,
            bytes.prefix(4).elementsEqual(scheme.prefix(4), by: { $0 | 0x20 == $1 }),
            bytes[4..<scheme.count].elementsEqual(scheme[4...])
        else { throw .url }
        let rest = bytes[scheme.count...]
        let name = rest.prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }
        do throws(DecodeError) {
            contract = try CID(utf8: name.rawSpan).v1
        } catch {
            throw .url
        }
        let encodedPath = rest.dropFirst(name.count).prefix { $0 != UInt8(ascii: "?") }
        let encodedQuery = rest.dropFirst(name.count + encodedPath.count + 1)
        guard let decoded = PercentDecoding.bytes(of: encodedPath),
            let path = String(utf8: decoded.rawSpan),
            let query = String(utf8: encodedQuery.rawSpan)
        else { throw .path }
        self.path = path.utf8.isEmpty ? "/" : path
        self.query = query
    }

    /// A path with everything encoded that may not stand in a URL.
    fileprivate static func encoded(_ path: String) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var out: [UInt8] = []
        for byte in path.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
                UInt8(ascii: "_"), UInt8(ascii: "~"), UInt8(ascii: "/"), UInt8(ascii: "!"),
                UInt8(ascii: "$"), UInt8(ascii: "&"), UInt8(ascii: "'"), UInt8(ascii: "("),
                UInt8(ascii: ")"), UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: ","),
                UInt8(ascii: ";"), UInt8(ascii: "="), UInt8(ascii: ":"), UInt8(ascii: "@"):
                out.append(byte)
            default:
                out += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    public static func == (left: Self, right: Self) -> Bool {
        left.contract == right.contract && left.path.utf8.elementsEqual(right.path.utf8)
            && left.query.utf8.elementsEqual(right.query.utf8)
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(contract)
        hasher.combine(contentsOf: Array(path.utf8))
    }
}

extension Call {
    /// A call of a URL, `GET` without a body, `POST` with one, if no method is given.
    public init(
        url text: String, method: String? = nil, headers: CallHeaders = CallHeaders(),
        body: CallBody = .empty, gas: UInt64, rules: UInt32 = 1
    ) throws(CallFault) {
        let url = try CallURL(text)
        try self.init(
            url.contract, method: method ?? (body == .empty ? "GET" : "POST"), path: url.path,
            query: url.query, headers: headers, body: body, gas: gas, rules: rules)
    }

    /// The URL that this is a call of.
    public var url: String {
        "weft://" + contract.description + CallURL.encoded(path)
            + (query.utf8.isEmpty ? "" : "?" + query)
    }
}
