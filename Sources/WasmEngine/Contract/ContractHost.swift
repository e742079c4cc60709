// What a run needs of the world around it: other calls and content.

public import NIOCore

/// What a contract asks for by `fetch`.
public struct ContractFetch: Sendable {
    /// A `weft://` or `ipfs://` URL, or one that begins with a slash: of the contract itself.
    public var url: String
    /// The method of HTTP.
    public var verb: String
    /// The headers as the contract gave them, names in lower case, sorted by name.
    public var headers: [ContractHeader]
    /// The body.
    public var body: ByteBuffer
    /// The gas that has been set aside for it; nil for content.
    public var gas: Int64?
}

/// The answer to a fetch.
public struct ContractAnswer: Sendable {
    /// A status of HTTP, or an outcome that is not ok: 1 out of gas, 2 stack exhausted, 3 trap.
    public var status: Int32
    /// What of the gas that was set aside was used.
    public var gas: Int64
    /// The headers, sorted by name.
    public var headers: [ContractHeader]
    /// The body.
    public var body: Content

    /// An answer.
    public init(
        status: Int32, gas: Int64 = 0, headers: [ContractHeader] = [], body: Content = .empty
    ) {
        self.status = status
        self.gas = gas
        self.headers = headers
        self.body = body
    }
}

/// An answer that may still be on its way.
public protocol PendingAnswer: AnyObject, Sendable {
    /// The answer. It blocks, and is asked for once, in the order of the fetches. What is thrown
    /// ends the run without a result.
    func value() throws -> ContractAnswer
    /// Says that nobody will ask for it.
    func abandon()
}

/// Thrown by a host for what no contract may ask for. It is a trap.
public struct ContractMisuse: Error {
    /// A misuse.
    public init() {}
}

/// The host of one run.
public protocol ContractHost: AnyObject, Sendable {
    /// Takes so many bytes of memory more for the run, beside its instance's, until it has ended.
    /// What is thrown ends the run without a result.
    func hold(_ bytes: Int) throws
    /// Begins what a contract asks for; it does not block. What is thrown ends the run without a
    /// result, but for ``ContractMisuse``.
    func begin(_ fetch: ContractFetch) throws -> any PendingAnswer
}

/// A host that has nothing.
public final class EmptyHost: ContractHost {
    private final class Nothing: PendingAnswer {
        func value() -> ContractAnswer { ContractAnswer(status: 404) }
        func abandon() {}
    }

    /// A host that answers every fetch with 404.
    public init() {}

    /// Anything is there.
    public func hold(_ bytes: Int) {}

    /// An answer of 404.
    public func begin(_ fetch: ContractFetch) -> any PendingAnswer { Nothing() }
}
