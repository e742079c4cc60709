// Reading a CAR that a stranger sends: section by section as bytes come, each block hashed while it
// comes, and only blocks that the request leads to accepted. It performs no I/O.

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

    private var reader = CARReader(.heads)
    private var buffer = ByteBuffer()
    /// The block that is coming in.
    private var assembly: BlockAssembly?
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
            if assembly != nil {
                assembly?.take(from: &buffer)
                guard assembly?.isComplete == true, let whole = assembly.take() else {
                    return .starved
                }
                let (block, anatomy) = try accept(whole)
                return .block(block, anatomy)
            }
            let step: CARReader.Step
            do {
                let shown = buffer
                step = try reader.next(shown.readableBytesSpan)
            } catch {
                throw .rubbish("\(error)")
            }
            switch step {
            case .needMore: return .starved
            case .end: return .end
            case .skip(let count): skip = count
            case .header(_, let consumed): buffer.moveReaderIndex(forwardBy: consumed)
            case .section(let cid, let payload, _):
                buffer.moveReaderIndex(forwardBy: payload.lowerBound)
                try begin(cid, size: payload.count)
            }
        }
    }

    /// Checks that the answer may end here.
    func finish() throws(Fault) {
        guard assembly == nil, skip == 0 else { throw .truncated("it ends within a block") }
        do {
            try reader.finish(remaining: buffer.readableBytes)
        } catch {
            throw .truncated("\(error)")
        }
    }

    /// Decides about a block from its CID, before its bytes are taken in.
    private mutating func begin(_ cid: CID, size: Int) throws(Fault) {
        if seen.contains(cid.hash) {
            repeatedBytes += size
            guard repeatedBytes <= Self.repeatAllowance + goodBytes / 2 else {
                throw .rubbish("it repeats itself")
            }
            skip = UInt64(size)
            return
        }
        guard expected.contains(cid.hash) else {
            throw .rubbish("a block that nothing leads to, \(cid)")
        }
        do {
            assembly = try BlockAssembly(cid, size: size)
        } catch {
            throw .rubbish("\(error)")
        }
    }

    private mutating func accept(_ whole: BlockAssembly) throws(Fault) -> (Block, BlockAnatomy) {
        let block: Block
        do {
            block = try whole.finish()
        } catch {
            throw .lied("block \(whole.cid): \(error)")
        }
        goodBytes += block.bytes.readableBytes
        expected.remove(block.cid.hash)
        seen.insert(block.cid.hash)
        let anatomy = BlockAnatomy(block)
        for link in anatomy.links where !seen.contains(link.hash) { expected.insert(link.hash) }
        guard expected.count <= Self.maxExpected else {
            throw .rubbish("the DAG has too many open links")
        }
        return (block, anatomy)
    }
}
