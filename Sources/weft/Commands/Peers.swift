// weft peers, weft connect, weft disconnect, weft ping

import ArgumentParser
import Gateway
import IPLD
import Multiformats
import Weft

struct Peers: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List the peers that the running node is connected to.",
        discussion: """
            With --json each line is an object with peer, agent, roundTripNanoseconds (once it has \
            been measured), protocols, receivedBytes, sentBytes and connections, of which each has \
            address, direction, ageSeconds and streams. With --watch the busiest come first, and \
            outside of a terminal there is one line a second.


            """
                + Examples.text(
                    ("weft peers", "one line for each connection"),
                    ("weft peers --watch", "who sends and receives how much, every second")))

    @OptionGroup var common: CommonOptions

    @Flag(help: "Show it again every second, until Ctrl-C.")
    var watch = false

    func run() async throws {
        let (json, watch) = (common.json, watch)
        try await LocalClient.with(common) { client in
            try client.requireNode()
            var before: [String: Load] = [:]
            try await Watch.run(isOn: watch) { round in
                let answer = try await client.value(APICall("/weft/v1/peers"))
                let peers = answer["peers"]?.elements ?? []
                if json { return peers.map { JSONText.text(of: $0) } }
                guard watch else { return peers.flatMap(Self.lines) }
                let loads = peers.map { Load($0, before: before, seconds: round.seconds) }
                before = Dictionary(loads.map { ($0.peer, $0) }) { $1 }
                return StandardOutput.isTerminal ? Self.table(loads) : [Self.short(loads)]
            }
        }
    }

    private static func lines(_ peer: Value) -> [String] {
        let agent = peer["agent"]?.text ?? ""
        return (peer["connections"]?.elements ?? []).map { connection in
            let parts = [
                connection["address"]?.text ?? "", connection["direction"]?.text ?? "", agent,
            ]
            let rest = parts.filter { !$0.isEmpty }.joined(separator: "  ")
            return "\(peer["peer"]?.text ?? "")  \(StandardOutput.dim(rest))"
        }
    }

    // MARK: Watching

    /// What a peer sends and receives.
    private struct Load {
        let peer: String
        let agent: String
        let roundTrip: UInt64?
        let bytes: (received: UInt64, sent: UInt64)
        /// Bytes per second since it was last looked at.
        let rates: (received: UInt64, sent: UInt64)

        init(_ entry: Value, before: [String: Load], seconds: Double) {
            peer = entry["peer"]?.text ?? ""
            agent = entry["agent"]?.text ?? ""
            roundTrip = entry["roundTripNanoseconds"]?.count
            bytes = (
                entry["receivedBytes"]?.count ?? 0,
                entry["sentBytes"]?.count ?? 0
            )
            func rate(_ now: UInt64, _ then: UInt64?) -> UInt64 {
                guard let then, now > then, seconds > 0 else { return 0 }
                return UInt64(Double(now - then) / seconds)
            }
            let last = before[peer]?.bytes
            rates = (rate(bytes.received, last?.received), rate(bytes.sent, last?.sent))
        }
    }

    private static func short(_ loads: [Load]) -> String {
        let received = loads.reduce(0) { $0 + $1.rates.received }
        let sent = loads.reduce(0) { $0 + $1.rates.sent }
        return "\(loads.count) peers  in \(HumanBytes.text(received))/s  "
            + "out \(HumanBytes.text(sent))/s"
    }

    private static func table(_ loads: [Load]) -> [String] {
        let busiest = loads.sorted {
            $0.rates.received + $0.rates.sent > $1.rates.received + $1.rates.sent
        }
        var lines = [short(loads), ""]
        lines.append(StandardOutput.bold(row("in/s", "out/s", "in", "out", "ms", "peer")))
        // What does not fit on the screen would scroll.
        for load in busiest.prefix(max(1, StandardOutput.rows - 4)) {
            let sizes = [
                load.rates.received, load.rates.sent, load.bytes.received, load.bytes.sent,
            ]
            .map { HumanBytes.text($0) }
            let trip = load.roundTrip.map { String($0 / 1_000_000) } ?? ""
            let name = "\(load.peer.suffix(12))  \(load.agent.prefix(28))"
            lines.append(row(sizes[0], sizes[1], sizes[2], sizes[3], trip, name))
        }
        return lines
    }

    private static func row(
        _ rateIn: String, _ rateOut: String, _ received: String, _ sent: String, _ trip: String,
        _ peer: String
    ) -> String {
        [rateIn, rateOut, received, sent].map { $0.padded(to: 11) }.joined()
            + trip.padded(to: 6) + peer
    }
}

struct Connect: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Connect the running node to a peer.",
        discussion: """
            The address ends in /p2p/PEER; 'weft id' on the other side shows it. With --json an \
            object with peer and address is printed.


            """
                + Examples.text(
                    ("weft connect /ip4/192.0.2.7/tcp/4001/p2p/PEER", "connect to a peer")))

    @OptionGroup var common: CommonOptions

    @Argument(help: "Where the peer is, ending in /p2p/PEER.")
    var multiaddr: MultiaddrArgument

    func run() async throws {
        try await LocalClient.with(common) { client in
            try client.requireNode()
            let answer = try await client.value(
                APICall("/weft/v1/connect", [("arg", multiaddr.text)]))
            if common.json { return try StandardOutput.line(JSONText.text(of: answer)) }
            try StandardOutput.line(
                "connected to \(answer["peer"]?.text ?? "") at \(answer["address"]?.text ?? "")")
        }
    }
}

struct Disconnect: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Close the running node's connections to a peer.",
        discussion: """
            With --json an object with peer is printed.


            """ + Examples.text(("weft disconnect PEER", "say goodbye")))

    @OptionGroup var common: CommonOptions

    @Argument(help: PeerArgument.help)
    var peer: PeerArgument

    func run() async throws {
        try await LocalClient.with(common) { client in
            try client.requireNode()
            _ = try await client.value(
                APICall("/api/v0/swarm/disconnect", [("arg", "/p2p/\(peer.peer)")]))
            let entry = Value.object(["peer": .string(peer.peer)])
            try StandardOutput.line(
                common.json ? JSONText.text(of: entry) : "disconnected from \(peer.peer)")
        }
    }
}

struct Ping: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure how far away a peer is.",
        discussion: """
            The node connects to the peer if it is not connected. With --json each line is an \
            object with peer and nanoseconds.


            """
                + Examples.text(
                    ("weft ping PEER", "three round trips, a second apart"),
                    ("weft ping --count 1 /ip4/192.0.2.7/tcp/4001/p2p/PEER", "by its address")))

    @OptionGroup var common: CommonOptions

    @Option(name: [.short, .long], help: "How many round trips, up to 1000.")
    var count: UInt64 = 3

    @Argument(help: PeerArgument.help)
    var peer: PeerArgument

    func validate() throws {
        guard 1...1_000 ~= count else { throw ValidationError("--count must be from 1 to 1000") }
    }

    func run() async throws {
        let (json, name) = (common.json, peer.peer)
        try await LocalClient.with(common) { client in
            let call = APICall(
                "/api/v0/ping", [("arg", peer.text), ("count", String(count))])
            try await client.values(call) { line in
                guard let time = line["Time"]?.count, time > 0 else { return }
                let entry = Value.object(["peer": .string(name), "nanoseconds": .number(time)])
                let microseconds = time / 1_000
                let shown =
                    "\(microseconds / 1_000).\(String(microseconds % 1_000 + 1_000).dropFirst())"
                try StandardOutput.line(
                    json ? JSONText.text(of: entry) : "\(name) answered in \(shown) ms")
                try StandardOutput.flush()
            }
        }
    }
}

/// A peer id, or a multiaddr that ends in one.
struct PeerArgument: ExpressibleByArgument, Sendable {
    static let help = ArgumentHelp(
        "A peer id, or a multiaddr that ends in /p2p/PEER.", valueName: "peer")

    /// What was written, checked.
    let text: String
    /// The peer id.
    let peer: String

    init?(argument: String) {
        text = argument
        // Why it is wrong is said by the parser of arguments, which shows the text.
        let found =
            argument.hasPrefix("/")
            ? (try? Multiaddr(text: argument))?.peer : try? PeerID(text: argument)
        guard let found else { return nil }
        peer = found.description
    }
}

extension LocalClient {
    /// Says what to do where no node runs: connections end with the program that has them.
    func requireNode() throws {
        guard isInProcess else { return }
        throw CommandFailure("no node is running on this repository; start one with 'weft up'")
    }
}
