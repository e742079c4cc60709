// A call: everything that a contract can see of a request, and nothing else. Its CID is the call's
// identity, under which results are remembered (docs/call-protocol.md).

public import IPLD
public import Multiformats
public import Wire

/// The bytes of a request or response: short ones themselves, long ones by name.
public enum CallBody: Hashable, Sendable {
    /// Up to ``CallLimits/maxInlineBytes``.
    case inline([UInt8])
    /// The root of a UnixFS file with longer content, added with the profile `unixfs-v1-2025`.
    case content(CID)

    /// No bytes.
    public static let empty = CallBody.inline([])
}

/// One request to one contract.
public struct Call: Hashable, Sendable {
    /// The contract's module, as a CID of version 1.
    public let contract: CID
    /// The version of the rules, prices and limits by which it is run.
    public let rules: UInt32
    /// The request's method, such as `GET`.
    public let method: String
    /// What stands after the contract's CID, percent-decoded once; begins with `/`.
    public let path: String
    /// The query without its question mark, as it was written; empty if there is none.
    public let query: String
    /// The headers that reach the contract.
    public let headers: CallHeaders
    /// The request's body.
    public let body: CallBody
    /// How much gas the call may use, with everything that it calls.
    public let gas: UInt64

    /// A call of `contract`. Headers that do not reach a contract are left out; `weft-gas` gives
    /// the limit if it is a number.
    ///
    /// - Parameters:
    ///   - path: percent-decoded; `/` is put before it if it is missing.
    ///   - gas: the limit if the headers give none.
    ///   - rules: the version of the rules.
    public init(
        _ contract: CID, method: String = "GET", path: String = "/", query: String = "",
        headers: CallHeaders = CallHeaders(), body: CallBody = .empty, gas: UInt64,
        rules: UInt32 = 1
    ) throws(CallFault) {
        var kept: [(name: String, value: String)] = []
        for field in headers.fields where CallHeaders.reachesContract(field.name) {
            kept.append((field.name, field.value))
        }
        self.contract = contract.v1
        self.rules = rules
        self.method = method
        self.path = path.utf8.first == UInt8(ascii: "/") ? path : "/" + path
        self.query = query
        self.headers = try CallHeaders(canonical: kept)
        self.body = body
        self.gas = try Self.gas(headers["weft-gas"]) ?? gas
        try check()
    }

    /// A call as it was written in its canonical form.
    init(
        canonical contract: CID, _ rules: UInt32, _ method: String, _ path: String,
        _ query: String, _ headers: CallHeaders, _ body: CallBody, _ gas: UInt64
    ) throws(CallFault) {
        self.contract = contract
        self.rules = rules
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.gas = gas
        guard contract.version == .v1, path.utf8.first == UInt8(ascii: "/") else { throw .contract }
        guard headers.fields.allSatisfy({ CallHeaders.reachesContract($0.name) }) else {
            throw .header
        }
        try check()
    }

    /// The name of the contract's export that this call is for: the first segment of the path.
    public var function: String {
        String(decoding: path.utf8.dropFirst().prefix { $0 != UInt8(ascii: "/") }, as: UTF8.self)
    }

    /// A header as the contract sees it: those of the call, and `weft-gas`, which is its limit.
    public func header(_ name: String) -> String? {
        name.utf8.elementsEqual("weft-gas".utf8) ? String(gas) : headers[name]
    }

    /// The names of all headers that the contract sees, sorted.
    public var headerNames: [String] {
        var names = headers.fields.map { $0.name }
        let place =
            names.firstIndex { "weft-gas".utf8.lexicographicallyPrecedes($0.utf8) } ?? names.count
        names.insert("weft-gas", at: place)
        return names
    }

    private func check() throws(CallFault) {
        guard contract.codec == .raw || contract.codec == .dagPB else { throw .contract }
        guard 1...16 ~= method.utf8.count,
            method.utf8.allSatisfy({ UInt8(ascii: "A")...UInt8(ascii: "Z") ~= $0 })
        else { throw .method }
        guard path.utf8.count <= CallLimits.maxPathBytes, !path.utf8.contains(0) else {
            throw .path
        }
        guard query.utf8.count <= CallLimits.maxQueryBytes,
            query.utf8.allSatisfy({ 0x21...0x7e ~= $0 && $0 != UInt8(ascii: "#") })
        else { throw .query }
        if case .inline(let bytes) = body, bytes.count > CallLimits.maxInlineBytes { throw .body }
        guard 1...CallLimits.maxGas ~= gas else { throw .gas }
    }

    /// The limit that `weft-gas` gives; nil if there is none.
    private static func gas(_ header: String?) throws(CallFault) -> UInt64? {
        guard let header else { return nil }
        guard let gas = UInt64(header), String(gas).utf8.elementsEqual(header.utf8) else {
            throw .gas
        }
        return gas
    }

    public static func == (left: Self, right: Self) -> Bool {
        left.contract == right.contract && left.rules == right.rules && left.gas == right.gas
            && left.method.utf8.elementsEqual(right.method.utf8)
            && left.path.utf8.elementsEqual(right.path.utf8)
            && left.query.utf8.elementsEqual(right.query.utf8) && left.headers == right.headers
            && left.body == right.body
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(contract)
        hasher.combine(contentsOf: Array(path.utf8))
        hasher.combine(contentsOf: Array(query.utf8))
        hasher.combine(body)
    }
}

extension Call {
    /// The call as a block of dag-cbor. Its CID is the call's identity.
    public var block: EncodedBlock { EncodedBlock(encoded, codec: .dagCBOR) }

    /// The call's identity.
    public var cid: CID { block.cid }

    /// The canonical dag-cbor.
    public var encoded: [UInt8] { CanonicalMap.encode(value) }

    var value: Value {
        .map([
            Value.Entry("gas", .integer(Int128(gas))), Value.Entry("body", body.value),
            Value.Entry("path", .string(path)), Value.Entry("query", .string(query)),
            Value.Entry("rules", .integer(Int128(rules))), Value.Entry("method", .string(method)),
            Value.Entry("headers", headers.value), Value.Entry("contract", .link(contract)),
        ])
    }

    /// Decodes the canonical dag-cbor of a call, at most ``CallLimits/maxCallBytes``.
    public init(decoding bytes: RawSpan) throws(DecodeError) {
        guard bytes.byteCount <= CallLimits.maxCallBytes else {
            throw DecodeError(.overLimit, "call: longer than 64 KiB")
        }
        try self.init(try DagCBOR.decode(bytes))
    }

    init(_ value: Value) throws(DecodeError) {
        let map = try CanonicalMap(value, fields: 8)
        let rules = try map.number("rules", upTo: UInt64(UInt32.max))
        let contract = try map.link("contract")
        let method = try map.text("method")
        let path = try map.text("path")
        let query = try map.text("query")
        let headers = try CallHeaders(try map.value("headers"))
        let body = try CallBody(try map.value("body"))
        let gas = try map.number("gas", upTo: CallLimits.maxGas)
        do throws(CallFault) {
            try self.init(
                canonical: contract, UInt32(rules), method, path, query, headers, body, gas)
        } catch {
            throw DecodeError(.malformed, "call: a part of it breaks the rules of calls")
        }
    }
}

extension CallBody {
    var value: Value {
        switch self {
        case .inline(let bytes): .bytes(bytes)
        case .content(let cid): .link(cid)
        }
    }

    init(_ value: Value) throws(DecodeError) {
        switch value {
        case .bytes(let bytes) where bytes.count <= CallLimits.maxInlineBytes: self = .inline(bytes)
        case .link(let cid) where cid.version == .v1: self = .content(cid)
        default: throw DecodeError(.malformed, "call: a body is up to 32 KiB or a link")
        }
    }
}

extension CallHeaders {
    var value: Value {
        .list(fields.map { .list([.string($0.name), .string($0.value)]) })
    }

    init(_ value: Value) throws(DecodeError) {
        guard case .list(let elements) = value, elements.count <= CallLimits.maxHeaders else {
            throw DecodeError(.malformed, "call: headers are a list of up to 32")
        }
        var fields: [(name: String, value: String)] = []
        for element in elements {
            guard case .list(let pair) = element, pair.count == 2,
                case .string(let name) = pair[0], case .string(let text) = pair[1]
            else { throw DecodeError(.malformed, "call: a header is a name and a value") }
            fields.append((name, text))
        }
        do throws(CallFault) {
            try self.init(canonical: fields)
        } catch {
            throw DecodeError(.notCanonical, "call: headers are sorted and in lower case")
        }
    }
}
