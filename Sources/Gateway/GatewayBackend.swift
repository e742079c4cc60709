// What a gateway needs of a node: blocks, names and records. It is a set of functions, so that
// tests can serve content that no node has.

public import IPLD
public import Multiformats
public import NIOCore
public import Weft

/// What a gateway needs of a node.
public struct GatewayBackend: Sendable {
    /// A signed record of a name.
    public struct NameRecord: Sendable {
        /// The record as its publisher signed it.
        public var bytes: ByteBuffer
        /// How long it may be taken for the newest.
        public var ttl: Duration

        /// A record.
        public init(bytes: ByteBuffer, ttl: Duration) {
            self.bytes = bytes
            self.ttl = ttl
        }
    }

    /// Where the blocks of some content come from.
    public var source: @Sendable (RetrievalScope, Retrieval.Policy, Trace) -> any BlockSource
    /// What `/ipns/<key or domain>` stands for.
    public var resolve: @Sendable (String, Request.CacheMode, Trace) async throws -> ResolvedName
    /// The newest valid record of a key that is known or, unless only what is stored may be used,
    /// can be found; nil if none is.
    public var record: @Sendable (PeerID, Request.CacheMode) async throws -> NameRecord?
    /// Takes a record that somebody publishes; throws if it is not valid. Nil: none is taken.
    public var publish: (@Sendable (PeerID, ByteBuffer) async throws -> Void)?
    /// Whether a block is in the store.
    public var has: @Sendable (Multihash) async throws -> Bool
    /// This node's own peer id and addresses, for routing; nil if it has none.
    public var ownAddresses: @Sendable () -> (id: PeerID, addresses: [String])?
    /// Who else has a block, as far as the network says in time.
    public var findProviders: @Sendable (CID) async -> [FoundPeer] = { _ in [] }
    /// The newest record of a name that is known here or found in the network in time.
    public var findRecord: (@Sendable (PeerID) async -> NameRecord?)?
    /// Where a peer is, as far as the network says in time.
    public var findPeer: @Sendable (PeerID) async -> FoundPeer? = { _ in nil }
    /// The servers of the DHT that are nearest to a key, as far as they are found in time. Nil: the
    /// network is not asked.
    public var findClosest: (@Sendable ([UInt8]) async -> [FoundPeer])?

    /// Calls contracts; nil if none are called.
    public var call: (@Sendable (Request) async throws -> Response)?

    /// What the program's own pages are told of the node; nil if there are none.
    public var facts: (@Sendable () -> Value)?

    /// What `/metrics` answers, in the text exposition format; nil if it answers nothing.
    public var exposition: (@Sendable () -> String)?

    /// A backend of these functions; those about routing may be left out.
    public init(
        source: @escaping @Sendable (RetrievalScope, Retrieval.Policy, Trace) -> any BlockSource,
        resolve:
            @escaping @Sendable (String, Request.CacheMode, Trace) async throws ->
            ResolvedName,
        record:
            @escaping @Sendable (PeerID, Request.CacheMode) async throws -> NameRecord? =
            { _, _ in nil },
        publish: (@Sendable (PeerID, ByteBuffer) async throws -> Void)? = nil,
        has: @escaping @Sendable (Multihash) async throws -> Bool = { _ in false },
        ownAddresses: @escaping @Sendable () -> (id: PeerID, addresses: [String])? = { nil }
    ) {
        self.source = source
        self.resolve = resolve
        self.record = record
        self.publish = publish
        self.has = has
        self.ownAddresses = ownAddresses
    }
}
