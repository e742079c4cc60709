// Whom a retrieval can ask for blocks: one case for each way to ask.

import BlockStore
import Multiformats

/// A thing that can be asked for blocks.
enum BlockProvider: Sendable {
    case gateway(TrustlessGateway)
    /// All peers together, among whom the mesh divides the work itself.
    case peers(PeerSource)

    /// What is told while an answer comes.
    struct Events {
        /// So many bytes came.
        let progress: (Int) -> Void
        /// A block came; answers after a pause, if there must be one, and false to stop.
        let block: (Block, BlockAnatomy) async -> Bool
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
