// Peers, DHTs, limits, disk and clock.

import BlockStore
import NodeCore
import Peering

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

    /// How it stands with one DHT, and with joining it; nil for a node that joins by nobody.
    static func dht(_ status: DHTStatus, _ joining: Joining?) -> Finding {
        let isLocal = status.name == PeerProtocols.lanKad
        let subject = isLocal ? "local DHT" : "DHT"
        let role = status.isServer ? "answers others" : "asks others, and answers nobody"
        let size = status.estimatedSize.map { ", of about \(Int($0)) in all" } ?? ""
        guard status.peers == 0 else {
            return Finding(
                subject, .good, "\(status.peers) servers are known\(size); this node \(role).",
                details: status.isServer
                    ? ["\(status.providerRecords) records kept for others"] : [])
        }
        // Alone at home is nothing to worry about.
        if isLocal { return Finding(subject, .good, "No other node is on the local network.") }
        guard let joining else {
            return Finding(
                subject, .note,
                "The node joins by nobody (mesh.bootstrap), and knows no server "
                    + "of the DHT.")
        }
        return Finding(
            subject, .problem, "No server of the DHT is known, so nothing can be found there.",
            details: ["joining was tried \(joining.attempts) times, last by \(joining.peers) peers"]
                + [joining.failure].compactMap(\.self),
            advice: "Check that this machine is on the internet, and that mesh.bootstrap names "
                + "peers that are there.")
    }

    /// Whether others learn what is here.
    static func announcing(_ status: AnnouncingStatus) -> Finding {
        let subject = "announcing"
        let what = "\(status.keys) keys (reprovide.strategy is \(status.strategy.rawValue))"
        var details = ["\(status.announced) announcements since the start"]
        if status.waiting > 0 { details.append("\(status.waiting) keys wait for their first") }
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

    /// Which ceilings have held something back.
    static func limits(_ status: NodeStatus) -> Finding {
        let gauges: [(String, Gauge)] = [
            ("connections", status.connections), ("connections from others", status.inbound),
            ("connections to others", status.outbound), ("dials", status.dials),
            ("streams from others", status.acceptedStreams),
            ("streams to others", status.openingStreams), ("commands", status.commands),
        ]
        let reached = gauges.filter { $0.1.refused > 0 }
        guard !reached.isEmpty else {
            return Finding("limits", .good, "No limit has been reached.")
        }
        return Finding(
            "limits", .note,
            "Limits were reached. That is what they are for; more of it costs memory and the "
                + "router's patience.",
            details: reached.map {
                "\($0.0): \($0.1.count) of \($0.1.limit) now, held back \($0.1.refused) times"
            },
            advice: "If downloads are slow because of it, allow more.")
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

    /// How far the clock is from those of others, in seconds; positive if it is ahead.
    static func clock(_ offsets: [(name: String, seconds: Int64)]) -> Finding {
        let subject = "clock"
        guard !offsets.isEmpty else {
            return Finding(
                subject, .note, "There was nobody whose clock this one could be compared with.")
        }
        // One of them may be wrong; the middle one is not, unless most are.
        let sorted = offsets.map(\.seconds).sorted()
        let offset = sorted[sorted.count / 2]
        let details = offsets.map { "\($0.name): \($0.seconds) s" }
        guard abs(offset) > 60 else {
            return Finding(subject, .good, "The clock is right.", details: details)
        }
        return Finding(
            subject, .problem,
            "The clock is \(abs(offset)) seconds \(offset > 0 ? "ahead" : "behind"), so that "
                + "signed names and certificates look expired or not yet valid.",
            details: details, advice: "Let the system set its clock ('timedatectl set-ntp true').")
    }
}
