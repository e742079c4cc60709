// A file's content, in order, block by block.

public import Multiformats

/// Reads the content of a UnixFS file, or a range of it.
///
/// Follow ``next()``: it asks for one block at a time, and says which bytes of the block just
/// supplied come next in the content. No block's bytes are kept. Sizes that a parent says of its
/// children are checked before a byte of the child is handed out.
public struct FileReader: Sendable {
    /// What is to be done next.
    public enum Step: Hashable, Sendable {
        /// Supply this block.
        case block(CID)
        /// The size of the whole file in bytes. Comes once, after the root was supplied and before
        /// any content; ``FileReader/narrow(to:)`` may be called now.
        case size(UInt64)
        /// The next bytes of the content are these of the block that was supplied last.
        case bytes(Range<Int>)
        /// All the content was handed out.
        case done
    }

    /// A block that is nothing but content.
    public struct Leaf: Hashable, Sendable {
        /// How long its parent says it is, in bytes.
        public let size: Int
        /// Which of its bytes are wanted.
        public let wanted: Range<Int>
    }

    private enum Phase: Sendable {
        case reading
        /// The root was supplied, and its size not yet told. Its own content lies at `content`.
        case sized(UInt64, content: Range<Int>)
        /// The size was told, and nothing else yet.
        case told(content: Range<Int>)
    }

    /// The blocks still to be read, the next one last.
    private var pending: [FilePart.Pending]
    private var range: Range<UInt64>
    private var phase = Phase.reading
    /// What was found in the block that was supplied last and has not been handed out yet.
    private var content: Range<Int>?

    /// Starts at the root of a file. A range that passes the end is cut there.
    public init(root: CID, range: Range<UInt64>? = nil) {
        pending = [FilePart.Pending(cid: root, depth: 0, start: 0, size: nil)]
        self.range = range ?? 0..<UInt64.max
    }

    /// What is to be done next. Asks for the same block until it is supplied; the other steps
    /// come once.
    public mutating func next() -> Step {
        if case .sized(let size, let content) = phase {
            phase = .told(content: content)
            return .size(size)
        }
        phase = .reading
        if let bytes = content {
            content = nil
            return .bytes(bytes)
        }
        guard let block = pending.last else { return .done }
        return .block(block.cid)
    }

    /// Takes the block that ``next()`` asked for. The bytes must have been checked against the CID.
    public mutating func supply(_ block: RawSpan) throws(DAGError) {
        guard let item = pending.last, content == nil else {
            preconditionFailure("no block was asked for")
        }
        let part = try FilePart(block, as: item)
        let below = try part.below(item, in: range, waiting: pending.count)
        pending.removeLast()
        pending.append(contentsOf: below)
        content = part.content(of: item, in: range)
        if item.depth == 0 { phase = .sized(part.size, content: part.content) }
    }

    /// The block that ``next()`` asks for, if it is nothing but content: a raw leaf below the
    /// root. Such a leaf may be read in parts, see ``passLeaf()``.
    public var leaf: Leaf? {
        guard let item = pending.last, item.cid.codec == .raw,
            let size = item.size.flatMap({ Int(exactly: $0) }),
            let wanted = FilePart.content(0..<size, from: item.start, in: range)
        else { return nil }
        return Leaf(size: size, wanted: wanted)
    }

    /// Goes on behind the ``leaf`` that ``next()`` asked for: the caller reads its bytes itself,
    /// and sees that it is as long as its parent says.
    public mutating func passLeaf() {
        precondition(leaf != nil && content == nil, "no leaf was asked for")
        pending.removeLast()
    }

    /// Reads no more than `range` of what was asked for. Only right after ``Step/size(_:)``.
    public mutating func narrow(to range: Range<UInt64>) {
        guard case .told(let own) = phase else {
            preconditionFailure("the size must just have been told")
        }
        let both = self.range.clamped(to: range)
        self.range = both
        pending.removeAll { !$0.overlaps(both) }
        content = FilePart.content(own, from: 0, in: both)
    }

    /// The next blocks that will be asked for, as far as they are known, at most `count`, and no
    /// more than have so many `bytes` together.
    public func upcoming(_ count: Int, within bytes: UInt64 = .max) -> [CID] {
        var cids: [CID] = []
        var room = bytes
        for block in pending.suffix(max(0, count)).reversed() {
            // What is said of a block with others below is the content of them all.
            let size = min(block.size ?? 0, UInt64(BlockLimits.maxBytes))
            guard size <= room else { break }
            room -= size
            cids.append(block.cid)
        }
        return cids
    }
}
