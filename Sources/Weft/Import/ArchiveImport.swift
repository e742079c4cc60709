// Importing CARs: a stream of either version into one write session, block by block, each checked
// against its CID; nothing is held but the block at hand.

import BlockStore
import IPLD
public import Multiformats
import NIOCore
public import Wire

/// What a CAR brought.
public struct ArchiveResult: Sendable, Hashable {
    /// The roots that its header names.
    public let roots: [CID]
    /// How many blocks it held, repeated ones included.
    public let blocks: UInt64
    /// How many bytes these blocks have.
    public let bytes: UInt64
}

/// Why a CAR was refused. None of its blocks is kept as content then.
public enum ArchiveError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The bytes are no CAR, or end too early.
    case malformed(DecodeError)
    /// A block does not have the hash that its CID says, or a hash that cannot be checked.
    case badBlock(CID, DecodeError)

    public var description: String {
        switch self {
        case .malformed(let error): "the CAR cannot be read: \(error)"
        case .badBlock(let cid, let error): "the CAR's block \(cid) is refused: \(error)"
        }
    }
}

extension Node {
    /// Takes all blocks of a CAR of version 1 or 2. They are durable when it returns.
    ///
    /// - Parameter pinning: whether the roots are kept. A root whose DAG is not complete, here or
    ///   in the CAR, cannot be.
    /// - Throws: ``ArchiveError``, or an error of the store or of the stream.
    public func importArchive(
        _ body: ResponseBody, pinning: AddOptions.Pinning = .pinned(name: "")
    ) async throws -> ArchiveResult {
        let session = store.beginWrite()
        var archive = ArchiveIntake(session)
        for try await part in body {
            try archive.append(part)
        }
        let result = try archive.finish()
        let roots = result.roots.filter { $0.hash.code != .identity }
        try await keep(roots, from: session, pinning)
        return result
    }
}

/// Reads one CAR into a write session.
struct ArchiveIntake: ~Copyable {
    private let session: WriteSession
    private var reader = CARReader()
    private var buffer = ByteBuffer()
    /// How many bytes are to be passed over that have not come yet.
    private var skipping: UInt64 = 0
    private var roots: [CID] = []
    private var blocks: UInt64 = 0
    private var bytes: UInt64 = 0

    init(_ session: WriteSession) { self.session = session }

    /// Takes the next bytes and stores the blocks that they complete.
    mutating func append(_ part: ByteBuffer) throws {
        var part = part
        if buffer.readableBytes == 0 {
            buffer = part
        } else {
            buffer.discardReadBytes()
            buffer.writeBuffer(&part)
        }
        while try step() {}
    }

    /// Checks that the CAR is complete.
    consuming func finish() throws -> ArchiveResult {
        guard skipping == 0 else {
            throw ArchiveError.malformed(
                DecodeError(.truncated, "the archive ends before its data"))
        }
        do {
            try reader.finish(remaining: buffer.readableBytes)
        } catch {
            throw ArchiveError.malformed(error)
        }
        return ArchiveResult(roots: roots, blocks: blocks, bytes: bytes)
    }

    /// Handles what stands at the start of the buffer; false if more is needed.
    private mutating func step() throws -> Bool {
        if skipping > 0 {
            let count = Int(min(skipping, UInt64(buffer.readableBytes)))
            buffer.moveReaderIndex(forwardBy: count)
            skipping -= UInt64(count)
            if skipping > 0 { return false }
        }
        let next: CARReader.Step
        do {
            let shown = buffer
            next = try reader.next(shown.readableBytesSpan)
        } catch {
            throw ArchiveError.malformed(error)
        }
        switch next {
        case .needMore: return false
        case .skip(let count): skipping = count
        case .header(let found, let consumed):
            roots = found
            buffer.moveReaderIndex(forwardBy: consumed)
        case .section(let cid, let payload, let consumed):
            try take(cid, payload)
            buffer.moveReaderIndex(forwardBy: consumed)
        case .end:
            // An index may follow; it is of no use here.
            buffer.clear()
            return false
        }
        return true
    }

    private mutating func take(_ cid: CID, _ payload: Range<Int>) throws {
        // A copy, so that the store may keep it without the rest of the stream.
        let start = buffer.readerIndex + payload.lowerBound
        let content = ByteBuffer(
            bytes: buffer.getSlice(at: start, length: payload.count)!.readableBytesView)
        let block: Block
        do {
            block = try Block(verifying: content, as: cid)
        } catch {
            throw ArchiveError.badBlock(cid, error)
        }
        blocks += 1
        bytes += UInt64(payload.count)
        // An identity CID holds its block itself.
        if cid.hash.code != .identity { try session.put(block) }
    }
}
