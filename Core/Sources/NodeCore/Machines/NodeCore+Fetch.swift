// Records of names: this node asks peers for them, and gives those that its driver has.

import Multiformats
import Peering
import Wire

extension NodeCore {
    /// A command that there is a connection for: asks the peer.
    mutating func ask(_ peer: PeerID, for name: PeerID, by id: UInt64) {
        recordQuestions[keyFetch.fetch(name, from: peer)] = id
    }

    /// Nobody waits for the answer any more.
    mutating func dropQuestion(of id: UInt64) {
        guard let number = recordQuestions.first(where: { $0.value == id })?.key else { return }
        recordQuestions[number] = nil
    }

    /// Carries the machine's orders and events. Returns whether there were any.
    mutating func settleFetch(now: Instant) -> Bool {
        var isQuiet = true
        while let order = keyFetch.nextTransmit() {
            carryOut(order, of: .keyFetch, now: now)
            isQuiet = false
        }
        while let event = keyFetch.nextEvent() {
            isQuiet = false
            switch event {
            case .asked(let number, let name): outputs.append(.lookUpRecord(number, of: name))
            case .answered(let number, let record):
                guard let id = recordQuestions.removeValue(forKey: number) else { continue }
                answer(id, .record(record))
            case .failed(let number, let fault):
                guard let id = recordQuestions.removeValue(forKey: number) else { continue }
                answer(id, .failed(fault == .timedOut ? .timedOut : .refused(fault)))
            }
        }
        return !isQuiet
    }
}
