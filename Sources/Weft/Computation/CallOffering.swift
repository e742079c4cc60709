// What a node offers to run for peers, from its configuration.

import BlockStore
import Compute
import Logging
import Multiformats
import NIOCore
import Synchronization
import WasmEngine

extension Configuration.Compute {
    /// How many calls of peers run at a time.
    var runningCalls: UInt32 {
        UInt32(clamping: slots > 0 ? slots : max(1, System.coreCount))
    }

    /// Whether peers may ask: contracts run here, and for them.
    var isServing: Bool { contracts == .on && serve == .on && EngineCheck.isInstalled }

    /// What peers are told.
    ///
    /// - Parameter speed: in gas a second.
    func callOffer(speed: UInt64) -> CallOffer {
        let named = offer.prefix(CallProtocol.maxOffered).compactMap { try? CID(text: $0).v1 }
        return CallOffer(
            contracts: offer.isEmpty ? .any : .these(named),
            price: Price(rate: UInt32(clamping: price)), speed: speed, slots: runningCalls)
    }
}

extension Computation {
    /// By how much the speed has to change before peers are told.
    private static let noticeable: UInt64 = 4

    /// Tells peers how fast this machine has turned out to be.
    func renewOffer() async {
        guard let mesh, limits.isServing else { return }
        let speed = load.speed
        let said = told.withLock { $0 }
        guard max(said, speed) - min(said, speed) > said / Self.noticeable else { return }
        told.withLock { $0 = speed }
        await mesh.setOffer(limits.callOffer(speed: speed))
    }

    /// Names the contracts that this node keeps, so that those are found who have them.
    func announceKept() async {
        guard limits.isServing else { return }
        if !limits.offer.isEmpty {
            for text in limits.offer.prefix(CallProtocol.maxOffered) {
                if let contract = try? CID(text: text).v1 { ran(contract) }
            }
            return
        }
        for contract in offeredBefore() { await kept(contract) }
        guard let pins = try? await store.pins() else { return }
        for pin in pins.prefix(Self.maxKept) { await kept(pin.cid) }
    }

    /// The contracts that the node had run before it was started, as far as that was written.
    private func offeredBefore() -> [CID] {
        let bytes = (try? SmallFile.read(contractsFile, limit: Self.maxOfferedBytes)) ?? []
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n")
            .prefix(Self.maxAnnounced).compactMap { try? CID(text: String($0)) }
    }

    /// Writes down which contracts DHTs were told of, when the node stops; what it has not run this
    /// time comes last.
    func saveOffered() {
        let now = announced.withLock { $0 }
        guard !now.isEmpty, limits.offer.isEmpty else { return }
        let all = Array(now) + offeredBefore().filter { !now.contains($0) }
        let lines = all.prefix(Self.maxAnnounced).map { "\($0)\n" }.joined()
        do {
            try SmallFile.replace(contractsFile, with: Array(lines.utf8))
        } catch {
            logger.error(
                "which contracts are offered was not kept", metadata: ["error": "\(error)"])
        }
    }

    /// The longest list of them, in bytes.
    private static let maxOfferedBytes = 32 << 10

    /// How many pins are looked at.
    private static let maxKept = 4_096

    /// Something was pinned: if that is a contract, it is offered.
    func kept(_ root: CID) async {
        guard limits.isServing, await isContract(root) else { return }
        ran(root.v1)
    }

    /// Whether a file begins as modules do.
    private func isContract(_ root: CID) async -> Bool {
        guard root.codec == .raw || root.codec == .dagPB else { return false }
        let reader = content(.localOnly, Trace())
        return await reader.begins(root, with: [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0])
    }
}
