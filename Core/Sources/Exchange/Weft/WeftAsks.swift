// What one peer has been asked for on its stream of `/weft/exchange/1`, as the want table's
// requests: single blocks are gathered into lists, so that a thousand cost one round trip.

import IPLD
import Multiformats
import Wire

/// The requests of this node to one peer.
struct WeftAsks: Sendable {
    /// What an answer means.
    enum Meaning: Sendable {
        case blocks([ReceivedBlock])
        /// The next blocks of a whole that a session asked for.
        case streamed([ReceivedBlock], WantTable.SessionID)
        case has(Multihash)
        case lacks(Multihash)
        /// Nothing more comes of a whole.
        case streamEnded(WantTable.SessionID, WeftStatus, Yield)
        case busy(Duration)
    }

    /// Whether anything came of a whole.
    enum Yield { case nothing, something }

    private enum Request {
        case list
        case presence
        case stream(WantTable.SessionID, Yield)
        /// A whole that nobody waits for any more.
        case abandoned
    }

    /// How many lists are open before further blocks are gathered.
    private static let listsMax = 4
    /// So many gathered blocks go at once.
    private static let gatheredMax = 1024
    /// How many bytes the other side may send ahead for each list.
    private static let window: Int64 = 4 << 20

    private var requests = [UInt64: Request]()
    /// How many bytes the other side may still send for lists.
    private var credits = [UInt64: Int64]()
    private var lists = 0
    private var gathered: [CID] = []
    /// What it is to be asked about.
    private var probes: [CID] = []
    private var placed = [Multihash: (request: UInt64, item: UInt32)]()
    private var cancelled = [UInt64: [UInt32]]()
    private var cancelledOrder: [UInt64] = []
    private var nextNumber: UInt64 = 0

    /// Whether there is something to say.
    var hasCommands: Bool {
        !cancelledOrder.isEmpty || (!probes.isEmpty && requests.count < WeftLimits.maxRequests / 2)
            || (!gathered.isEmpty
                && (lists < Self.listsMax
                    || (gathered.count >= Self.gatheredMax && requests.count < 32)))
    }

    /// Asks for a block with the next list.
    mutating func ask(_ cid: CID) {
        guard placed[cid.hash] == nil else { return }
        gathered.append(cid)
    }

    /// Asks whether a block is there.
    mutating func askWhether(_ cid: CID) {
        if probes.count < WeftLimits.maxListed { probes.append(cid) }
    }

    /// Takes a block back.
    mutating func cancel(_ cid: CID) {
        probes.removeAll { $0 == cid }
        guard let place = placed.removeValue(forKey: cid.hash) else {
            gathered.removeAll { $0 == cid }
            return
        }
        if cancelled[place.request] == nil { cancelledOrder.append(place.request) }
        cancelled[place.request, default: []].append(place.item)
    }

    /// Asks for a whole; so many bytes of it may come.
    mutating func stream(
        _ dag: WeftDAG, room: Int, for session: WantTable.SessionID
    ) -> WeftCommand {
        nextNumber += 1
        requests[nextNumber] = .stream(session, .nothing)
        return .dag(id: nextNumber, credit: UInt64(max(room, 0)), dag)
    }

    /// Stops that. What is on its way still counts for the session.
    func cancelStream(for session: WantTable.SessionID) -> WeftCommand? {
        streamNumber(of: session).map { .cancel(id: $0) }
    }

    /// Stops that. What is on its way is as good as any block.
    mutating func abandonStream(for session: WantTable.SessionID) -> WeftCommand? {
        guard let id = streamNumber(of: session) else { return nil }
        requests[id] = .abandoned
        return .cancel(id: id)
    }

    private func streamNumber(of session: WantTable.SessionID) -> UInt64? {
        // A session has one at a time.
        requests.first {
            if case .stream(session, _) = $0.value { true } else { false }
        }?.key
    }

    /// So many bytes more of a whole may come.
    func grant(_ bytes: Int, for session: WantTable.SessionID) -> WeftCommand? {
        streamNumber(of: session).map { .credit(id: $0, bytes: UInt64(max(bytes, 0))) }
    }

    /// What is to be sent next.
    mutating func nextCommand() -> WeftCommand? {
        if let id = cancelledOrder.first {
            cancelledOrder.removeFirst()
            return cancelled.removeValue(forKey: id).map { .cancelItems(id: id, $0) }
        }
        guard hasCommands else { return nil }
        nextNumber += 1
        if !probes.isEmpty {
            requests[nextNumber] = .presence
            defer { probes = [] }
            return .presence(id: nextNumber, probes)
        }
        let list = [CID](gathered.prefix(WeftLimits.maxListed))
        gathered.removeFirst(list.count)
        for (item, cid) in list.enumerated() {
            placed[cid.hash] = (nextNumber, UInt32(item))
        }
        requests[nextNumber] = .list
        credits[nextNumber] = Self.window
        lists += 1
        return .list(id: nextNumber, credit: UInt64(Self.window), list)
    }

    /// Takes in what came, and says what is to be sent because of it.
    mutating func receive(
        _ outcomes: [WeftRequests.Outcome]
    ) -> (meanings: [Meaning], commands: [WeftCommand]) {
        var meanings: [Meaning] = []
        var commands: [WeftCommand] = []
        for outcome in outcomes {
            switch outcome {
            case .blocks(let id, let blocks):
                if case .stream(let session, _) = requests[id] {
                    requests[id] = .stream(session, .something)
                    meanings.append(.streamed(blocks, session))
                } else {
                    meanings.append(.blocks(blocks))
                    if let command = note(blocks, of: id) { commands.append(command) }
                }
            case .present(_, let cid): meanings.append(.has(cid.hash))
            case .missing(let id, let cid):
                // What was taken back is missing because of that.
                if case .presence = requests[id] {
                    meanings.append(.lacks(cid.hash))
                } else if forget(cid.hash, of: id) {
                    meanings.append(.lacks(cid.hash))
                }
            case .ended(let id, let status, _):
                credits[id] = nil
                switch requests.removeValue(forKey: id) {
                case .stream(let session, let yield):
                    meanings.append(.streamEnded(session, status, yield))
                case .list: lists -= 1
                case .presence, .abandoned, nil: break
                }
                if case .busy(let retry) = status {
                    meanings.append(.busy(.milliseconds(Int64(clamping: max(retry, 100)))))
                }
            }
        }
        return (meanings, commands)
    }

    /// Blocks of a list came; more may come in their place.
    private mutating func note(_ blocks: [ReceivedBlock], of id: UInt64) -> WeftCommand? {
        var count: Int64 = 0
        for block in blocks {
            forget(block.cid.hash, of: id)
            count += Int64(block.bytes.count)
        }
        guard let before = credits[id] else { return nil }
        let credit = before - count
        credits[id] = credit
        guard credit < Self.window / 2 else { return nil }
        credits[id] = Self.window
        return .credit(id: id, bytes: UInt64(Self.window - credit))
    }

    @discardableResult
    private mutating func forget(_ hash: Multihash, of id: UInt64) -> Bool {
        guard placed[hash]?.request == id else { return false }
        placed[hash] = nil
        return true
    }
}
