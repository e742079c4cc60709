// The metrics of a node: what was counted, and figures of its store.

import BlockStore
public import Weft

extension Metrics {
    /// The media type of the text exposition format.
    public static let mediaType = "text/plain; version=0.0.4; charset=utf-8"

    /// Everything counted so far, and figures of the node's store now.
    public func exposition(of node: Node) -> String {
        let store = node.store.statistics()
        return exposition(
            gauges: [
                Gauge(
                    "weft_store_bytes", help: "Bytes that the store takes on disk.",
                    Double(store.usedBytes)),
                Gauge(
                    "weft_store_max_bytes", help: "The ceiling of the store, in bytes.",
                    Double(store.maxBytes)),
                Gauge("weft_store_blocks", help: "Blocks in the store.", Double(store.blocks)),
                Gauge(
                    "weft_store_pinned_bytes", help: "Bytes of the store that are pinned.",
                    Double(store.pinnedBytes)),
                Gauge("weft_store_pins", help: "Pins.", Double(store.pins)),
                Gauge(
                    "weft_store_reads", help: "Blocks given out since the node started.",
                    Double(store.reads)),
                Gauge(
                    "weft_store_memory_hits",
                    help: "Blocks given out from memory since the node started.",
                    Double(store.memoryHits)),
                Gauge(
                    "weft_store_collected_bytes",
                    help: "Bytes freed by collection since the node started.",
                    Double(store.collectedBytes)),
                Gauge(
                    "weft_mesh_connections_made",
                    help: "Connections to peers since the node started.",
                    Double(node.mesh.counts.connections)),
                Gauge(
                    "weft_mesh_dial_failures",
                    help: "Peers dialled in vain since the node started.",
                    Double(node.mesh.counts.dialFailures)),
                Gauge(
                    "weft_mesh_violations",
                    help: "Times that peers broke the rules since the node started.",
                    Double(node.mesh.counts.violations)),
            ] + Self.traffic(of: node))
    }

    private static func traffic(of node: Node) -> [Gauge] {
        let (total, memory) = (node.mesh.traffic.total, node.mesh.heldMemory)
        return [
            Gauge(
                "weft_mesh_received_bytes", help: "Bytes received from peers since the start.",
                Double(total.received.bytes)),
            Gauge(
                "weft_mesh_sent_bytes", help: "Bytes sent to peers since the start.",
                Double(total.sent.bytes)),
            Gauge(
                "weft_mesh_receiving_held_back",
                help: "Times that the bandwidth limit held receiving back since the start.",
                Double(total.received.heldBack)),
            Gauge(
                "weft_mesh_sending_held_back",
                help: "Times that the bandwidth limit held sending back since the start.",
                Double(total.sent.heldBack)),
            Gauge(
                "weft_mesh_held_bytes", help: "Bytes of peers' data that are held.",
                Double(memory.bytes)),
            Gauge(
                "weft_mesh_turned_away",
                help: "Connections turned away before their handshake since the start.",
                Double(node.mesh.admissionCounts.overLimit + node.mesh.admissionCounts.denied)),
        ]
    }
}
