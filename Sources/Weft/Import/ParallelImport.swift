// A file that comes as a stream, whose pieces are hashed and written on several threads while the
// next ones arrive.

import BlockStore
import IPLD
import NIOCore
import NIOPosix

/// Builds one file from a stream of bytes.
struct ParallelImport {
    /// After how many bytes progress is told.
    private static let interval: UInt64 = 256 << 10
    /// How many pieces are worked on at a time.
    private static let width = System.coreCount + 1

    private let leaves: LeafMaker
    private let metadata: FileMetadata
    private var cutter: PieceCutter
    private var builder: FileBuilder
    /// The next piece that the builder has not got.
    private var next = 0
    /// Leaves that came before their turn; at most one for each piece in work.
    private var early: [Int: DAGEntry] = [:]

    /// Begins a file; see ``PieceCutter`` about the splitter.
    init(_ leaves: LeafMaker, _ splitter: Splitter, metadata: FileMetadata) {
        self.leaves = leaves
        self.metadata = metadata
        cutter = PieceCutter(splitter)
        builder = FileBuilder(leaves.profile, metadata: metadata)
    }

    /// Reads the stream to its end and answers the file's root and size.
    consuming func run(
        _ body: ResponseBody, progress tell: (@Sendable (UInt64) -> Void)? = nil
    ) async throws -> (root: DAGEntry, bytes: UInt64) {
        var file = self
        var bytes: UInt64 = 0
        let root = try await withThrowingTaskGroup(of: (Int, DAGEntry).self) { group in
            var first: ByteBuffer?
            var count = 0
            for try await part in body {
                let before = bytes
                bytes += UInt64(part.readableBytes)
                if bytes / Self.interval > before / Self.interval { tell?(bytes) }
                var rest = part
                while let piece = file.cutter.next(of: &rest) {
                    count += 1
                    if count == 1 {
                        // Whether it is the whole file is not known yet.
                        first = piece
                        continue
                    }
                    if let whole = first.take() { file.begin(whole, 0, in: &group) }
                    if count > Self.width, let done = try await group.next() { try file.take(done) }
                    file.begin(piece, count - 1, in: &group)
                }
            }
            let last = file.cutter.last()
            guard count + (last == nil ? 0 : 1) > 1 else {
                return try await file.finish(whole: first ?? last)
            }
            if let whole = first.take() { file.begin(whole, 0, in: &group) }
            if let last { file.begin(last, count, in: &group) }
            while let done = try await group.next() { try file.take(done) }
            return try file.finish()
        }
        return (root, bytes)
    }

    private func begin(
        _ piece: ByteBuffer, _ number: Int,
        in group: inout ThrowingTaskGroup<(Int, DAGEntry), any Error>
    ) {
        group.addTask { [leaves] in
            // Writing may wait for the disk, which must not hold up the threads that answer.
            let leaf = try await NIOThreadPool.singleton.runIfActive {
                try leaves.leaf(of: piece)
            }
            return (number, leaf)
        }
    }

    private mutating func take(_ done: (Int, DAGEntry)) throws {
        early[done.0] = done.1
        while let leaf = early.removeValue(forKey: next) {
            builder.add(leaf)
            next += 1
            try drain()
        }
    }

    /// Ends a file of one piece, or of none.
    private mutating func finish(whole: ByteBuffer?) async throws -> DAGEntry {
        guard let whole else { return try finish() }
        let carries = !metadata.isEmpty && leaves.profile.leaves == .dagPB
        let leaf = try await NIOThreadPool.singleton.runIfActive { [leaves, metadata] in
            try leaves.leaf(of: whole, metadata: carries ? metadata : FileMetadata())
        }
        if carries { return leaf }
        builder.add(leaf)
        return try finish()
    }

    private mutating func finish() throws -> DAGEntry {
        let root = builder.finish()
        try drain()
        return root
    }

    private mutating func drain() throws {
        while let block = builder.nextBlock() { try leaves.put(Block(block)) }
    }
}
