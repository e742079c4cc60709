// Which form of the content is asked for: the `format` parameter, else the `Accept` header
// (specs.ipfs.tech/http-gateways/path-gateway and IPIP-523).

import HTTPTypes

/// A form in which content can be answered.
public enum ResponseFormat: String, Sendable, CaseIterable {
    /// One block as it is.
    case raw
    /// A stream of blocks.
    case car
    /// A UnixFS tree as an archive.
    case tar
    case dagJSON = "dag-json"
    case dagCBOR = "dag-cbor"
    case json
    case cbor
    /// The signed record of a name.
    case ipnsRecord = "ipns-record"

    /// The media type, without parameters.
    public var mediaType: String {
        switch self {
        case .raw: "application/vnd.ipld.raw"
        case .car: "application/vnd.ipld.car"
        case .tar: "application/x-tar"
        case .dagJSON: "application/vnd.ipld.dag-json"
        case .dagCBOR: "application/vnd.ipld.dag-cbor"
        case .json: "application/json"
        case .cbor: "application/cbor"
        case .ipnsRecord: "application/vnd.ipfs.ipns-record"
        }
    }

    /// The extension of a file of this form.
    var fileExtension: String {
        switch self {
        case .raw: "bin"
        case .car: "car"
        case .tar: "tar"
        case .dagJSON, .json: "json"
        case .dagCBOR, .cbor: "cbor"
        case .ipnsRecord: "ipns-record"
        }
    }
}

/// What a client accepts, as far as a gateway distinguishes it.
struct AcceptedFormat {
    /// The form asked for; nil for whatever suits the content.
    let format: ResponseFormat?
    /// Whether `text/html` is accepted by name, as browsers do.
    let wantsHTML: Bool
    /// The parameters of the CAR media type.
    var carParameters: [(name: String, value: String)] = []
    /// Whether the form came from `Accept` while the URL does not say it.
    let comesFromHeader: Bool

    /// Reads the parameter and the header.
    ///
    /// - Throws: ``ContentError`` 400 if the parameter names no known form.
    init(query: QueryItems, accept: String?) throws(ContentError) {
        var named: ResponseFormat?
        if let text = query["format"], !text.isEmpty {
            guard let format = ResponseFormat(rawValue: text) else {
                throw ContentError(.badRequest, "unknown format \"\(text)\"")
            }
            named = format
        }
        var wantsHTML = false
        var negotiated: ResponseFormat?
        for item in (accept ?? "").split(separator: ",") {
            let parts = item.split(separator: ";").map(Self.trimmed)
            guard let type = parts.first?.lowercased() else { continue }
            if type == "text/html" { wantsHTML = true }
            guard
                let format = ResponseFormat.allCases.first(where: { $0.mediaType == type }),
                !parts.dropFirst().contains(where: { $0 == "q=0" || $0 == "q=0.0" })
            else { continue }
            if negotiated == nil { negotiated = format }
            if format == .car, carParameters.isEmpty {
                carParameters = parts.dropFirst().compactMap { part in
                    let pair = part.split(separator: "=", maxSplits: 1).map(Self.trimmed)
                    return pair.count == 2 ? (pair[0].lowercased(), pair[1]) : nil
                }
            }
        }
        self.format = named ?? negotiated
        self.wantsHTML = wantsHTML
        self.comesFromHeader = negotiated != nil && negotiated != named
    }

    private static func trimmed(_ text: Substring) -> String {
        var text = text.drop { $0 == " " || $0 == "\t" || $0 == "\"" }
        while let last = text.last, last == " " || last == "\t" || last == "\"" {
            text.removeLast()
        }
        return String(text)
    }
}

/// The parameters of a URL's query, percent-decoded; the first of a name counts.
public struct QueryItems: Sendable, Equatable {
    /// More items than this are left out.
    public static let maxItems = 64

    /// The query as it was, without its question mark.
    public let text: String
    private var items: [(name: String, value: String)] = []

    /// Reads a query without its question mark. What cannot be decoded is left out.
    public init(_ query: some StringProtocol) {
        text = String(query)
        guard !query.isEmpty else { return }
        for item in query.split(separator: "&").prefix(Self.maxItems) {
            let pair = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let value = pair.count == 2 ? String(pair[1]) : ""
            guard let name = PercentCoding.decode(pair[0]),
                let value = PercentCoding.decode(value.replacing("+", with: " "))
            else { continue }
            items.append((name, value))
        }
    }

    /// The first value of a name.
    public subscript(name: String) -> String? {
        items.first { $0.name == name }?.value
    }

    /// Whether there are none.
    public var isEmpty: Bool { items.isEmpty }

    public static func == (left: Self, right: Self) -> Bool {
        left.text == right.text
    }
}
