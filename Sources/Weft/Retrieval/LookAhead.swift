// What a stream over the mesh asks for ahead of its turn: as much as memory has room for, each
// block with a place between those that come before and after it.

import BlockStore
import IPLD
import Multiformats
import NIOCore
import NodeCore

/// The blocks that a stream has asked for and not taken yet.
struct LookAhead {
    private struct Claim {
        let position: UInt64
        let size: Int
        /// What it links to, once it has come and that has been looked at before its turn.
        var links: [CID]?
    }

    /// How many blocks are asked for ahead at most.
    static let reach = 1_024
    /// How far apart the places of blocks are that lie beside each other: there is room for what
    /// will turn out to lie below them. It stands for 1 MiB, so that places tell about how far
    /// from the beginning of a file a block is.
    private static let stride: UInt64 = 1 << 24
    /// The places of as many nodes fit below one.
    private static let division: UInt64 = 1_024
    /// How long a block probably is of which nothing is known.
    private static let usualSize = 1 << 18

    private let session: MeshSession
    private let capacity: Int
    /// Whether all is wanted that a block links to.
    private let isWhole: Bool
    private var claims: [Multihash: Claim] = [:]
    private var bytes = 0
    /// Where what comes next begins.
    private var floor: UInt64
    /// How long parts of files are that have not been asked for yet.
    private var sizes: [Multihash: Int] = [:]
    private var averageSize = Self.usualSize
    /// What need not be asked for.
    private var present: Set<Multihash> = []

    /// Nothing yet, of a scope; `capacity` is in bytes.
    init(_ session: MeshSession, from scope: RetrievalScope, capacity: Int) {
        self.session = session
        self.capacity = capacity
        isWhole = scope.extent == .all
        floor = 0
        if case .entity(let bytes?) = scope.extent, bytes.from > 0 {
            floor = UInt64(bytes.from).multipliedReportingOverflow(by: 16).partialValue
        }
    }

    /// Whether so little has been asked for that it is time to ask for more.
    var isLow: Bool { claims.count < Self.reach / 2 && bytes < capacity - capacity / 4 }

    /// Whether a block has been asked for.
    func isClaimed(_ cid: CID) -> Bool { claims[cid.hash] != nil }

    /// Whether a block was found here.
    func isPresent(_ cid: CID) -> Bool { present.contains(cid.hash) }

    /// Whether more can be asked for than what has been, and `count` blocks of the usual size.
    func hasRoom(for count: Int) -> Bool {
        claims.count + count < Self.reach && bytes + count * averageSize < capacity
    }

    /// Notes that a block is here.
    mutating func note(present cid: CID) {
        if present.count > 4 * Self.reach { present = [] }
        present.insert(cid.hash)
    }

    /// These blocks, and after each that has come before its turn what is below it: so the next
    /// files of a folder are asked for while one is being taken.
    mutating func unfold(_ cids: [CID]) -> [CID] {
        guard isWhole else { return cids }
        var known: [CID] = []
        var pending = Array(cids.reversed())
        while known.count <= Self.reach, let cid = pending.popLast() {
            known.append(cid)
            guard cid.codec != .raw, pending.count < 4 * Self.reach, let links = links(below: cid)
            else { continue }
            pending += links.prefix(Self.reach).reversed()
        }
        return known
    }

    /// What a block links to that has been asked for, if it has come.
    private mutating func links(below cid: CID) -> [CID]? {
        guard let claim = claims[cid.hash] else { return nil }
        if let links = claim.links { return links }
        guard let block = session.peek(cid) else { return nil }
        let anatomy = BlockAnatomy(block)
        learn(anatomy)
        claims[cid.hash]?.links = anatomy.links
        return anatomy.links
    }

    /// Asks for those of these blocks that have not been asked for, in this order. The first is
    /// asked for in any case, the others as far as there is room.
    mutating func extend(_ cids: [CID]) {
        var wants: [NodeCore.Want] = []
        var gap: [CID] = []
        var last = floor
        for cid in cids {
            if let claim = claims[cid.hash] {
                place(gap, from: last, to: claim.position, into: &wants)
                gap = []
                last = max(last, claim.position)
            } else {
                gap.append(cid)
            }
        }
        place(gap, from: last, to: nil, into: &wants)
        if !wants.isEmpty { session.claim(wants) }
    }

    private mutating func place(
        _ cids: [CID], from start: UInt64, to end: UInt64?, into wants: inout [NodeCore.Want]
    ) {
        guard !cids.isEmpty else { return }
        let width = end.map { $0 - min($0, start) }
        let step = width.map { $0 / max(Self.division, UInt64(cids.count + 1)) } ?? Self.stride
        var position = start
        for cid in cids where claims[cid.hash] == nil {
            let known = sizes.removeValue(forKey: cid.hash)
            let size = known ?? averageSize
            guard claims.isEmpty || (bytes + size <= capacity && claims.count < Self.reach)
            else { return }
            position = position.addingReportingOverflow(step).partialValue
            claims[cid.hash] = Claim(position: position, size: size)
            bytes += size
            wants.append(NodeCore.Want(cid, at: position, size: known))
        }
    }

    /// Takes a block that has been asked for and has come; nil if there is none.
    mutating func redeemAtOnce(_ cid: CID) -> Block? {
        guard claims[cid.hash] != nil, let block = session.redeemAtOnce(cid) else { return nil }
        settle(cid)
        note(block, as: cid)
        return block
    }

    /// Waits for a block that has been asked for.
    mutating func redeem(_ cid: CID) async throws -> Block {
        guard settle(cid) else { throw Fault.cancelled }
        let block = try await session.redeem(cid)
        note(block, as: cid)
        return block
    }

    /// Takes a claim off the list; false if there is none.
    @discardableResult
    private mutating func settle(_ cid: CID) -> Bool {
        guard let claim = claims.removeValue(forKey: cid.hash) else { return false }
        bytes -= claim.size
        floor = claim.position
        return true
    }

    private mutating func note(_ block: Block, as cid: CID) {
        averageSize = max(1, (averageSize * 7 + block.bytes.readableBytes) / 8)
        // It may be linked to once more.
        note(present: cid)
    }

    /// Notes how long the parts of a node are.
    mutating func learn(_ anatomy: BlockAnatomy) {
        guard sizes.count < 64 * Self.reach else { return }
        for child in anatomy.children where child.size <= UInt64(BlockLimits.maxBytes) {
            sizes[child.cid.hash] = Int(child.size)
        }
    }

    /// Gives up what has not been taken.
    func release() {
        session.release(Array(claims.keys))
    }
}
