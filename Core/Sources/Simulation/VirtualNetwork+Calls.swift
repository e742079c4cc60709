// What nodes want for calls is done: run by the pretended engine, signed by the host's key.

public import Compute
import IPLD
import Multiformats
import NodeCore
import Wire

extension VirtualNetwork {
    /// How long an engine takes, and how long a signature.
    private static let runTime: Duration = .milliseconds(2)

    mutating func carryOut(_ order: NodeCore.CallOrder, by host: Int) {
        let completion: NodeCore.CallCompletion
        switch order {
        case .verify(let number, let peer, let message, let signature):
            let key = peer.publicKey
            completion = .verified(
                number, key?.verify(signature: signature, of: message) ?? false)
        case .sign(let number, let message):
            completion = .signed(number, try? hosts[host].key.sign(message))
        case .run(let number, let call, let purpose):
            let manner = hosts[host].callLie.map { PretendEngine.Manner.lying($0) } ?? .honest
            completion = .ran(number, engine.run(call, purpose.isOwn ? .honest : manner))
        case .load(let number, let cids, let peer):
            let lie = peer.flatMap { hostOf[$0] }.flatMap { hosts[$0].callLie }
            let blocks = cids.compactMap { engine.blocks[$0] }
            let isGiven = lie != .withholding && blocks.count == cids.count
            completion = .loaded(number, isGiven ? blocks : nil)
        case .replay(let number, let activation):
            completion = .replayed(number, PretendEngine.replay(activation))
        case .convicted(let peer, let evidence):
            hosts[host].convicted.append((peer, evidence))
            return
        case .examine(let number, let file):
            completion = .examined(number, PretendEngine.examine(file))
        case .keep(let number, let receipt):
            hosts[host].receipts.append(receipt)
            completion = .kept(number, true)
        case .stop, .refuted, .changed, .vouched, .disbelieve: return
        }
        events.add(.input(host, .call(completion)), at: now + Self.runTime)
    }

    /// A call whose result the pretended engine knows: a tree of activations.
    public func call(depth: Int, number: UInt64) throws(CallFault) -> Call {
        try PretendEngine.call(depth: depth, number: number)
    }

    /// The right result of a call.
    public mutating func result(of call: Call) -> CallRecord? { engine.run(call) }
}
