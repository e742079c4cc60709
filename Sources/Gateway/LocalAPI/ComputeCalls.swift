// Our own calls about the records of computations.

import Compute
import Hummingbird
import HummingbirdCore
import IPLD
import Multiformats
import Weft
import Wire

extension LocalServices {
    func addComputeRoutes(to router: Router<LocalContext>) {
        router.call("/weft/v1/call/show") { call in
            let nodes = try await node.computation.tree(try Self.record(call))
            return APIAnswer.lines { emit in
                for element in nodes {
                    let history =
                        element.depth == 0 ? node.computation.history(of: element.record) : nil
                    try await emit(Self.value(of: element, history))
                }
            }
        }
        router.call("/weft/v1/call/verify") { call in
            let (root, alone) = (try Self.record(call), try call.flag("alone"))
            return APIAnswer.lines { [node] emit in
                try await node.computation.verify(root, alone: alone) { check in
                    try await emit(Self.value(of: check))
                }
            }
        }
        router.call("/weft/v1/evidence/verify") { [node] call in
            let upload = try UploadReader(call)
            guard try await upload.nextPart() != nil else {
                throw APIError.badArgument("no evidence was sent")
            }
            let bytes = Array(try await upload.wholePart(upTo: Evidence.maxBytes).readableBytesView)
            let evidence: Evidence
            do throws(DecodeError) {
                evidence = try Evidence(decoding: bytes.rawSpan)
            } catch {
                throw APIError.badArgument("this is no evidence: \(error)")
            }
            let finding = try await node.computation.examine(evidence)
            return APIAnswer.json(
                .object([
                    "accused": .string(evidence.accused.description),
                    "kind": .string(evidence.kind), "proven": .bool(finding.isProven),
                    "reason": .string(finding.reason),
                ]))
        }
    }

    func addBalanceRoutes(to router: Router<LocalContext>) {
        router.call("/weft/v1/balance") { [node] _ in
            let (accounts, changes) = try await node.computation.balances()
            return APIAnswer.lines { emit in
                for account in accounts { try await emit(Self.value(of: account)) }
                for change in changes { try await emit(Self.value(of: change)) }
            }
        }
    }

    private static func value(of entry: (peer: PeerID, account: Account)) -> Value {
        .object([
            "peer": .string("\(entry.peer)"), "balance": .integer(Int128(entry.account.balance)),
            "served": .number(entry.account.served), "received": .number(entry.account.received),
            "signed_by_peer": .number(entry.account.signedByPeer),
            "signed_here": .number(entry.account.signedHere),
        ])
    }

    private static func value(of change: BalanceChange) -> Value {
        .object([
            "peer": .string("\(change.peer)"), "change": .integer(Int128(change.amount)),
            "balance": .integer(Int128(change.balance)), "time": .number(change.time),
            "cause": .string(change.reason), "count": .number(change.count),
        ])
    }

    private static func record(_ call: APIRequest) throws(APIError) -> CID {
        try APIRequest.cid(try call.only("record"))
    }

    private static func value(of check: CallCheck) -> Value {
        guard case .map(var entries) = value(of: check.node, nil) else { return .null }
        entries.append(.init("valid", .bool(check.fault == nil)))
        if let fault = check.fault { entries.append(.init("fault", .string(fault))) }
        return .map(entries)
    }

    private static func value(
        of node: CallNode, _ history: (isOwn: Bool, vouchers: [Voucher])?
    ) -> Value {
        let record = node.record
        let vouchers = history?.vouchers.map { voucher in
            Value.object([
                "peer": .string("\(voucher.signer)"), "via": voucher.via.map { .string("\($0)") },
            ])
        }
        return .object([
            "computed_here": history.map { .bool($0.isOwn) },
            "vouchers": vouchers.map { .list($0) },
            "cid": .string(node.cid.description), "depth": .number(node.depth),
            "url": .string(record.call.url), "method": .string(record.call.method),
            "outcome": .string(record.outcome.word),
            "status": record.output.map { .number(Int($0.status)) },
            "gas": .number(record.gas), "own": .number(record.ownGas),
            "limit": .number(record.call.gas),
            "time_us": node.time.map { .number($0.wholeMicroseconds) },
            "reads": .list(record.reads.map { .string($0.description) }),
        ])
    }
}

extension Duration {
    /// In microseconds, without what is left over.
    fileprivate var wholeMicroseconds: UInt64 {
        let (seconds, attoseconds) = components
        return UInt64(max(0, seconds * 1_000_000 + attoseconds / 1_000_000_000_000))
    }
}
