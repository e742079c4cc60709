// The vocabulary of the want table.

public import Multiformats
import Wire

extension WantTable {
    /// One thing that someone wants to read: a file, a page, a tree.
    public struct SessionID: Hashable, Sendable {
        let number: UInt64
    }

    /// Someone who can be asked for blocks: a bitswap peer, a peer of the stream exchange, an HTTP
    /// provider.
    public struct SourceID: Hashable, Sendable {
        let number: UInt64
    }

    /// What a source can be asked for, besides single blocks.
    public struct Abilities: Sendable {
        /// Whether it says what it has without sending it.
        public enum Probing: Sendable {
            /// It can only be asked for the block.
            case none
            /// It answers whether it has a block (want-have of bitswap 1.2).
            case answersHave
        }

        /// Whether it sends more than it was asked for block by block.
        public enum Streaming: Sendable {
            /// It sends what it is asked for, block by block.
            case none
            /// It can be asked once for all that is below a root.
            case wholes
        }

        /// How it is asked what it has.
        public var probing: Probing
        /// How it is asked for much.
        public var streaming: Streaming
        /// How many blocks it may be asked for at a time.
        public var requests: Int

        /// What a source can do.
        public init(probing: Probing, streaming: Streaming, requests: Int) {
            self.probing = probing
            self.streaming = streaming
            self.requests = requests
        }
    }

    /// Why a source takes part in a session.
    public enum Standing: Sendable {
        /// It is connected, and may have the content.
        case neighbour
        /// Routing names it as one who has the content.
        case provider
    }

    /// What is to be done.
    public enum Action: Hashable, Sendable {
        /// Ask whether a source has a block.
        case probe(SourceID, CID)
        /// Ask a source for a block.
        case request(SourceID, CID)
        /// Tell a source that a block which it was asked for, or about, is no longer wanted.
        case cancel(SourceID, CID)
        /// Ask a source for all that a session wants at once.
        case stream(SourceID, SessionID)
        /// Have a source stop that. What comes until it says that it has is still of use.
        case cancelStream(SourceID, SessionID)
        /// Find out whether a source is there, because it has not sent what it should have.
        case check(SourceID)
        /// Have a source stop that, and listen no more to what comes.
        case abandonStream(SourceID, SessionID)
        /// A session wants nothing at once any more. What has not come may be wanted block by
        /// block.
        case streamOver(SessionID)
        /// Look for providers of this block, and say when that is over (``WantTable/discovered``).
        case discover(SessionID, CID)
        /// A block cannot be had; it is no longer wanted.
        case fail(SessionID, CID, Failure)
    }

    /// Why a block cannot be had.
    public enum Failure: Hashable, Sendable {
        /// Nobody who was asked has it, or there was nobody to ask.
        case absent
        /// Those who had it could not be reached, or broke off.
        case unreachable
        /// Those who had it sent wrong bytes.
        case unverifiable
        /// Nothing came for too long.
        case deadline
    }

    /// How it is known that a source does not have a block.
    public enum Evidence: Sendable {
        /// It said so.
        case answer
        /// It did not answer in time.
        case silence
    }

    /// What went wrong with a source.
    public enum Fault: Hashable, Sendable {
        /// It asks to be left alone for so long.
        case busy(Duration)
        /// It cannot be reached, or broke off. It may try again.
        case broke
        /// It sent what cannot be right. It is never asked again.
        case lied
    }

    /// What a block that came was good for.
    public enum Arrival: Hashable, Sendable {
        /// These sessions wanted it.
        case wanted([SessionID])
        /// It came before, or is no longer wanted.
        case surplus
    }

    /// How many bytes came, and how many of them twice or in vain.
    public struct Tally: Hashable, Sendable {
        /// All that came.
        public var bytes: UInt64 = 0
        /// What was here already, or not wanted.
        public var surplusBytes: UInt64 = 0
    }

    /// Ceilings and times.
    public struct Limits: Sendable {
        /// How many blocks a session may want at a time; what goes beyond it is refused.
        public var wantsPerSession = 4096
        /// How many bytes a session may have asked for block by block, as far as sizes are known.
        public var room = 16 << 20
        /// For how long one source alone sends a whole, if there are others who may have it.
        public var alone: Duration = .milliseconds(100)
        /// How long a source that has brought nothing yet is waited for before another is asked
        /// as well.
        public var hedge: Duration = .milliseconds(800)
        /// How long a source may be silent at the most before it is asked for nothing more.
        public var stall: Duration = .seconds(10)
        /// When a session without progress looks for providers.
        public var search: Duration = .seconds(1)
        /// When it looks for them again.
        public var searchPause: Duration = .seconds(30)
        /// When those who did not have a block are asked again.
        public var rebroadcast: Duration = .seconds(60)
        /// How many sources are asked at a time whether they have a block.
        public var probesPerWant = 32
        /// After how many blocks in a row that it does not have a source leaves the session.
        public var misses = 16
        /// How often a source that broke off may try again.
        public var strikes = 3

        /// The defaults.
        public init() {}
    }
}
