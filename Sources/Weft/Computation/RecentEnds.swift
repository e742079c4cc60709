// How calls ended here that this node's machine of calls had run: what they came to beside their
// records, which the machine gives back, or why there is none.

import Compute
import Multiformats
import Synchronization

/// The last ends of own calls, by the calls' CIDs.
final class RecentEnds: Sendable {
    private static let most = 1_024

    private enum End {
        case result(record: CID, time: Duration?, PeerShare, reason: String?, isFresh: Bool)
        case refusal(CallEnd)
        case failure(any Error)

        init(_ end: CallEnd) {
            switch end {
            case .result(let result, let isFresh):
                self = .result(
                    record: result.cid, time: result.time, result.share, reason: result.reason,
                    isFresh: isFresh)
            case .noMethod, .noContract: self = .refusal(end)
            }
        }
    }

    private let state = Mutex((ends: [CID: End](), order: [CID](), next: 0))

    /// Keeps an end. The one that was kept the longest time ago makes room.
    func keep(_ end: CallEnd, of call: CID) { keep(End(end), of: call) }

    /// Keeps why this node could not run a call.
    func keep(_ failure: any Error, of call: CID) { keep(.failure(failure), of: call) }

    private func keep(_ end: End, of call: CID) {
        state.withLock { state in
            guard state.ends.updateValue(end, forKey: call) == nil else { return }
            if state.order.count < Self.most {
                state.order.append(call)
            } else {
                state.ends[state.order[state.next]] = nil
                state.order[state.next] = call
                state.next = (state.next + 1) % Self.most
            }
        }
    }

    /// The end of a call that came to this record here.
    func end(of call: CID, _ record: CallRecord) -> CallEnd? {
        guard case .result(record.cid, let time, let share, let reason, let isFresh)? = self[call]
        else { return nil }
        return .result(
            CallResult(
                record: record, cid: record.cid, time: time, share: share, reason: reason),
            isFresh: isFresh)
    }

    /// Why nothing was called; nil if it is not known.
    ///
    /// - Throws: why this node could not run it.
    func refusal(of call: CID) throws -> CallEnd? {
        switch self[call] {
        case .refusal(let end): return end
        case .failure(let error): throw error
        case .result, nil: return nil
        }
    }

    private subscript(call: CID) -> End? { state.withLock { $0.ends[call] } }
}
