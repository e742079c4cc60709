// Pins: what the user wants to keep.

public import Multiformats

/// A decision to keep content.
public struct Pin: Hashable, Sendable {
    /// How much a pin keeps.
    public enum Kind: UInt8, Hashable, Sendable {
        /// The block and everything that it links to.
        case recursive = 0
        /// The block alone.
        case direct = 1
    }

    /// What is kept.
    public let cid: CID
    /// How much of it is kept.
    public let kind: Kind
    /// A name that the user gave; empty if none.
    public let name: String

    /// A decision to keep content.
    public init(_ cid: CID, _ kind: Kind, name: String = "") {
        self.cid = cid
        self.kind = kind
        self.name = name
    }
}

/// Why a block is kept.
public enum PinReason: Hashable, Sendable {
    /// It is pinned alone.
    case direct(name: String)
    /// It is the root of pinned content.
    case recursive(name: String)
    /// It is part of pinned content.
    case indirect
}
