// The arguments of a call, as Kubo's RPC passes them: everything in the query, files in the body.

import HTTPTypes
import Hummingbird
import HummingbirdCore
import IPLD
import Multiformats
import NIOCore
import Weft

/// One call with its arguments.
struct APIRequest: Sendable {
    /// The most arguments that a call may have.
    static let maxArguments = 4096
    /// The largest JSON body of a call, in bytes.
    static let maxJSONBytes = 16 << 20

    let request: ServerRequest
    private let arguments: [(name: String, value: String)]

    init(_ request: ServerRequest) throws(APIError) {
        self.request = request
        arguments = try Self.parse(request.uri.query ?? "")
    }

    private static func parse(_ query: String) throws(APIError) -> [(String, String)] {
        var arguments: [(String, String)] = []
        for item in query.split(separator: "&") {
            guard arguments.count < maxArguments else {
                throw .badArgument("a call can have \(maxArguments) arguments at most")
            }
            let pair = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let value = pair.count == 2 ? pair[1] : ""
            guard let name = PercentCoding.decode(pair[0]),
                let value = PercentCoding.decode(value.replacing("+", with: " "))
            else { throw .badArgument("the argument '\(item)' is not UTF-8 text") }
            arguments.append((name, value))
        }
        return arguments
    }

    /// The values of `arg`.
    var all: [String] { all("arg") }

    /// The values of a name.
    func all(_ name: String) -> [String] {
        arguments.filter { $0.name == name }.map(\.value)
    }

    /// The values of `arg`; an error if there is none.
    func atLeastOne(_ what: String) throws(APIError) -> [String] {
        let values = all
        guard !values.isEmpty else { throw .badArgument("argument \"\(what)\" is required") }
        return values
    }

    /// The one value of `arg`.
    func only(_ what: String) throws(APIError) -> String {
        let values = try atLeastOne(what)
        guard values.count == 1 else {
            throw .badArgument("expected 1 argument \"\(what)\", got \(values.count)")
        }
        return values[0]
    }

    /// The last value of a name, as Kubo takes it; nil if it is missing or empty.
    subscript(name: String) -> String? {
        arguments.last { $0.name == name }.flatMap { $0.value.isEmpty ? nil : $0.value }
    }

    /// Whether an option is on. A name without a value is on.
    func flag(_ names: String..., or usual: Bool = false) throws(APIError) -> Bool {
        for name in names {
            guard let found = arguments.last(where: { $0.name == name }) else { continue }
            switch found.value.lowercased() {
            case "", "true", "1", "t": return true
            case "false", "0", "f": return false
            default: throw .badArgument("'\(name)' must be true or false")
            }
        }
        return usual
    }

    /// A number of an option.
    func number(_ names: String...) throws(APIError) -> UInt64? {
        for name in names {
            guard let text = self[name] else { continue }
            guard let number = UInt64(text) else {
                throw .badArgument("'\(name)' must be a number that is not negative")
            }
            return number
        }
        return nil
    }

    /// A duration of an option.
    func duration(_ name: String) throws(APIError) -> Duration? {
        guard let text = self[name] else { return nil }
        guard let duration = DurationText.parse(text) else {
            throw .badArgument("'\(name)' must be a time such as 30s")
        }
        return duration
    }

    /// How long the call may take and wait (Kubo's global option `timeout`). Who says how long it
    /// may take is as patient while nothing comes.
    func limits(_ usual: Configuration) throws(APIError) -> MeshOptions {
        var limits = MeshOptions(deadline: nil, idleDeadline: usual.fetch.deadline)
        if let timeout = try duration("timeout"), timeout > .zero {
            limits.deadline = timeout
            limits.idleDeadline = max(limits.idleDeadline, timeout)
        }
        if let text = self["audit"] {
            guard let audit = Audit(text: text) else {
                throw .badArgument(
                    "audit must be self, sample, none or quorum:k with k from 2 to 16")
            }
            limits.audit = audit
        }
        if let price = try number("max-price") {
            guard let price = UInt32(exactly: price) else {
                throw .badArgument("max-price is in credits for 1,000 units of gas, below 2^32")
            }
            limits.maxPrice = price
        }
        if let value = try number("value") { limits.value = value }
        return limits
    }

    /// Whether the caller understands frames.
    var wantsFrames: Bool {
        HTTPField.Name(Frame.requestHeader).map { request.headers.contains($0) } ?? false
    }

    /// The JSON body.
    func json() async throws -> Value {
        let body = try await request.body.collect(upTo: Self.maxJSONBytes)
        do {
            return try JSONText.value(of: body)
        } catch {
            throw APIError.badArgument("the body is not JSON: \(error)")
        }
    }

    /// A CID that was passed as text.
    static func cid(_ text: String) throws(APIError) -> CID {
        do {
            return try CID(text: text)
        } catch {
            throw .badArgument("invalid CID '\(text)': \(error)")
        }
    }
}
