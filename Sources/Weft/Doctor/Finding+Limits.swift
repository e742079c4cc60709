// The ceilings that have held something back, and which settings move them.

import NodeCore

extension Finding {
    /// What a ceiling is called, how it stands, and the setting that moves it.
    private typealias Ceiling = (name: String, gauge: Gauge, key: String?)

    /// Which ceilings have held something back.
    ///
    /// - Parameters:
    ///   - knocks: how many connections were turned away before they were let in.
    ///   - held: how much of peers' data is held, and how many connections were closed for it.
    ///   - calls: what calls of contracts take.
    static func limits(
        _ status: NodeStatus, knocks: UInt64 = 0,
        held: (bytes: Int, limit: Int, refused: UInt64) = (0, 0, 0), calls: CallFigures? = nil
    ) -> Finding {
        let ceilings: [Ceiling] = [
            ("connections", status.connections, "mesh.connections-max"),
            ("connections from others", status.inbound, "mesh.connections-in"),
            ("connections to others", status.outbound, "mesh.connections-out"),
            ("dials", status.dials, "mesh.dials-max"),
            ("streams from others", status.acceptedStreams, "mesh.streams-max"),
            ("streams to others", status.openingStreams, nil), ("commands", status.commands, nil),
            ("subscriptions", status.subscriptions, "mesh.pubsub-subscriptions"),
        ]
        let reached = ceilings.filter { $0.gauge.refused > 0 }
        var details = reached.map {
            "\($0.name): \($0.gauge.count) of \($0.gauge.limit) now, held back "
                + "\($0.gauge.refused) times" + ($0.key.map { " (\($0))" } ?? "")
        }
        if knocks > 0 {
            details.append("connections turned away at the door: \(knocks) (mesh.connections-in)")
        }
        if held.refused > 0 {
            let (bytes, limit) = (UInt64(held.bytes), UInt64(held.limit))
            details.append(
                "memory for peers' data: \(ByteCount.text(bytes)) of \(ByteCount.text(limit)) now, "
                    + "\(held.refused) connections closed for it (mesh.memory)")
        }
        if let peers = calls?.peers, peers.heldBack > 0 {
            details.append(
                "calls of peers: \(peers.running) of \(peers.limit) now, \(peers.heldBack) had to "
                    + "wait (compute.slots)")
        }
        guard !details.isEmpty else {
            return Finding("limits", .good, "No limit of the mesh has been reached.")
        }
        return Finding(
            "limits", .note,
            "Limits were reached. That is what they are for; more of it costs memory and the "
                + "router's patience.", details: details,
            advice: "If downloads are slow because of it, allow more: 'weft config set KEY NUMBER' "
                + "with the key in brackets holds at once, and so does 'weft config set "
                + "mesh.profile server' on a machine that can take it.")
    }
}
