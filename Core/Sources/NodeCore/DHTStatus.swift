// What a node shows of its part in a DHT.

public import Multiformats
public import Peering
import Wire

/// How it stands with one DHT.
public struct DHTStatus: Hashable, Sendable {
    /// Which one it is.
    public let name: ProtocolName
    /// Whether this node answers others in it.
    public let isServer: Bool
    /// How many servers are in the routing table.
    public let peers: Int
    /// How many servers there are in all, estimated; nil while too little is known.
    public let estimatedSize: Double?
    /// How many provider records are kept for others.
    public let providerRecords: Int
    /// How many values are kept for others.
    public let valueRecords: Int
    /// How the last lookups went, the newest last.
    public let lookups: [KadLookup]
    /// How long ago the last one ended.
    public let lastLookupAge: Duration?
}
