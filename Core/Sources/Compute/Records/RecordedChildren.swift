// One activation next to the recorded results of what it called: whether they fit together, and
// what a replay gets to see instead of running them again.

import Multiformats
import Wire

/// The recorded results of the calls that an activation made.
public struct RecordedChildren: Sendable {
    /// The records, in the order in which the calls were started.
    public let records: [CallRecord]
    private var next = 0

    /// Puts a record together with those that it names.
    ///
    /// - Throws: ``RecordFault/children`` if they are not the ones that it names in that order;
    ///   ``RecordFault/gas`` if its own gas and theirs do not make the whole.
    public init(of record: CallRecord, _ records: [CallRecord]) throws(RecordFault) {
        guard records.count == record.children.count,
            zip(records, record.children).allSatisfy({ $0.cid == $1 }),
            records.allSatisfy({ $0.call.rules == record.call.rules })
        else { throw .children }
        var sum = record.ownGas
        for child in records {
            let (larger, overflow) = sum.addingReportingOverflow(child.gas)
            guard !overflow else { throw .gas }
            sum = larger
        }
        guard sum == record.gas else { throw .gas }
        self.records = records
    }

    /// The recorded result of the call that a replay makes next; nil if the record has another one
    /// in its place, or none. Then the record is wrong.
    public mutating func answer(to call: Call) -> CallRecord? {
        guard next < records.count, records[next].call == call else { return nil }
        next += 1
        return records[next - 1]
    }

    /// Whether a replay has made all the calls that are recorded.
    public var isExhausted: Bool { next == records.count }
}
