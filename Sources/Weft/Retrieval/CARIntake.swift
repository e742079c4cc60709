// Reading a CAR that a stranger sends: section by section as bytes come, each block hashed, and
// only blocks that the request leads to accepted. It performs no I/O.

import BlockStore
import IPLD
import Multiformats
import NIOCore

/// Turns the bytes of a CAR answer into verified blocks.
struct CARIntake {
    /// What came out of the bytes so far.
    enum Step {
        /// More bytes are needed.
        case starved
        /// A block that has been asked for, verified.
        case block(Block, BlockAnatomy)
        /// The archive ends here.
        case end
    }

    /// How many links may wait to be followed.
    static let maxExpected = 1 << 20
    /// How many bytes of blocks that came before are tolerated, besides a half of the rest.
    static let repeatAllowance = 8 << 20

    /// How large the pieces are at most that the network brings at a time.
    private static let pieceSize = 64 << 10

    private var reader = CARReader()
    private var buffer = ByteBuffer()
    private var skip: UInt64 = 0
    private var expected: Set<Multihash>
    private var seen: Set<Multihash> = []
    private var goodBytes = 0
    private var repeatedBytes = 0

    /// An intake for the DAG under `root`.
    init(root: CID) {
        expected = [root.hash]
    }

    /// Takes in bytes as they came from the network.
    mutating func feed(_ bytes: ByteBuffer) {
        var bytes = bytes
        if buffer.readableBytes == 0 {
            buffer = bytes
        } else {
            buffer.writeBuffer(&bytes)
        }
    }

    /// The next block, if a whole one is there.
    mutating func next() throws(Fault) -> Step {
        while true {
            if skip > 0 {
                let count = Int(clamping: min(skip, UInt64(buffer.readableBytes)))
                buffer.moveReaderIndex(forwardBy: count)
                skip -= UInt64(count)
                if skip > 0 { return .starved }
            }
            let step: CARReader.Step
            do {
                let shown = buffer
                step = try reader.next(shown.readableBytesSpan)
            } catch {
                throw .rubbish("\(error)")
            }
            switch step {
            case .needMore(let total):
                makeRoom(total)
                return .starved
            case .end: return .end
            case .skip(let count): skip = count
            case .header(_, let consumed): buffer.moveReaderIndex(forwardBy: consumed)
            case .section(let cid, let payload, let consumed):
                let bytes = buffer.getSlice(
                    at: buffer.readerIndex + payload.lowerBound, length: payload.count)
                buffer.moveReaderIndex(forwardBy: consumed)
                guard let bytes else { throw .rubbish("a section without bytes") }
                if let (block, anatomy) = try accept(cid, bytes) {
                    return .block(block, anatomy)
                }
            }
        }
    }

    /// Checks that the answer may end here.
    func finish() throws(Fault) {
        do {
            try reader.finish(remaining: buffer.readableBytes)
        } catch {
            throw .truncated("\(error)")
        }
    }

    /// Sees to it that a section of `total` bytes lies in one piece and that what has been handed
    /// out is not copied when more is added: the rest moves to a buffer of its own.
    private mutating func makeRoom(_ total: Int) {
        guard buffer.readerIndex > 0 || buffer.capacity < total else { return }
        // The last piece of a section brings the beginning of the next one with it.
        let capacity = max(total + Self.pieceSize, buffer.readableBytes)
        var fresh = ByteBufferAllocator().buffer(capacity: capacity)
        fresh.writeImmutableBuffer(buffer)
        buffer = fresh
    }

    private mutating func accept(
        _ cid: CID, _ bytes: ByteBuffer
    ) throws(Fault) -> (Block, BlockAnatomy)? {
        if seen.contains(cid.hash) {
            repeatedBytes += bytes.readableBytes
            guard repeatedBytes <= Self.repeatAllowance + goodBytes / 2 else {
                throw .rubbish("it repeats itself")
            }
            return nil
        }
        guard expected.remove(cid.hash) != nil else {
            throw .rubbish("a block that nothing leads to, \(cid)")
        }
        let block: Block
        do {
            block = try Block(verifying: bytes, as: cid)
        } catch {
            throw .lied("block \(cid): \(error)")
        }
        goodBytes += bytes.readableBytes
        seen.insert(cid.hash)
        let anatomy = BlockAnatomy(block)
        for link in anatomy.links where !seen.contains(link.hash) { expected.insert(link.hash) }
        guard expected.count <= Self.maxExpected else {
            throw .rubbish("the DAG has too many open links")
        }
        return (block, anatomy)
    }
}
