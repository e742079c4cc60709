// The metrics of a node: what was counted, and figures of its store.

import BlockStore
public import Weft

extension Metrics {
    /// The media type of the text exposition format.
    public static let mediaType = "text/plain; version=0.0.4; charset=utf-8"

    /// Everything counted so far, and figures of the node's store now.
    public func exposition(of node: Node) -> String {
        let store = node.store.statistics()
        return exposition(gauges: [
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
        ])
    }
}
