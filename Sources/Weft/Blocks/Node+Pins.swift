// Pins: what this node keeps. A recursive pin fetches what is missing first.

public import BlockStore
import IPLD
public import Multiformats
import NIOCore
import Wire

/// How far the fetching of content that is to be pinned has come.
public struct PinProgress: Sendable, Hashable {
    /// Blocks that are here.
    public var blocks: UInt64 = 0
    /// Their bytes.
    public var bytes: UInt64 = 0
}

extension Node {
    /// Keeps content until it is unpinned. What is missing is fetched first, unless the node is
    /// offline.
    ///
    /// - Throws: `StoreError.incomplete` when a block is missing and the node is offline, or the
    ///   error of the retrieval.
    public func pin(
        _ cid: CID, _ kind: Pin.Kind = .recursive, name: String = "",
        progress: (@Sendable (PinProgress) -> Void)? = nil
    ) async throws {
        do {
            try await store.pin(cid, kind, name: name)
            return
        } catch {
            guard case .incomplete = error, configuration.network == .online else { throw error }
        }
        // A session protects what it holds, so that nothing is collected before the pin stands.
        let session = store.beginWrite()
        let source = blocks(of: cid, kind == .recursive ? .all : .block)
        var walk = DAGWalk(
            root: cid, scope: kind == .recursive ? .all : .block, repeats: .omitted)
        var done = PinProgress()
        while case .block(let next) = walk.next() {
            source.prefetch(walk.upcoming(ContentReader.readAhead))
            let bytes = try await source.block(next)
            if next.hash.code != .identity {
                try session.put(Block(verifying: bytes, as: next))
            }
            try walk.supply(bytes.readableBytesSpan)
            done.blocks += 1
            done.bytes += UInt64(bytes.readableBytes)
            progress?(done)
        }
        session.pin(cid, kind, name: name)
        try await session.commit()
    }
}
