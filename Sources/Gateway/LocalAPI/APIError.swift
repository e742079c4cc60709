// Errors in the form of Kubo's RPC: {"Message":…,"Code":…,"Type":"error"}, with two members of our
// own that clients ignore: Kind, to act on, and Trace, what was tried.

import BlockStore
import HTTPTypes
import HummingbirdCore
import IPLD
import NIOCore
import Weft

/// What a failed call answers.
struct APIError: Error, CustomStringConvertible {
    /// The codes of Kubo's commands library.
    enum Code: Int {
        case normal = 0
        case client = 1
        case notFound = 3
        case forbidden = 5
    }

    /// The kind of an error that only a new index mends.
    static let indexDamaged = "index-damaged"

    let message: String
    let code: Code
    let status: HTTPResponse.Status
    var kind = ""
    var trace: [Trace.Entry] = []

    init(_ message: String, code: Code = .normal, status: HTTPResponse.Status) {
        self.message = message
        self.code = code
        self.status = status
    }

    /// A call that was not understood.
    static func badArgument(_ message: String) -> APIError {
        APIError(message, code: .client, status: .badRequest)
    }

    /// The answer that an error of the library amounts to.
    init(_ error: any Error) {
        switch error {
        case let error as APIError:
            self = error
        case let error as FetchError:
            self.init(error.message, status: .internalServerError)
            kind = error.code.rawValue
            trace = error.trace
        case StoreError.indexDamaged:
            self.init(String(describing: error), status: .internalServerError)
            kind = Self.indexDamaged
        case let error as ContentError:
            self.init(error.message, status: .internalServerError)
        case let error as MultipartError:
            self = .badArgument(error.description)
        default:
            self.init(String(describing: error), status: .internalServerError)
        }
    }

    var description: String { message }

    /// The error as JSON.
    var json: Value {
        .object([
            "Message": .string(message), "Code": .number(code.rawValue),
            "Type": .string("error"), "Kind": kind.isEmpty ? nil : .string(kind),
            "Trace": trace.isEmpty ? nil : trace.json,
        ])
    }

    /// The error as the answer to a call that has not been answered yet.
    var response: ServerResponse {
        ServerResponse(
            status: status, headers: [.contentType: "application/json"],
            body: ServerBody(byteBuffer: JSONText.bytes(of: json)))
    }
}

extension [Trace.Entry] {
    /// What was tried, as JSON.
    var json: Value {
        .list(
            map { entry in
                .object([
                    "step": .string(entry.step.rawValue), "subject": .string(entry.subject),
                    "peer": entry.peer.isEmpty ? nil : .string(entry.peer),
                    "outcome": .string(entry.outcome),
                    "succeeded": entry.succeeded.map { .bool($0) },
                    "status": entry.status.map { .number($0) },
                    "bytes": .number(entry.bytes), "text": .string(entry.description),
                ])
            })
    }
}
