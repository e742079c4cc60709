// What the store tells about itself: figures, what it found at start, and what a check found.

public import Multiformats

/// Figures about a store at one instant.
public struct StoreStatistics: Hashable, Sendable {
    /// Blocks that can be read.
    public var blocks: UInt64 = 0
    /// Bytes of the segment files that these blocks occupy.
    public var liveBytes: UInt64 = 0
    /// How many of those bytes are pinned.
    public var pinnedBytes: UInt64 = 0
    /// Bytes of all files in the store's directory.
    public var usedBytes: UInt64 = 0
    /// How many of those bytes are the index.
    public var indexBytes: UInt64 = 0
    /// The ceiling, in bytes.
    public var maxBytes: UInt64 = 0
    /// Segment files.
    public var segments: Int = 0
    /// Pins.
    public var pins: Int = 0
    /// Blocks given out since the store was opened, and how many of them came from memory.
    public var reads: UInt64 = 0
    /// Blocks given out from memory since the store was opened.
    public var memoryHits: UInt64 = 0
    /// Blocks removed by collection since the store was opened.
    public var collectedBlocks: UInt64 = 0
    /// Bytes freed by collection since the store was opened.
    public var collectedBytes: UInt64 = 0
}

/// Something that the owner of a store should see in the log.
public enum StoreEvent: Hashable, Sendable, CustomStringConvertible {
    /// The end of a segment was not completely written when the program stopped; it was cut off.
    case tornTail(segment: UInt32, bytes: UInt64)
    /// Blocks had been written but not indexed when the program stopped; they are indexed now.
    case recovered(blocks: Int)
    /// The index was missing or damaged and was rebuilt from the segments.
    case indexRebuilt(blocks: Int)
    /// A pin could not be restored completely, because this block is lost.
    case pinIncomplete(root: CID, missing: CID)

    public var description: String {
        switch self {
        case .tornTail(let segment, let bytes):
            "cut \(bytes) bytes off segment \(segment), which were not completely written"
        case .recovered(let blocks):
            "indexed \(blocks) blocks that had been written before the program was stopped"
        case .indexRebuilt(let blocks):
            "the index was missing or damaged; rebuilt it from the segments (\(blocks) blocks)"
        case .pinIncomplete(let root, let missing):
            "the pinned content \(root) lacks its block \(missing); fetch it again"
        }
    }
}

/// What a check found, and whether it was mended.
public struct CheckReport: Hashable, Sendable {
    /// Blocks whose bytes were hashed again and match.
    public var verified: UInt64 = 0
    /// Blocks whose bytes do not match their hash any more. A repair drops them, so that they
    /// can be fetched again.
    public var rotten: [CID] = []
    /// Blocks in the index that no segment holds.
    public var lost: [CID] = []
    /// Blocks that are sound, but not where the index has them. A repair puts that right.
    public var misplaced: [CID] = []
    /// How many blocks the segments hold that the index has lost. A repair enters them.
    public var unindexed: UInt64 = 0
    /// Pins that the index has lost, or that their journal has. A repair restores them.
    public var forgottenPins: [CID] = []
    /// Blocks that pinned content needs and that are not here.
    public var missing: [CID] = []
    /// Files that content was added from in place and that have changed or are gone.
    public var changedFiles: [String] = []
    /// What is wrong with the index database. Then nothing else was looked at: the store has to be
    /// closed and ``BlockStore/rebuildIndex(at:)`` called.
    public var indexDamage: String?
    /// Whether what was found has been mended as far as possible.
    public var repaired = false

    /// Whether there is nothing to complain about.
    public var isClean: Bool {
        rotten.isEmpty && lost.isEmpty && missing.isEmpty && changedFiles.isEmpty
            && misplaced.isEmpty && unindexed == 0 && forgottenPins.isEmpty && indexDamage == nil
    }
}

/// How far a check has come.
public struct CheckProgress: Hashable, Sendable {
    /// Bytes of blocks that were hashed again.
    public var bytes: UInt64
    /// Bytes of all segments.
    public var total: UInt64
}

/// What a collection did.
public struct CollectionReport: Hashable, Sendable {
    /// Blocks that were removed.
    public var blocks: UInt64 = 0
    /// Bytes that were given back to the file system.
    public var bytes: UInt64 = 0
}
