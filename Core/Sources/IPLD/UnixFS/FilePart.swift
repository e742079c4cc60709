// One block of a file: what it holds of the content itself, and how the rest is spread over the
// blocks below it. Balanced and trickle layouts, raw and dag-pb leaves are all the same here.

import Multiformats
import Wire

/// One block of a file, checked against what its parent said of it.
struct FilePart {
    /// A block that is still to be read.
    struct Pending: Sendable {
        let cid: CID
        /// How many links lie between it and the root.
        let depth: Int
        /// Where its content starts in the file.
        let start: UInt64
        /// How much content its parent says it has; nil for the root.
        let size: UInt64?
    }

    /// Where the block's own content lies in it. It comes before that of the blocks below.
    let content: Range<Int>
    /// The content below, in order.
    let children: [(cid: CID, size: UInt64)]
    /// The content in the block and below it, in bytes.
    let size: UInt64

    /// Reads a block. Refuses one whose sizes contradict each other or its parent.
    init(_ block: RawSpan, as pending: Pending) throws(DAGError) {
        switch pending.cid.codec {
        case .raw:
            content = 0..<block.byteCount
            children = []
            size = UInt64(block.byteCount)
        case .dagPB:
            (content, children, size) = try Self.read(block, cid: pending.cid)
        default: throw DAGError(pending.cid, .notAFile(nil))
        }
        guard pending.size == nil || pending.size == size else {
            throw DAGError(
                pending.cid, .mismatch, "UnixFS: the content's size is not what the parent says")
        }
    }

    private static func read(
        _ block: RawSpan, cid: CID
    ) throws(DAGError) -> (Range<Int>, [(cid: CID, size: UInt64)], UInt64) {
        let decoded = try DAGError.at(cid) { () throws(DecodeError) in
            try UnixFSBlock(decoding: block)
        }
        let node = decoded.node
        guard node.kind == .file || node.kind == .raw else {
            throw DAGError(cid, .notAFile(node.kind))
        }
        guard node.blockSizes.count == decoded.links.count else {
            throw DAGError(cid, .malformed, "UnixFS: a file needs one block size for each link")
        }
        let content = decoded.contentRange ?? 0..<0
        var size = UInt64(content.count)
        var children: [(cid: CID, size: UInt64)] = []
        children.reserveCapacity(decoded.links.count)
        for (link, blockSize) in zip(decoded.links, node.blockSizes) {
            guard link.name?.isEmpty ?? true else {
                throw DAGError(cid, .malformed, "UnixFS: the parts of a file have no names")
            }
            let (sum, overflow) = size.addingReportingOverflow(blockSize)
            // Lengths and offsets are signed in HTTP, in tar and in file systems.
            guard !overflow, sum <= UInt64(Int64.max) else {
                throw DAGError(cid, .malformed, "UnixFS: the block sizes add up to over 63 bits")
            }
            size = sum
            children.append((link.hash, blockSize))
        }
        guard node.fileSize == nil || node.fileSize == size else {
            throw DAGError(cid, .malformed, "UnixFS: the file size is not that of its parts")
        }
        return (content, children, size)
    }
}

extension FilePart {
    /// Where the part of `range` that is this block's own content lies in the block; nil if there
    /// is none.
    func content(of pending: Pending, in range: Range<UInt64>) -> Range<Int>? {
        Self.content(content, from: pending.start, in: range)
    }

    /// Where the part of `range` lies in a block whose `content` starts at `start` in the file.
    static func content(
        _ content: Range<Int>, from start: UInt64, in range: Range<UInt64>
    ) -> Range<Int>? {
        let wanted = (start..<(start + UInt64(content.count))).clamped(to: range)
        guard !wanted.isEmpty else { return nil }
        let first = content.lowerBound + Int(wanted.lowerBound - start)
        return first..<(first + Int(wanted.upperBound - wanted.lowerBound))
    }

    /// The blocks below that hold content of `range`, the first one last.
    ///
    /// Blocks without content are left out, so no more leaves are read than there are bytes to
    /// read, however the DAG is made. `waiting` counts the links that are kept already.
    func below(
        _ pending: Pending, in range: Range<UInt64>, waiting: Int
    ) throws(DAGError) -> [Pending] {
        guard !children.isEmpty else { return [] }
        guard pending.depth < DAGLimits.maxFileDepth else {
            throw DAGError(pending.cid, .overLimit, "the file's DAG is too deep")
        }
        var next: [Pending] = []
        var end = pending.start + size
        for child in children.reversed() {
            let start = end - child.size
            let below = Pending(
                cid: child.cid, depth: pending.depth + 1, start: start, size: child.size)
            if below.overlaps(range) { next.append(below) }
            end = start
        }
        guard waiting + next.count <= DAGLimits.maxPendingLinks else {
            throw DAGError(pending.cid, .overLimit, "the file's DAG has too many links")
        }
        return next
    }
}

extension FilePart.Pending {
    /// Whether some content of `range` lies here.
    func overlaps(_ range: Range<UInt64>) -> Bool {
        guard let size else { return true }
        return !(start..<(start + size)).clamped(to: range).isEmpty
    }
}

extension DAGError {
    /// Runs a decoder and says which block its error is about.
    static func at<Result>(
        _ cid: CID, _ body: () throws(DecodeError) -> Result
    ) throws(DAGError) -> Result {
        do throws(DecodeError) {
            return try body()
        } catch {
            throw DAGError(cid, .invalid(error))
        }
    }
}
