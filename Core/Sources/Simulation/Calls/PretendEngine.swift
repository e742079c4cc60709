// What stands for an engine in simulations: calls whose result follows from their identity, in
// trees of a few activations. It knows no WebAssembly; whether engines agree is tested elsewhere.

import Compute
import IPLD
import Multiformats
import Wire

/// Runs calls `/tree/<depth>/<number>`: each of them calls two of the next smaller depth.
struct PretendEngine: Sendable {
    /// The contract that all calls are of.
    static let contract = EncodedBlock([0, 0x61, 0x73, 0x6d], codec: .raw).cid
    /// How many calls an activation makes whose depth is not zero.
    static let fanOut = 2

    /// How records are made.
    enum Manner: Hashable, Sendable {
        case honest
        case lying(CallLie)
    }

    private struct Key: Hashable {
        let call: CID
        let manner: Manner
    }

    private var known: [Key: CallRecord] = [:]
    /// All records that anybody has made, by name.
    private(set) var blocks: [CID: [UInt8]] = [:]

    /// The call of a tree.
    static func call(depth: Int, number: UInt64) throws(CallFault) -> Call {
        try Call(
            contract, path: "/tree/" + String(depth) + "/" + String(number), gas: 1_000_000_000)
    }

    /// The record of a call.
    mutating func run(_ call: Call, _ manner: Manner = .honest) -> CallRecord? {
        let key = Key(call: call.cid, manner: manner)
        if let record = known[key] { return record }
        guard let (depth, number) = Self.parameters(of: call) else { return nil }
        let isBelow = manner == .lying(.leaf) || manner == .lying(.withholding)
        var children: [CallRecord] = []
        for index in 0..<(depth > 0 ? Self.fanOut : 0) {
            // Who lies about a leaf calls one that is run wrongly.
            let isLeafLie = isBelow && index == 1
            guard let child = try? Self.call(depth: depth - 1, number: number * 2 + UInt64(index)),
                let record = run(child, isLeafLie ? manner : .honest)
            else { return nil }
            children.append(record)
        }
        let isWrong =
            switch manner {
            case .honest: false
            case .lying where isBelow: depth == 0
            case .lying(let lie): lie.isQuiet
            }
        guard
            let record = Self.answer(
                call, children, isWrong: isWrong, isInflated: manner == .lying(.gas))
        else { return nil }
        known[key] = record
        blocks[record.cid] = record.encoded
        return record
    }

    /// What a replay with these recorded results gives.
    static func replay(_ order: ReplayOrder) -> Replay? {
        guard var recorded = order.recorded, let (depth, number) = parameters(of: order.record.call)
        else { return nil }
        var children: [CallRecord] = []
        for index in 0..<(depth > 0 ? fanOut : 0) {
            guard let call = try? call(depth: depth - 1, number: number * 2 + UInt64(index)) else {
                return nil
            }
            guard let child = recorded.answer(to: call) else { return .strayed }
            children.append(child)
        }
        guard recorded.isExhausted else { return .strayed }
        return answer(order.record.call, children, isWrong: false, isInflated: false)
            .map { .record($0) }
    }

    /// What looking into a proof comes to.
    static func examine(_ file: [UInt8]) -> ProofFinding {
        switch ProofQuestion(file: file) {
        case .answered(let finding): finding
        case .replay(let evidence, let order):
            ProofFinding(evidence, order, by: replay(order))
        }
    }

    private static func parameters(of call: Call) -> (depth: Int, number: UInt64)? {
        let parts = call.path.utf8.split(separator: UInt8(ascii: "/"))
        guard parts.count == 3, let depth = Int(String(decoding: parts[1], as: UTF8.self)),
            let number = UInt64(String(decoding: parts[2], as: UTF8.self)), 0...8 ~= depth
        else { return nil }
        return (depth, number)
    }

    private static func answer(
        _ call: Call, _ children: [CallRecord], isWrong: Bool, isInflated: Bool
    ) -> CallRecord? {
        var text = call.encoded
        for child in children { text += child.cid.bytes }
        var digest = Multihash.sha2_256(of: text.rawSpan).digest
        let own = 1_000 + UInt64(digest[0]) * 1_000 + (isInflated ? 500_000 : 0)
        if isWrong, !isInflated { digest[31] ^= 1 }
        return try? CallRecord(
            call, outcome: .ok, output: CallOutput(body: .inline(digest)),
            gas: children.reduce(own) { $0 + $1.gas }, ownGas: own,
            children: children.map { $0.cid })
    }
}
