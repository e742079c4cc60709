// The names under which bitswap is spoken.

public import Multiformats

extension BitswapVersion {
    /// The name of the protocol's stream.
    public var protocolName: ProtocolName {
        switch self {
        case .v1_0_0: ProtocolName("/ipfs/bitswap/1.0.0")
        case .v1_1_0: ProtocolName("/ipfs/bitswap/1.1.0")
        case .v1_2_0: ProtocolName("/ipfs/bitswap/1.2.0")
        }
    }

    /// The names in the order in which they are offered.
    public static let protocolNames: [ProtocolName] = [
        BitswapVersion.v1_2_0.protocolName, BitswapVersion.v1_1_0.protocolName,
        BitswapVersion.v1_0_0.protocolName, ProtocolName("/ipfs/bitswap"),
    ]

    /// The version of a name; nil if it is none of bitswap.
    public init?(_ name: ProtocolName) {
        switch Self.protocolNames.firstIndex(of: name) {
        case 0: self = .v1_2_0
        case 1: self = .v1_1_0
        case 2, 3: self = .v1_0_0
        default: return nil
        }
    }
}
