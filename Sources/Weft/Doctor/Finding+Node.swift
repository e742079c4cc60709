// Peers, DHTs, limits, disk and clock.

import BlockStore
import NodeCore
import Peering
import WasmEngine

extension Finding {
    /// Who is connected.
    static func peers(_ status: NodeStatus, isOnline: Bool) -> Finding {
        let subject = "peers"
        guard status.peers == 0 else {
            return Finding(
                subject, .good,
                "\(status.peers) connected, \(status.knownPeers.count) known. Of "
                    + "\(status.dialled) attempts to connect, \(status.dialFailures) failed.")
        }
        guard isOnline else {
            return Finding(
                subject, .note, "The node is offline (network.mode), and connected to nobody.")
        }
        return Finding(
            subject, .problem, "The node is connected to nobody.",
            details: ["\(status.dialled) attempts to connect, \(status.dialFailures) failed"],
            advice: "Check that this machine is on the internet. 'weft connect ADDRESS' connects "
                + "to a peer that you know and says why that fails.")
    }

    /// Whether others learn what is here.
    static func announcing(_ status: AnnouncingStatus) -> Finding {
        let subject = "announcing"
        let what = "\(status.keys) keys (reprovide.strategy is \(status.strategy.rawValue))"
        var details = ["\(status.announced) announcements since the start"]
        if status.waiting > 0 { details.append("\(status.waiting) keys wait for their first") }
        if status.limit > 0, status.keys >= status.limit {
            return Finding(
                subject, .note,
                "\(what) are announced, which is as many as may be. "
                    + "Others do not hear of the rest.",
                details: details,
                advice: "Allow more with mesh.announced-keys, make room for their list with "
                    + "storage.max, or announce less with reprovide.strategy.")
        }
        guard let last = status.last else {
            let verdict: Verdict = status.keys == 0 && status.waiting == 0 ? .good : .note
            return Finding(
                subject, verdict, "\(what) to announce; none has been since the start.",
                details: details)
        }
        let age = DurationText.text(.seconds(last.duration(to: .now).components.seconds))
        return Finding(
            subject, .good, "\(what) are announced; the last one \(age) ago.", details: details)
    }

    /// Whether contracts can run.
    ///
    /// - Parameter counts: how the calls that ran here have ended.
    static func contracts(_ setting: Configuration.Switch, _ counts: CallCounts) -> Finding {
        let subject = "contracts"
        guard setting == .on else {
            return Finding(subject, .good, "None run here (compute.contracts).")
        }
        do throws(EngineUnavailable) {
            let library = try EngineCheck.library()
            let shortages = counts.endings.filter { $0.key.isShortage }
            guard !shortages.isEmpty else {
                return Finding(subject, .good, "They can run.", details: [library])
            }
            let lines = CallEnding.allCases.compactMap { ending in
                shortages[ending].map { "\(ending.rawValue): \($0) (\(ending.remedy))" }
            }
            return Finding(
                subject, .note, "They can run, but calls had no result for lack of something here.",
                details: [library] + lines,
                advice: "If callers need them, allow more with 'weft config set KEY VALUE' and the "
                    + "key in brackets, and start the node again. 'weft status' counts on.")
        } catch {
            return Finding(subject, .note, "\(error).")
        }
    }

    /// Whether peers of the local network are found.
    static func localNetwork(_ status: LocalDiscoveryStatus) -> Finding {
        let subject = "local network"
        let details = [status.failure].compactMap(\.self)
        guard status.networks > 0 else {
            return Finding(
                subject, .note, "Peers of the local network cannot be looked for (multicast DNS).",
                details: details,
                advice: "A firewall that allows UDP port 5353 lets neighbours find each other; "
                    + "'weft up --no-mdns' does without.")
        }
        let places = status.networks == 1 ? "one network" : "\(status.networks) networks"
        return Finding(
            subject, .good,
            "\(status.found) peers have been found in \(places) that this machine is in.",
            details: details)
    }

    /// How full the store and its disk are.
    static func disk(_ store: StoreStatistics, free: UInt64?, directory: String) -> Finding {
        let subject = "disk"
        let used = "\(ByteCount.text(store.usedBytes)) of \(ByteCount.text(store.maxBytes)) used"
        let room = store.maxBytes - min(store.maxBytes, store.usedBytes)
        if let free, free < min(room, 1 << 30) {
            return Finding(
                subject, .problem,
                "The disk is nearly full: \(ByteCount.text(free)) are free in \(directory).",
                details: [used],
                advice: "Make room on the disk, or let the store have less with 'weft config set "
                    + "storage.max SIZE'.")
        }
        if store.pinnedBytes > store.maxBytes / 10 * 9 {
            return Finding(
                subject, .note, "Pinned content fills the store, so that nothing else stays.",
                details: [used],
                advice: "Unpin what you do not need ('weft pin ls'), or raise storage.max.")
        }
        return Finding(
            subject, .good, used + (free.map { ", \(ByteCount.text($0)) free on the disk." } ?? ".")
        )
    }
}

extension CallEnding {
    /// What there could be more of.
    fileprivate var remedy: String {
        switch self {
        case .memory: "compute.memory"
        case .time: "compute.time"
        case .busy: "too many at once"
        case .stack: "this machine's stack"
        default: "the engine failed"
        }
    }
}
