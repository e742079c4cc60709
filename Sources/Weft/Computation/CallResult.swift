// The result of a call: its record. What it answered stands there if it is short; what is long is
// content, and read where it is wanted: no result keeps it in memory.

public import Compute
public import Multiformats

/// A call that is over.
public struct CallResult: Sendable {
    /// What is known of it; its output is the contract's answer.
    public let record: CallRecord
    /// The record's name.
    public let cid: CID
    /// How long it ran here; nil if it did not.
    public let time: Duration?
    /// What of it rests on the word of peers.
    var share = PeerShare.none

    /// About how much memory it takes to keep.
    var memoryBytes: Int {
        1_024 + record.call.body.inlineCount + (record.output?.body.inlineCount ?? 0)
            + 64 * (record.reads.count + record.children.count)
    }
}

extension CallBody {
    /// How many bytes are part of what names it.
    fileprivate var inlineCount: Int {
        if case .inline(let bytes) = self { return bytes.count }
        return 0
    }
}

/// What came of a call, or why nothing was called: that is the same everywhere, too.
enum CallEnd: Sendable {
    /// It was called, now or before.
    case result(CallResult, isFresh: Bool)
    /// The contract has no method of this name.
    case noMethod(String)
    /// What the CID names is no contract.
    case noContract(String)
}
