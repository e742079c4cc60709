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
///
/// Calls are handed on and looked up many times, so their parts are shared by all copies, and they
/// are encoded and hashed once.
public struct Call: Sendable {
    private let parts: Parts

    /// The call as a block of dag-cbor. Its CID is the call's identity.
    public var block: EncodedBlock { parts.block }
    /// The contract's module, as a CID of version 1.
    public var contract: CID { parts.contract }
    /// The version of the rules, prices and limits by which it is run.
    public var rules: UInt32 { parts.rules }
    /// The request's method, such as `GET`.
    public var method: String { parts.method }
    /// What stands after the contract's CID, percent-decoded once; begins with `/`.
    public var path: String { parts.path }
    /// The query without its question mark, as it was written; empty if there is none.
    public var query: String { parts.query }
    /// The headers that reach the contract.
    public var headers: CallHeaders { parts.headers }
    /// The request's body.
    public var body: CallBody { parts.body }
    /// How much gas the call may use, with everything that it calls.
    public var gas: UInt64 { parts.gas }

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
        parts = try Parts(
            contract.v1, rules, method,
            path.utf8.first == UInt8(ascii: "/") ? path : "/" + path, query,
            headers.thatReachContracts, body, try Self.gas(headers["weft-gas"]) ?? gas)
    }

    /// A call as it was written in its canonical form.
    init(
        canonical contract: CID, _ rules: UInt32, _ method: String, _ path: String,
        _ query: String, _ headers: CallHeaders, _ body: CallBody, _ gas: UInt64
    ) throws(CallFault) {
        guard contract.version == .v1, path.utf8.first == UInt8(ascii: "/") else { throw .contract }
        guard headers.fields.allSatisfy({ CallHeaders.reachesContract($0.name) }) else {
            throw .header
        }
        parts = try Parts(contract, rules, method, path, query, headers, body, gas)
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

    /// The limit that `weft-gas` gives; nil if there is none.
    private static func gas(_ header: String?) throws(CallFault) -> UInt64? {
        guard let header else { return nil }
        guard let gas = UInt64(header), String(gas).utf8.elementsEqual(header.utf8) else {
            throw .gas
        }
        return gas
    }
}

extension Call: Hashable {
    public static func == (left: Self, right: Self) -> Bool {
        left.parts === right.parts || left.cid == right.cid
    }

    public func hash(into hasher: inout Hasher) { hasher.combine(cid) }
}

/// What all copies of a call share.
private final class Parts: Sendable {
    let contract: CID
    let rules: UInt32
    let method: String
    let path: String
    let query: String
    let headers: CallHeaders
    let body: CallBody
    let gas: UInt64
    let block: EncodedBlock

    init(
        _ contract: CID, _ rules: UInt32, _ method: String, _ path: String, _ query: String,
        _ headers: CallHeaders, _ body: CallBody, _ gas: UInt64
    ) throws(CallFault) {
        guard contract.codec == .raw || contract.codec == .dagPB else { throw .contract }
        guard 1...16 ~= method.utf8.count,
            method.utf8.allSatisfy({ UInt8(ascii: "A")...UInt8(ascii: "Z") ~= $0 })
        else { throw .method }
        guard path.utf8.count <= CallLimits.maxPathBytes else { throw .path }
        guard !path.utf8.contains(0) else { throw .nul }
        guard query.utf8.count <= CallLimits.maxQueryBytes,
            query.utf8.allSatisfy({ 0x21...0x7e ~= $0 && $0 != UInt8(ascii: "#") })
        else { throw .query }
        if case .inline(let bytes) = body, bytes.count > CallLimits.maxInlineBytes { throw .body }
        guard 1...CallLimits.maxGas ~= gas else { throw .gas }
        self.contract = contract
        self.rules = rules
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.gas = gas
        var map = CanonicalWriter(fields: 8)
        map.write("gas", gas)
        map.write("body", body)
        map.write("path", path)
        map.write("query", query)
        map.write("rules", UInt64(rules))
        map.write("method", method)
        map.write("headers", headers)
        map.write("contract", contract)
        block = EncodedBlock(map.bytes, codec: .dagCBOR)
    }
}

extension Call {
    /// The call's identity.
    public var cid: CID { block.cid }

    /// The canonical dag-cbor.
    public var encoded: [UInt8] { block.bytes }

    /// Decodes the canonical dag-cbor of a call, at most ``CallLimits/maxCallBytes``.
    public init(decoding bytes: RawSpan) throws(DecodeError) {
        guard bytes.byteCount <= CallLimits.maxCallBytes else {
            throw DecodeError(.overLimit, "call: longer than 64 KiB")
        }
        var reader = CanonicalReader(bytes)
        try self.init(&reader)
        try reader.end()
    }

    init(_ reader: inout CanonicalReader) throws(DecodeError) {
        try reader.map(fields: 8)
        let gas = try reader.number("gas", upTo: CallLimits.maxGas)
        let body = try reader.body("body")
        let path = try reader.text("path")
        let query = try reader.text("query")
        let rules = try reader.number("rules", upTo: UInt64(UInt32.max))
        let method = try reader.text("method")
        let headers = try reader.headers("headers")
        let contract = try reader.link("contract")
        do throws(CallFault) {
            try self.init(
                canonical: contract, UInt32(rules), method, path, query, headers, body, gas)
        } catch {
            throw DecodeError(.malformed, "call: a part of it breaks the rules of calls")
        }
    }
}
