// What one peer has been asked for on its stream of `/weft/exchange/1`, as the want table's
// requests: single blocks are gathered into lists, so that a thousand cost one round trip.

import IPLD
import Multiformats
import Wire

/// The requests of this node to one peer.
struct WeftAsks: Sendable {
    /// What an answer means.
    enum Meaning: Sendable {
        case block(ReceivedBlock)
        /// A block of a stream that a session asked for.
        case streamed(ReceivedBlock, WantTable.SessionID)
        case lacks(Multihash)
        case streamEnded(WantTable.SessionID, WeftStatus)
        case busy(Duration)
    }

    private enum Request {
        case list
        case stream(WantTable.SessionID)
    }

    /// How many lists are open before further blocks are gathered.
    private static let listsMax = 4
    /// So many gathered blocks go at once.
    private static let gatheredMax = 1024
    /// How many bytes the other side may send ahead for each request.
    private static let window: UInt64 = 4 << 20

    private var requests: [UInt64: Request] = [:]
    private var credits: [UInt64: UInt64] = [:]
    private var lists = 0
    private var gathered: [CID] = []
    private var placed: [Multihash: (request: UInt64, item: UInt32)] = [:]
    private var cancelled: [UInt64: [UInt32]] = [:]
    private var cancelledOrder: [UInt64] = []
    private var nextNumber: UInt64 = 0

    /// Whether there is something to say.
    var hasCommands: Bool {
        !cancelledOrder.isEmpty
            || (!gathered.isEmpty
                && (lists < Self.listsMax
                    || (gathered.count >= Self.gatheredMax && requests.count < 32)))
    }

    /// Asks for a block with the next list.
    mutating func ask(_ cid: CID) {
        guard placed[cid.hash] == nil else { return }
        gathered.append(cid)
    }

    /// Takes a block back.
    mutating func cancel(_ cid: CID) {
        guard let place = placed.removeValue(forKey: cid.hash) else {
            gathered.removeAll { $0 == cid }
            return
        }
        if cancelled[place.request] == nil { cancelledOrder.append(place.request) }
        cancelled[place.request, default: []].append(place.item)
    }

    /// Asks for all of a session.
    mutating func stream(_ dag: WeftDAG, for session: WantTable.SessionID) -> WeftCommand {
        nextNumber += 1
        requests[nextNumber] = .stream(session)
        credits[nextNumber] = Self.window
        return .dag(id: nextNumber, credit: Self.window, dag)
    }

    /// Stops that. What is on its way still counts for the session.
    func cancelStream(for session: WantTable.SessionID) -> WeftCommand? {
        streamNumber(of: session).map { .cancel(id: $0) }
    }

    private func streamNumber(of session: WantTable.SessionID) -> UInt64? {
        requests.first {
            if case .stream(session) = $0.value { true } else { false }
        }?.key
    }

    /// A session's reader has room for so many bytes.
    mutating func setRoom(_ bytes: Int, in session: WantTable.SessionID) -> WeftCommand? {
        guard let id = streamNumber(of: session), let credit = credits[id] else { return nil }
        let room = min(UInt64(max(bytes, 0)), 4 * Self.window)
        // Small change is not worth a frame.
        guard room >= credit + Self.window / 8 else { return nil }
        credits[id] = room
        return .credit(id: id, bytes: room - credit)
    }

    /// What is to be sent next.
    mutating func nextCommand() -> WeftCommand? {
        if let id = cancelledOrder.first {
            cancelledOrder.removeFirst()
            return cancelled.removeValue(forKey: id).map { .cancelItems(id: id, $0) }
        }
        guard hasCommands else { return nil }
        nextNumber += 1
        let list = [CID](gathered.prefix(WeftLimits.maxListed))
        gathered.removeFirst(list.count)
        for (item, cid) in list.enumerated() {
            placed[cid.hash] = (nextNumber, UInt32(item))
        }
        requests[nextNumber] = .list
        credits[nextNumber] = Self.window
        lists += 1
        return .list(id: nextNumber, credit: Self.window, list)
    }

    /// Takes in what came, and says what is to be sent because of it.
    mutating func receive(
        _ outcomes: [WeftRequests.Outcome]
    ) -> (meanings: [Meaning], commands: [WeftCommand]) {
        var meanings: [Meaning] = []
        var commands: [WeftCommand] = []
        for outcome in outcomes {
            switch outcome {
            case .block(let id, let block):
                let count = UInt64(block.bytes.count)
                credits[id] = (credits[id] ?? 0) - min(credits[id] ?? 0, count)
                switch requests[id] {
                case .stream(let session): meanings.append(.streamed(block, session))
                case .list, nil:
                    forget(block.cid.hash, of: id)
                    meanings.append(.block(block))
                    if let credit = credits[id], credit < Self.window / 2 {
                        credits[id] = Self.window
                        commands.append(.credit(id: id, bytes: Self.window - credit))
                    }
                }
            case .missing(let id, let cid):
                // What was taken back is missing because of that.
                if forget(cid.hash, of: id) { meanings.append(.lacks(cid.hash)) }
            case .ended(let id, let status, _):
                credits[id] = nil
                switch requests.removeValue(forKey: id) {
                case .stream(let session): meanings.append(.streamEnded(session, status))
                case .list: lists -= 1
                case nil: break
                }
                if case .busy(let retry) = status {
                    meanings.append(.busy(.milliseconds(Int64(clamping: max(retry, 100)))))
                }
            }
        }
        return (meanings, commands)
    }

    @discardableResult
    private mutating func forget(_ hash: Multihash, of id: UInt64) -> Bool {
        guard placed[hash]?.request == id else { return false }
        placed[hash] = nil
        return true
    }
}
