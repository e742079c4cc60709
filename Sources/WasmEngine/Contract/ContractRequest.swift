// What a contract is asked, what it may use, and how its run ended.

public import NIOCore
public import WasmRules

/// A header field; names are lower case.
public struct ContractHeader: Hashable, Sendable {
    /// Its name, in lower case.
    public var name: String
    /// Its value.
    public var value: String

    /// A header field.
    public init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// One request to a contract.
public struct ContractRequest: Sendable {
    /// The method of HTTP.
    public var verb: String
    /// What is called: an export, or of a program for WASI any name.
    public var method: String
    /// The path after the contract's CID, decoded; it begins with a slash.
    public var path: String
    /// The query as it came, without its question mark.
    public var query: String
    /// The headers, sorted by name.
    public var headers: [ContractHeader]
    /// The body.
    public var body: Content
    /// What `seed` is derived from: 32 bytes that belong to the call alone.
    public var seed: [UInt8]
    /// The gas that the run may use, with what it calls.
    public var gas: Int64
    /// The directory that a program for WASI sees as `/`.
    public var directory: (any ContentDirectory)?

    /// A request.
    public init(
        verb: String = "GET", method: String, path: String? = nil, query: String = "",
        headers: [ContractHeader] = [], body: Content = .empty,
        seed: [UInt8] = [UInt8](repeating: 0, count: 32), gas: Int64,
        directory: (any ContentDirectory)? = nil
    ) {
        self.verb = verb
        self.method = method
        self.path = path ?? "/" + method
        self.query = query
        self.headers = headers
        self.body = body
        self.seed = seed
        self.gas = gas
        self.directory = directory
    }
}

/// What a contract answered.
public struct ContractResponse: Sendable {
    /// The status of HTTP.
    public var status: Int32
    /// The headers, sorted by name.
    public var headers: [ContractHeader]
    /// The body.
    public var body: ByteBuffer

    /// A response.
    public init(status: Int32, headers: [ContractHeader] = [], body: ByteBuffer = ByteBuffer()) {
        self.status = status
        self.headers = headers
        self.body = body
    }
}

/// How a run ended. The same request gives the same outcome everywhere.
public struct ContractOutcome: Sendable {
    /// How it ended; never ``CallStatus/resource``, which is thrown.
    public var status: CallStatus
    /// The gas that it used, with what it called. What does not end well costs all that it was
    /// given.
    public var gas: Int64
    /// The gas that it used by itself.
    public var ownGas: Int64
    /// What it answered; empty unless it ended well.
    public var response: ContractResponse
    /// What a program for WASI wrote to standard error, up to a limit. It is no part of the result.
    public var diagnostics: ByteBuffer
    /// Why it trapped, if it did. It is no part of the result.
    public var reason: String?
}

/// Why a run has no outcome: this machine could not, or did not want to, go on. That is never a
/// result, and says nothing about the contract.
public enum ResourceFailure: Error, Sendable, Equatable, CustomStringConvertible {
    /// There is no memory for it.
    case memory
    /// It ran longer than this machine lets contracts run.
    case time(Duration)
    /// Too many calls wait.
    case busy
    /// It needed more of this machine's stack than was set aside.
    case stack
    /// Its response is larger than this machine takes.
    case output(limit: Int)
    /// What one call reads is more than this machine fetches for it.
    case input(limit: Int64)
    /// What one call writes in bodies of its own is more than this machine keeps for it.
    case written(limit: Int64)
    /// One call made more calls than this machine takes.
    case calls(limit: Int)
    /// Calls within calls are deeper than this machine takes.
    case depth(limit: Int)
    /// The engine failed.
    case engine(String)

    public var description: String {
        switch self {
        case .memory:
            "this node has no memory left for the call; try again, or raise compute.memory"
        case .time(let limit): "the call ran longer than \(limit)"
        case .busy: "too many calls wait on this node; try again"
        case .stack: "the call needed more stack than this node sets aside"
        case .output(let limit):
            "the response is larger than \(limit) bytes (compute.output)"
        case .input(let limit): "the call reads more than \(limit) bytes (compute.input)"
        case .written(let limit): "the call writes more than \(limit) bytes (compute.written)"
        case .calls(let limit): "the call makes more than \(limit) calls (compute.calls)"
        case .depth(let limit): "calls are nested more than \(limit) deep"
        case .engine(let reason): "the engine failed: \(reason)"
        }
    }
}

/// Why a module is no contract, or has no such method: its fault, and the same everywhere.
public enum ContractFault: Error, Sendable, CustomStringConvertible {
    /// The rules refuse it.
    case refused(WasmRefusal)
    /// It imports a function that hosts do not have, or with another type.
    case unknownImport(module: String, name: String)
    /// It has no method of this name.
    case noMethod(String, known: [String])

    public var description: String {
        switch self {
        case .refused(let refusal): "\(refusal)"
        case .unknownImport(let module, let name):
            """
            the module cannot be a contract: it imports \(module).\(name), which no host offers in \
            this form; contracts import from weft and wasi_snapshot_preview1
            """
        case .noMethod(let name, let known):
            "the contract has no method '\(name)'; it has \(known.joined(separator: ", "))"
        }
    }
}
