// How calls ended that this node's machine of calls had run here: what they came to beside their
// records, or why there is none.

import Multiformats
import Synchronization

/// The last ends of own calls, by the calls' CIDs.
final class RecentEnds: Sendable {
    private static let most = 1_024

    private let state = Mutex((ends: [CID: CallEnd](), order: [CID](), next: 0))

    /// Keeps an end. The one that was kept the longest time ago makes room.
    func keep(_ end: CallEnd, of call: CID) {
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

    /// The end of a call.
    func end(of call: CID) -> CallEnd? { state.withLock { $0.ends[call] } }
}
