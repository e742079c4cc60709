// One piece of content being fetched: a block source that reads the local store first and asks
// providers for the rest.

public import Multiformats
public import NIOCore

/// The retrieval of one piece of content. Its work stops when the last reference to it goes.
public final class RetrievalSession: BlockSource {
    /// What was looked up, who was asked and what each answered.
    public let trace: Trace

    init(trace: Trace) {
        self.trace = trace
    }

    /// The bytes of a block, from the store or from whoever has it.
    ///
    /// - Throws: ``FetchError``.
    public func block(_ cid: CID) async throws -> ByteBuffer {
        throw FetchError(.offline, "the network is not there yet", trace: trace.entries)
    }

    /// Says which blocks will be asked for soon, in that order.
    public func prefetch(_ cids: [CID]) {}
}
