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
            readings: [
                Reading(
                    "weft_store_bytes", help: "Bytes that the store takes on disk.",
                    Double(store.usedBytes)),
                Reading(
                    "weft_store_max_bytes", help: "The ceiling of the store, in bytes.",
                    Double(store.maxBytes)),
                Reading("weft_store_blocks", help: "Blocks in the store.", Double(store.blocks)),
                Reading(
                    "weft_store_pinned_bytes", help: "Bytes of the store that are pinned.",
                    Double(store.pinnedBytes)),
                Reading("weft_store_pins", help: "Pins.", Double(store.pins)),
                Reading(
                    "weft_store_reads", help: "Blocks given out since the node started.",
                    Double(store.reads)),
                Reading(
                    "weft_store_memory_hits",
                    help: "Blocks given out from memory since the node started.",
                    Double(store.memoryHits)),
                Reading(
                    "weft_store_collected_bytes",
                    help: "Bytes freed by collection since the node started.",
                    Double(store.collectedBytes)),
                Reading(
                    "weft_mesh_connections_made",
                    help: "Connections to peers since the node started.",
                    Double(node.mesh.counts.connections)),
                Reading(
                    "weft_mesh_dial_failures",
                    help: "Peers dialled in vain since the node started.",
                    Double(node.mesh.counts.dialFailures)),
                Reading(
                    "weft_mesh_violations",
                    help: "Times that peers broke the rules since the node started.",
                    Double(node.mesh.counts.violations)),
            ] + Self.traffic(of: node) + Self.calls(node.computation.figures))
    }

    private static func traffic(of node: Node) -> [Reading] {
        let (total, memory) = (node.mesh.traffic.total, node.mesh.heldMemory)
        return [
            Reading(
                "weft_mesh_received_bytes", help: "Bytes received from peers since the start.",
                Double(total.received.bytes)),
            Reading(
                "weft_mesh_sent_bytes", help: "Bytes sent to peers since the start.",
                Double(total.sent.bytes)),
            Reading(
                "weft_mesh_receiving_held_back",
                help: "Times that the bandwidth limit held receiving back since the start.",
                Double(total.received.heldBack)),
            Reading(
                "weft_mesh_sending_held_back",
                help: "Times that the bandwidth limit held sending back since the start.",
                Double(total.sent.heldBack)),
            Reading(
                "weft_mesh_held_bytes", help: "Bytes of peers' data that are held.",
                Double(memory.bytes)),
            Reading(
                "weft_mesh_turned_away",
                help: "Connections turned away before their handshake since the start.",
                Double(node.mesh.admissionCounts.overLimit + node.mesh.admissionCounts.denied)),
        ]
    }

    /// How calls of contracts fare.
    private static func calls(_ calls: CallFigures) -> [Reading] {
        let all = CallEnding.allCases.map { ($0, calls.counts.endings[$0] ?? 0) }
        return [
            Reading(
                counted: "weft_calls_total",
                help: "Calls of contracts that ran here since the start, by outcome.",
                all.filter { $0.0.isOutcome }.map { (#"outcome="\#($0.0.rawValue)""#, $0.1) }),
            Reading(
                counted: "weft_call_failures_total",
                help: "Calls of contracts without a result since the start, by reason.",
                all.filter { !$0.0.isOutcome }.map { (#"reason="\#($0.0.rawValue)""#, $0.1) }),
            Reading(
                counted: "weft_call_gas_total",
                help: "Gas of the calls that have a result, since the start.",
                [("", calls.counts.gas)]),
            Reading(
                "weft_calls_running", help: "Calls of contracts that run here.",
                Double(calls.running)),
            Reading(
                "weft_calls_waiting", help: "Calls of contracts that wait until they may run.",
                Double(calls.waiting)),
            Reading(
                "weft_call_memory_bytes", help: "Memory that is lent to contracts, in bytes.",
                Double(calls.memory.bytes)),
            Reading(
                "weft_call_memory_max_bytes", help: "The ceiling of that memory, in bytes.",
                Double(calls.memory.limit)),
            Reading(
                "weft_call_results", help: "Results of calls that are kept in memory.",
                Double(calls.remembered)),
        ]
    }
}
