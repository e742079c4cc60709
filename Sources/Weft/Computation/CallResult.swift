// The result of a call: its record. What it answered stands there if it is short; what is long is
// content, and read where it is wanted: no result keeps it in memory.

public import Compute
public import Multiformats
import WasmRules

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
    /// Why it trapped, if that is known: if it ran here. It is no part of the record.
    var reason: String?

    /// About how much memory it takes to keep.
    var memoryBytes: Int {
        1_024 + record.call.body.inlineCount + (record.output?.body.inlineCount ?? 0)
            + 64 * (record.reads.count + record.children.count)
    }
}

extension CallResult {
    /// How it ended, in a word, and why if that is known.
    var ending: String {
        guard let reason else { return record.outcome.word }
        return "\(record.outcome.word): \(reason)"
    }

    /// Why there is no answer, and what can be done; nil if there is one.
    var refusal: String? {
        let why: String
        switch record.outcome {
        case .ok: return nil
        case .outOfGas where record.ownGas > UInt64(GasSchedule.maxOwnGas):
            why = """
                it was given \(record.gas) gas, of which one activation may use \
                \(GasSchedule.maxOwnGas) by itself; what takes more is divided into calls
                """
        case .outOfGas:
            why = """
                it used up the \(record.gas) gas that it was given; Weft-Gas (weft fetch --gas) \
                gives more
                """
        case .stackExhausted: why = "its functions call each other too deeply"
        case .trap: why = reason ?? "'weft contract test' tells why"
        }
        return "the contract did not answer: \(record.outcome.word): \(why)"
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
