// What the mesh tells: log lines, and counts for the metrics.

import Logging
import NodeCore
import Synchronization

/// What has happened among peers since the start.
public final class MeshCounts: Sendable {
    private let connectedCount = Atomic<UInt64>(0)
    private let dialFailureCount = Atomic<UInt64>(0)
    private let violationCount = Atomic<UInt64>(0)

    init() {}

    /// Connections that were made, whoever opened them.
    public var connections: UInt64 { connectedCount.load(ordering: .relaxed) }
    /// Peers that were dialled in vain.
    public var dialFailures: UInt64 { dialFailureCount.load(ordering: .relaxed) }
    /// How often peers broke the rules.
    public var violations: UInt64 { violationCount.load(ordering: .relaxed) }

    func count(_ note: NodeCore.Note, _ logger: Logger) {
        switch note {
        case .connected: connectedCount.add(1, ordering: .relaxed)
        case .dialFailed: dialFailureCount.add(1, ordering: .relaxed)
        case .violation: violationCount.add(1, ordering: .relaxed)
        default: break
        }
        logger.debug("mesh", metadata: note.metadata)
    }
}

extension NodeCore.Note {
    fileprivate var metadata: Logger.Metadata {
        switch self {
        case .connected(let peer, let direction, let address):
            [
                "event": "connected", "peer": "\(peer)", "direction": "\(direction)",
                "address": "\(address)",
            ]
        case .disconnected(let peer): ["event": "disconnected", "peer": "\(peer)"]
        case .closed(let peer, let address, let reason):
            [
                "event": "closed", "peer": "\(peer)", "address": "\(address)",
                "reason": "\(reason)",
            ]
        case .identified(let peer, let agent):
            ["event": "identified", "peer": "\(peer)", "agent": "\(ForeignText.printable(agent))"]
        case .unidentified(let peer, let fault):
            ["event": "unidentified", "peer": "\(peer)", "reason": "\(fault)"]
        case .dialFailed(let peer, let error):
            ["event": "dial-failed", "peer": "\(peer)", "reason": "\(error)"]
        case .observed(let address, let peer):
            ["event": "observed", "address": "\(address)", "peer": "\(peer)"]
        case .reachability(let verdict): ["event": "reachability", "verdict": "\(verdict)"]
        case .reserved(let relay): ["event": "reserved", "relay": "\(relay)"]
        case .unreserved(let relay, let failure):
            ["event": "unreserved", "relay": "\(relay)", "reason": "\(failure)"]
        case .upgraded(let peer): ["event": "upgraded", "peer": "\(peer)"]
        case .notUpgraded(let peer): ["event": "not-upgraded", "peer": "\(peer)"]
        case .announced(let name, let keys, let servers):
            ["event": "announced", "dht": "\(name)", "keys": "\(keys)", "servers": "\(servers)"]
        case .swept(let name): ["event": "swept", "dht": "\(name)"]
        case .violation(let peer, let violation):
            ["event": "violation", "peer": "\(peer)", "reason": "\(violation)"]
        case .streamRefused(let peer, let name):
            ["event": "stream-refused", "peer": "\(peer)", "protocol": "\(name)"]
        }
    }
}

/// Text that a stranger chose, fit to be shown.
public enum ForeignText {
    /// The text without control characters, which could work on a terminal.
    public static func printable(_ utf8: [UInt8]) -> String {
        String(
            String.UnicodeScalarView(
                String(decoding: utf8, as: UTF8.self).unicodeScalars.filter {
                    !$0.properties.generalCategory.isControl
                }))
    }
}

extension Unicode.GeneralCategory {
    fileprivate var isControl: Bool { self == .control || self == .format }
}
