// The result of a call: its record, and the bytes that it answered.

public import Compute
import IPLD
public import Multiformats
import NIOCore
import WasmEngine

/// A call that is over.
public struct CallResult: Sendable {
    /// What is known of it; its output is the contract's answer.
    public let record: CallRecord
    /// The record's name.
    public let cid: CID
    /// How long it ran here; nil if it did not.
    public let time: Duration?
    /// What it answered.
    let body: Content
    /// What of it rests on the word of peers.
    var share = PeerShare.none

    /// About how much memory it takes to keep.
    var memoryBytes: Int {
        if case .bytes(let buffer) = body { return 1_024 + 2 * buffer.readableBytes }
        return 1_024
    }

    /// As a contract sees it that made the call.
    var answer: ContractAnswer {
        let status: Int32 =
            switch record.outcome {
            case .ok: Int32(record.output?.status ?? 200)
            case .outOfGas: 1
            case .stackExhausted: 2
            case .trap, .limit: 3
            }
        let headers = record.output?.headers.fields.map { ContractHeader($0.name, $0.value) }
        return ContractAnswer(
            status: status, gas: Int64(record.gas), headers: headers ?? [],
            body: record.output == nil ? .empty : body)
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

    /// As a contract sees it that made the call.
    var answer: ContractAnswer {
        switch self {
        case .result(let result, _): result.answer
        case .noMethod: ContractAnswer(status: 404)
        case .noContract: ContractAnswer(status: 422)
        }
    }
}
