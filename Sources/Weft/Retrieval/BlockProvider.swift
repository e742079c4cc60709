// Whom a retrieval can ask for blocks: one case for each way to ask.

import BlockStore
import Multiformats
import NIOCore

/// A verified block that came from a provider, and what it tells about others.
struct ArrivedBlock {
    let block: Block
    let anatomy: BlockAnatomy
}

/// Blocks that came together: small ones are handed on many at a time, because each time costs as
/// much as dozens of them.
struct Arrivals {
    private static let maxCount = 64
    private static let maxBytes = 256 << 10

    private var blocks: [ArrivedBlock] = []
    private var bytes = 0

    /// Whether there is nothing to be handed on.
    var isEmpty: Bool { blocks.isEmpty }

    /// Whether it is time to hand them on.
    var isFull: Bool { blocks.count >= Self.maxCount || bytes >= Self.maxBytes }

    mutating func append(_ block: Block, _ anatomy: BlockAnatomy) {
        blocks.append(ArrivedBlock(block: block, anatomy: anatomy))
        bytes += block.bytes.readableBytes
    }

    /// Takes them out.
    mutating func take() -> [ArrivedBlock] {
        defer { self = Arrivals() }
        return blocks
    }
}

/// A thing that can be asked for blocks.
enum BlockProvider: Sendable {
    case gateway(TrustlessGateway)
    /// All peers together, among whom the mesh divides the work itself.
    case peers(PeerSource)

    /// What is told while an answer comes.
    struct Events {
        /// So many bytes came.
        let progress: (Int) -> Void
        /// Blocks came, in this order; answers after a pause, if there must be one, and false to
        /// stop.
        let blocks: ([ArrivedBlock]) async -> Bool
    }

    /// How it is remembered and shown.
    var name: String {
        switch self {
        case .gateway(let gateway): gateway.address.base
        case .peers: "peers"
        }
    }

    /// Whether it tells the trace itself whom it asks, and stores what comes.
    var isPeers: Bool {
        if case .peers = self { true } else { false }
    }

    /// Asks for one block.
    func block(_ cid: CID, progress: (Int) -> Void) async throws -> Block {
        switch self {
        case .gateway(let gateway): try await gateway.block(cid, progress: progress)
        case .peers(let peers): try await peers.block(cid)
        }
    }

    /// Asks for a part of a DAG as one stream of blocks.
    func stream(
        _ scope: RetrievalScope, maxBytes: UInt64?, events: Events
    ) async throws {
        switch self {
        case .gateway(let gateway):
            _ = try await gateway.stream(scope, maxBytes: maxBytes, events: events)
        case .peers(let peers): try await peers.stream(scope, events: events)
        }
    }
}
