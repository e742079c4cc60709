// Replaying one activation with the recorded results of what it called. An honest record comes out
// of it again, whoever runs it; so one that does not is wrong, and its signer with it.

import Multiformats
import Wire

/// One activation that is to be run again, alone.
public struct ReplayOrder: Hashable, Sendable {
    /// What was said about it.
    public let record: CallRecord
    /// The recorded results of the calls that it made, in order.
    public let children: [CallRecord]

    /// The replay of an activation.
    ///
    /// - Throws: ``RecordFault`` if the records do not belong together: then nothing need be run.
    public init(_ record: CallRecord, children: [CallRecord]) throws(RecordFault) {
        _ = try RecordedChildren(of: record, children)
        self.record = record
        self.children = children
    }

    /// What the engine gets to see instead of running the calls again.
    public var recorded: RecordedChildren? {
        try? RecordedChildren(of: record, children)
    }

    /// Whether a replay shows that the record is wrong.
    public func isRefuted(by replay: Replay) -> Bool {
        switch replay {
        case .strayed: true
        case .record(let record): record != self.record
        }
    }
}

/// What came of a replay.
public enum Replay: Hashable, Sendable {
    /// It made the calls that were recorded, and no others, and this is its record.
    case record(CallRecord)
    /// It made a call that was not recorded at that place, or left out one that was.
    case strayed
}
