// Whether others reach the node, in words for people who do not know what NAT is.

import Multiformats
import NodeCore
import Peering

extension Finding {
    /// Whether others can reach the node, and by what.
    static func reachability(
        _ status: ReachabilityStatus, _ forwarding: PortMappingStatus, isListening: Bool
    ) -> Finding {
        let subject = "reachable"
        let details = status.addresses.map(line)
        guard isListening else {
            return Finding(
                subject, .note, "The node listens nowhere, so nobody can connect to it.",
                advice: "Start it with --listen /ip4/0.0.0.0/tcp/4001, or set mesh.listen.")
        }
        switch status.reachability {
        case .reachable:
            return Finding(
                subject, .good, "Everybody can connect to this node directly.", details: details)
        case .unknown:
            return Finding(
                subject, .note,
                "It is not known yet whether others can connect: too few have tried.",
                details: details,
                advice: "Ask again in a minute, when the node has met more peers.")
        case .unreachable where !status.relays.isEmpty:
            return Finding(
                subject, .note,
                "Nobody can connect directly, because the router lets nobody in; others come "
                    + "through a relay" + punching(status.mapping) + ".",
                details: details, advice: openingTheRouter(status, forwarding))
        case .unreachable:
            return Finding(
                subject, .problem,
                "Nobody can connect to this node: the router lets nobody in, and no relay is "
                    + "known.",
                details: details, advice: openingTheRouter(status, forwarding))
        }
    }

    private static func punching(_ mapping: NATMapping) -> String {
        switch mapping {
        case .endpointIndependent: " and from there mostly directly"
        case .endpointDependent: ", which is slow"
        case .unknown, .none: ""
        }
    }

    private static func openingTheRouter(
        _ status: ReachabilityStatus, _ forwarding: PortMappingStatus
    ) -> String {
        if case .mapped(let mappings) = forwarding,
            mappings.contains(where: { AddressScope(ip: $0.external.address) == .world })
        {
            return "The router does forward the port, so look for a firewall on this machine "
                + "that lets nobody in, or for a second router."
        }
        let port =
            status.addresses.lazy.filter { $0.origin == .listening }
            .compactMap { $0.address.first(.tcp)?.text }.first ?? "4001"
        return "In the settings of the router, forward TCP port \(port) to this machine, or turn "
            + "on UPnP or NAT-PMP there. A relay of your own can be named with mesh.relays."
    }

    private static func line(_ address: ReachabilityStatus.Address) -> String {
        let origin =
            switch address.origin {
            case .listening: "listens here"
            case .mapped: "the router forwards it"
            case .observed: "others see this node there"
            case .relayed: "through a relay"
            }
        let verdict: String
        switch address.reachability {
        case .reachable:
            let who = address.witnesses.map { $0.shortText }.joined(separator: ", ")
            verdict = "works, says \(who)"
        case .unreachable: verdict = "does not work, say \(address.witnesses.count) peers"
        case .unknown:
            verdict =
                address.address.scope < .world
                ? "for the local network"
                : address.origin == .relayed
                    ? "in use"
                    : address.address.isForBrowsers
                        ? "for browsers, no peer has tried it" : "not tried yet"
        }
        return "\(address.address): \(origin); \(verdict)"
    }

    /// What the router does with connections that go out: the NAT type, as games call it.
    static func router(_ status: ReachabilityStatus) -> Finding {
        let subject = "router"
        let details = status.sightings.map(sighting) + punched(status)
        return switch status.mapping {
        case .none:
            Finding(
                subject, .good,
                "No router translates addresses on the way to the internet (NAT type 1, open).",
                details: details)
        case .endpointIndependent:
            Finding(
                subject, .good,
                "The router shows the same address to everybody (easy NAT; NAT type 2, moderate), "
                    + "so that relayed connections can become direct ones.",
                details: details)
        case .endpointDependent:
            Finding(
                subject, .note,
                "The router shows another port to each peer (symmetric NAT, as in mobile "
                    + "networks; NAT type 3, strict), so that relayed connections stay relayed, "
                    + "unless the other side is open.",
                details: details,
                advice: "A forwarded port on the router helps, and so does IPv6. Some routers have "
                    + "a setting for it: full cone NAT, or open NAT.")
        case .unknown:
            Finding(
                subject, .note, "Too few peers have seen this node to say what the router does.",
                details: details,
                advice: "Ask again in a minute, when the node has met two peers on the internet.")
        }
    }

    private static func sighting(_ seen: (address: Multiaddr, networks: Int)) -> String {
        seen.networks == 1
            ? "one network sees this node at \(seen.address)"
            : "\(seen.networks) networks see this node at \(seen.address)"
    }

    private static func punched(_ status: ReachabilityStatus) -> [String] {
        guard status.holesPunched + status.holesFailed > 0 else { return [] }
        return [
            "\(status.holesPunched) relayed connections became direct, \(status.holesFailed) did "
                + "not"
        ]
    }

    /// Places at relays, and what the node does as a relay.
    static func relays(_ status: ReachabilityStatus, named: [String]) -> Finding {
        let subject = "relays"
        var details: [String] = status.relays.map { "a place at \($0)" }
        if status.relayedConnections > 0 {
            details.append("\(status.relayedConnections) connections lead through relays")
        }
        if status.servesRelay {
            details.append(
                "this node is a relay: \(status.reservations.count) of "
                    + "\(status.reservations.limit) places, \(status.circuits.count) of "
                    + "\(status.circuits.limit) connections")
        }
        if status.relays.isEmpty, !named.isEmpty, status.reachability != .reachable {
            return Finding(
                subject, .problem, "None of the relays in mesh.relays gives this node a place.",
                details: details + named,
                advice: "Check their addresses; 'weft connect ADDRESS' says why one fails.")
        }
        let summary =
            status.reachability == .reachable
            ? "No relay is needed."
            : status.relays.isEmpty
                ? "No relay is in use." : "The node can be reached through \(status.relays.count)."
        return Finding(subject, .good, summary, details: details)
    }
}

extension PeerID {
    /// The end of the id, enough to tell peers apart.
    var shortText: String { "…" + description.suffix(8) }
}
