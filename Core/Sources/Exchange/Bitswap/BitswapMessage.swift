// What bitswap peers tell each other (specs.ipfs.tech/bitswap-protocol), without the blocks: those
// are views of a received message (ReceivedBitswapMessage) or pieces of one to be sent
// (OutgoingMessage).

public import Multiformats

/// The versions of bitswap. Later ones contain the earlier ones.
public enum BitswapVersion: UInt8, Comparable, CaseIterable, Sendable {
    /// Blocks without a CID, which are of version 0.
    case v1_0_0
    /// Blocks with the prefix of their CID.
    case v1_1_0
    /// Asking whether a peer has a block, and answers to that.
    case v1_2_0

    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// Ceilings of bitswap that all peers agree on, or that the deployed ones keep.
public enum BitswapLimits {
    /// The largest message, in bytes.
    public static let maxMessageBytes = 4 << 20
    /// How many wants, presences and blocks of each kind a message may hold. A message could
    /// carry more in its bytes; nobody who keeps to ``maxWants`` has a reason to.
    public static let maxEntries = 1 << 14
    /// How many wants of one peer are kept.
    public static let maxWants = 1024
    /// A peer that asks whether a block is here is sent the block itself up to this many bytes.
    public static let maxInlineBytes = 1024
}

/// The lists of a bitswap message.
public struct BitswapMessage: Hashable, Sendable {
    /// A line of a wantlist.
    public struct Want: Hashable, Sendable {
        /// What is wanted.
        public enum Kind: Hashable, Sendable {
            /// The block.
            case block
            /// To know whether the other one has it.
            case have
            /// Nothing any longer.
            case cancel
        }

        /// What to do about a block that is not there.
        public enum Absence: Hashable, Sendable {
            /// Say nothing, and send the block should it come.
            case silent
            /// Say so.
            case answer
        }

        /// The block.
        public let cid: CID
        /// What is wanted of it.
        public let kind: Kind
        /// Higher comes first.
        public let priority: Int32
        /// What the peer does when it has not got the block.
        public let absence: Absence

        /// A line of a wantlist.
        public init(_ cid: CID, _ kind: Kind, priority: Int32 = 1, absence: Absence = .silent) {
            self.cid = cid
            self.kind = kind
            self.priority = priority
            self.absence = absence
        }
    }

    /// Whether a peer has a block.
    public struct Presence: Hashable, Sendable {
        /// Here or not.
        public enum Kind: UInt8, Hashable, Sendable {
            case have = 0
            case dontHave = 1
        }

        /// The block.
        public let cid: CID
        /// Whether the peer has it.
        public let kind: Kind

        /// Says of a block that it is there, or is not.
        public init(_ cid: CID, _ kind: Kind) {
            self.cid = cid
            self.kind = kind
        }
    }

    /// Changes to what the sender wants, or all of it.
    public var wants: [Want] = []
    /// Whether ``wants`` takes the place of everything that was wanted before.
    public var isFull = false
    /// What the sender has and has not.
    public var presences: [Presence] = []
    /// How many bytes of blocks the sender has still to send.
    public var pendingBytes: Int32 = 0

    /// An empty message.
    public init() {}

    /// Whether it says nothing.
    public var isEmpty: Bool {
        wants.isEmpty && !isFull && presences.isEmpty && pendingBytes == 0
    }
}
