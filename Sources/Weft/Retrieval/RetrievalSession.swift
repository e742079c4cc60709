// One piece of content being fetched: a block source that reads the local store first and asks
// providers for the rest.

import BlockStore
import IPLD
public import Multiformats
public import NIOCore
import Wire

/// The retrieval of one piece of content. Its work stops when the last reference to it goes.
public final class RetrievalSession: BlockSource {
    /// What a reader passes before it waits for others, and leaves when it does no more.
    struct Gate: Sendable {
        let enter: @Sendable () throws -> Void
        let leave: @Sendable () -> Void
    }

    private let core: RetrievalCore
    private let gate: Gate?

    /// What was looked up, who was asked and what each answered.
    public var trace: Trace { core.trace }

    /// Why a block could not be had, if one could not.
    public var failure: FetchError? { core.failure }

    init(_ core: RetrievalCore, _ gate: Gate?) {
        self.core = core
        self.gate = gate
    }

    deinit { core.close() }

    /// The bytes of a block, from the store or from whoever has it.
    ///
    /// - Throws: ``FetchError`` with the trace; `CancellationError` when the task is cancelled.
    public func block(_ cid: CID) async throws -> ByteBuffer {
        if cid.hash.code == .identity { return ByteBuffer(bytes: cid.hash.digest) }
        if let bytes = core.shelved(cid.hash) { return bytes }
        switch core.policy {
        case .network, .localOnly:
            if let bytes = try await core.shared.stored(cid.hash) { return bytes }
        case .reload, .noStore: break
        }
        do {
            try cid.hash.checkVerifiable()
        } catch {
            throw core.failed(.unverifiable, "\(cid) cannot be verified here: \(error)")
        }
        guard core.policy != .localOnly else {
            throw core.failed(
                .offline, "\(cid) is not stored here, and the network may not be asked")
        }
        try gate?.enter()
        defer { gate?.leave() }
        return try await core.wait(for: cid)
    }

    /// A block as ``block(_:)`` gets it, for whoever keeps it, and those of the blocks after it
    /// that have come as well. `ahead` are the blocks that follow, itself the first.
    func wholeBlocks(from cid: CID, _ ahead: [CID]) async throws -> [Block] {
        // What follows a node is known when that has been read.
        let end = ahead.firstIndex { $0.codec != .raw }.map { $0 + 1 } ?? ahead.count
        let ready = core.shelved(ahead[..<end])
        guard ready.isEmpty else { return ready }
        return [Block(try await block(cid), checkedAs: cid)]
    }

    /// A part of a block that is stored here. One that is in memory is not read from there.
    public func part(_ range: Range<Int>, of cid: CID, size: Int) async throws -> ByteBuffer? {
        guard !core.isShelved(cid.hash) else { return nil }
        return switch core.policy {
        case .network, .localOnly: try await core.shared.part(range, of: cid.hash, size: size)
        case .reload, .noStore: nil
        }
    }

    /// Says which blocks will be asked for soon, in that order.
    public func prefetch(_ cids: [CID]) {
        core.hint(cids)
    }
}
