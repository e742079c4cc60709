public import Multiformats
public import Wire

/// One peer that was asked in the course of a command, and what came of it.
public struct KadStep: Hashable, Sendable {
    /// What a peer said.
    public enum Answer: Hashable, Sendable {
        /// It knows so many nearer peers and so many providers.
        case peers(closer: Int, providers: Int)
        /// It has the value.
        case value
        /// It took the record, as far as one can know.
        case stored
        /// It could not be asked, or did not answer.
        case failed(StreamFault)
        /// It answered what no honest peer answers.
        case invalid
    }

    /// Who was asked.
    public let peer: PeerID
    /// What it said.
    public let answer: Answer
    /// From the order to open a stream to the answer.
    public let duration: Duration
}

/// How a command ended.
public struct KadResult: Hashable, Sendable {
    /// Why it ended.
    public enum End: Hashable, Sendable {
        /// It ran its course, or found what was enough.
        case complete
        /// The routing table is empty: this node has not joined, or has lost everyone.
        case noPeers
        /// Time ran out; what was found until then counts.
        case timedOut
        /// Nobody could reach this node, so that there is nothing to announce.
        case noAddress
        /// Too many commands are running.
        case overLimit
    }

    /// How many steps are written down.
    public static let maxSteps = 128

    /// Why it ended.
    public var end: End = .complete
    /// The nearest peers to the key that answered, the nearest first.
    public var closest: [PeerID] = []
    /// The best value, of a command that looks for one.
    public var value: [UInt8]?
    /// How many providers were found.
    public var providers = 0
    /// How many peers took the record.
    public var stored = 0
    /// How many questions were sent.
    public var asked = 0
    /// How many of them were answered.
    public var answered = 0
    /// How many peers lay on the way to the nearest one that answered.
    public var hops = 0
    /// Who was asked, in the order of the answers.
    public var steps: [KadStep] = []
}

/// How one lookup went, for who wants to know how the DHT is.
public struct KadLookup: Hashable, Sendable {
    /// How many of the last ones are remembered.
    public static let remembered = 16

    /// Why it ended.
    public let end: KadResult.End
    /// How many peers were asked.
    public let asked: Int
    /// How many of them answered.
    public let answered: Int
    /// How long it took.
    public let duration: Duration
    /// When it ended.
    public let at: Instant
}

/// What the DHT found out.
public enum KadEvent: Hashable, Sendable {
    /// A provider of the key was found. Its addresses are in the book as far as they are credible.
    case provider(command: UInt64, KadPeer)
    /// Somebody says where the peer is that is looked for. Only a connection proves it.
    case peer(command: UInt64, KadPeer)
    /// A valid value was found, better than those before.
    case value(command: UInt64, [UInt8])
    /// A command ended.
    case finished(command: UInt64, KadResult)
    /// A peer broke a rule; its stream is closed.
    case violation(PeerID, KadViolation)
}

/// A rule that a peer broke.
public enum KadViolation: Error, Hashable, Sendable {
    /// A message could not be read.
    case malformed(DecodeError)
    /// An answer is of another kind than its question, or of another key.
    case mismatched
    /// A key is empty or too long.
    case badKey
    /// A value that does not count, or an older one than is known.
    case badValue
}
