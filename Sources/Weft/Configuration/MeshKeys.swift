// The keys of the section `mesh`.

import Multiformats
import NodeCore

extension ConfigurationKey {
    static let mesh: [ConfigurationKey] =
        [
            .checked(
                "mesh.listen", \.mesh.listen, "a list of multiaddrs, such as /ip4/0.0.0.0/tcp/4001",
                """
                Multiaddrs where a running node listens for peers. With the usual ones another \
                port is chosen if 4001 is taken; an empty list lets nobody in.
                """
            ) { (try? Multiaddr(text: $0)) != nil },
            .checked(
                "mesh.bootstrap", \.mesh.bootstrap,
                "a list of multiaddrs that end in /p2p/PEER",
                """
                Peers by which the node joins the network, besides those that it remembers; an \
                empty list joins by nobody.
                """
            ) { Mesh.peerAddress($0) != nil },
            .choice(
                "mesh.mdns", \.mesh.mdns,
                """
                Whether the node finds, and is found by, peers of the local network (multicast DNS).
                """),
            .list(
                "mesh.relays", \.mesh.relays,
                """
                Relays, as /ip4/…/tcp/PORT/p2p/PEER, through which this node is reached as long as \
                nobody can reach it directly. Others are found by themselves.
                """),
            .choice(
                "mesh.relay-service", \.mesh.relayService,
                """
                Whether others may be reached through this node, within tight limits: with "auto" \
                while it can be reached from everywhere.
                """),
            .choice(
                "mesh.port-mapping", \.mesh.portMapping,
                """
                Whether the router is asked (PCP, NAT-PMP, UPnP) to forward the ports where the \
                node listens: with "auto" when it listens in a private network and reaches \
                everywhere.
                """
            ).live,
            .choice(
                "mesh.pubsub", \.mesh.pubSub,
                """
                When the node takes part in publish-subscribe: with "auto" while somebody on it \
                subscribes or publishes.
                """),
            .choice(
                "mesh.perf", \.mesh.perf,
                """
                Whether peers may measure how fast their connection to this node is; that costs \
                its line up to a GiB each way and time.
                """),
            .choice(
                "mesh.reach", \.mesh.reach,
                """
                How far the mesh reaches. "local": this machine and its private networks. \
                "metered": for the node's own needs alone, with small ceilings. "off": to nobody.
                """
            ).live,
            .choice(
                "mesh.profile", \.mesh.profile,
                "The set of ceilings that hold where no other key says otherwise."
            ).live,
        ] + MeshCeiling.all.map { .ceiling($0) } + [
            .rate(
                "mesh.bandwidth-in", \.mesh.bandwidth.total.inbound,
                "The most bytes that are received in a second, over all peers."),
            .rate(
                "mesh.bandwidth-out", \.mesh.bandwidth.total.outbound,
                "The most bytes that are sent in a second, over all peers."),
            .rate(
                "mesh.bandwidth-exchange-in", \.mesh.bandwidth.exchange.inbound,
                "Of what is received, the most that blocks and requests for them take."),
            .rate(
                "mesh.bandwidth-exchange-out", \.mesh.bandwidth.exchange.outbound,
                "Of what is sent, the most that blocks and requests for them take."),
            .rate(
                "mesh.bandwidth-other-in", \.mesh.bandwidth.other.inbound,
                "Of what is received, the most that all other protocols take."),
            .rate(
                "mesh.bandwidth-other-out", \.mesh.bandwidth.other.outbound,
                "Of what is sent, the most that all other protocols take."),
            .checked(
                "mesh.bandwidth-schedule", \.mesh.bandwidth.schedule,
                "a list of windows such as \"mon-fri 08:00-18:00 in=1MiB out=100KiB\"",
                """
                Other totals at times of the day, in the machine's time zone; the first window \
                that fits counts.
                """
            ) { BandwidthWindow($0) != nil }
            .live,
            .checked(
                "mesh.allow-peers", \.mesh.allowPeers, "a list of peer ids",
                "If there are any, these peers alone are dialled and let in."
            ) { AccessRules.peer($0) != nil }
            .live,
            .checked(
                "mesh.deny-peers", \.mesh.denyPeers, "a list of peer ids",
                "Peers that are never dialled or let in."
            ) { AccessRules.peer($0) != nil }
            .live,
            .checked(
                "mesh.allow-addresses", \.mesh.allowAddresses, ranges,
                "If there are any, these IP addresses alone are dialled and let in."
            ) { AccessRules.range($0) != nil }
            .live,
            .checked(
                "mesh.deny-addresses", \.mesh.denyAddresses, ranges,
                "IP addresses that are never dialled or let in."
            ) { AccessRules.range($0) != nil }
            .live,
            .text(
                "mesh.private-key-file", \.mesh.privateKeyFile,
                """
                The key file of a private network: the node then speaks to nobody without the key. \
                'weft key private' makes one.
                """),
            .text(
                "mesh.certificate", \.mesh.certificate,
                "A PEM file with a certificate chain, for listening at /tls/ws."),
            .text(
                "mesh.certificate-key", \.mesh.certificateKey,
                "A PEM file with the private key of that certificate."),
            .text(
                "mesh.authorities", \.mesh.authorities,
                """
                A PEM file of authorities to believe, besides the system's, when dialling /tls/ws.
                """),
        ]

    private static let ranges = "a list of IP addresses and ranges such as \"10.0.0.0/8\""

    /// A ceiling, or the word that leaves it to the profile.
    private static func ceiling(_ ceiling: MeshCeiling) -> ConfigurationKey {
        let key = ceiling.key
        let (least, most) = (ceiling.range.lowerBound, ceiling.range.upperBound)
        let expects =
            ceiling.isSize
            ? "a size from \(ByteCount.text(UInt64(least))), or \"profile\""
            : "a number from \(least) to \(most), or \"profile\""
        let new = ConfigurationKey(
            name: key, expects: expects, summary: ceiling.summary,
            read: { configuration in
                guard let value = configuration.mesh.ceilings[key] else {
                    return .string("profile")
                }
                return ceiling.isSize
                    ? .string(ByteCount.text(UInt64(value))) : .integer(Int64(value))
            },
            write: { configuration, value in
                guard value.text != "profile" else {
                    configuration.mesh.ceilings[key] = nil
                    return true
                }
                let number =
                    ceiling.isSize
                    ? ByteCount.parse(value.text).map { Int(clamping: $0) } : Int(value.text)
                guard let number, ceiling.range.contains(number) else { return false }
                configuration.mesh.ceilings[key] = number
                return true
            })
        return ceiling.isLive ? new.live : new
    }

    /// Bytes per second.
    private static func rate(
        _ name: String, _ field: any Field<UInt64?>, _ summary: String
    ) -> ConfigurationKey {
        ConfigurationKey(
            name: name, expects: "bytes a second from 4KiB, such as \"2MiB\", or \"none\"",
            summary: summary,
            read: { .string($0[keyPath: field].map(ByteCount.text) ?? "none") },
            write: { configuration, value in
                guard value.text != "none" else {
                    configuration[keyPath: field] = nil
                    return true
                }
                guard let rate = BandwidthWindow.rate(value.text) else { return false }
                configuration[keyPath: field] = rate
                return true
            }
        ).live
    }
}
