// A CAR being written: the blocks along a path, then those below its end
// (ipld.io/specs/transport/car/carv1).

import IPLD
import Multiformats
import NIOCore
import Wire

extension ContentReader {
    /// The CAR of what a path led to.
    func carStream(
        _ resolved: ResolvedContent, root: CID, selection: CARSelection
    ) -> CARStream {
        CARStream(resolved, root: root, selection: selection, from: source)
    }
}

/// Drives the walk over a graph and frames its blocks. Payloads are not copied.
struct CARStream: ByteStream {
    private var walk: DAGWalk
    private var path: ArraySlice<CID>
    private let root: CID
    private var hasHeader = false
    private var payload: ByteBuffer?
    /// The most of a block that is given at a time: who is slow to take it holds no more.
    private static let pieceBytes = 64 << 10
    private let source: any BlockSource

    init(
        _ resolved: ResolvedContent, root: CID, selection: CARSelection,
        from source: any BlockSource
    ) {
        let scope: DAGWalk.Scope =
            switch selection.scope {
            case .block: .block
            case .all: .all
            case .entity(let bytes):
                .entity(bytes.map { EntityBytes(from: $0.from, to: $0.through) })
            }
        walk = DAGWalk(
            root: resolved.cid, scope: scope,
            repeats: selection.duplicates == .kept ? .kept : .omitted,
            after: resolved.pathBlocks)
        path = resolved.pathBlocks[...]
        self.root = root
        self.source = source
    }

    mutating func next() async throws -> ByteBuffer? {
        if !hasHeader {
            hasHeader = true
            return ByteBuffer(bytes: CAR.header(roots: [root]))
        }
        if var rest = payload {
            let piece = rest.readSlice(length: min(Self.pieceBytes, rest.readableBytes))
            payload = rest.readableBytes > 0 ? rest : nil
            if let piece, piece.readableBytes > 0 { return piece }
        }
        while let cid = path.popFirst() {
            if let frame = frame(cid, try await source.bytes(of: cid)) { return frame }
        }
        while true {
            switch walk.next() {
            case .block(let cid):
                source.prefetch(walk.upcoming(ContentReader.readAhead))
                let block = try await source.bytes(of: cid)
                try supply(block)
                if let frame = frame(cid, block) { return frame }
            case .revisit(let cid): try supply(try await source.bytes(of: cid))
            case .done: return nil
            }
        }
    }

    private mutating func supply(_ block: ByteBuffer) throws {
        do throws(DAGError) {
            try walk.supply(block.readableBytesSpan)
        } catch {
            throw ContentError(error, on: [])
        }
    }

    /// What comes before a block; the block itself comes next. Nil for a block that its CID holds:
    /// such blocks are not written.
    private mutating func frame(_ cid: CID, _ block: ByteBuffer) -> ByteBuffer? {
        guard cid.hash.code != .identity else { return nil }
        payload = block
        return ByteBuffer(bytes: CAR.sectionHeader(cid, payloadLength: block.readableBytes))
    }
}
