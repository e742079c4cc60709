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
            been measured), protocols and connections, of which each has address, direction, \
            ageSeconds and streams.


            """ + Examples.text(("weft peers", "one line for each connection")))

    @OptionGroup var common: CommonOptions

    func run() async throws {
        try await LocalClient.with(common) { client in
            try client.requireNode()
            let answer = try await client.value(APICall("/weft/v1/peers"))
            for peer in answer["peers"]?.elements ?? [] {
                if common.json {
                    try StandardOutput.line(JSONText.text(of: peer))
                } else {
                    try Self.print(peer)
                }
            }
        }
    }

    private static func print(_ peer: Value) throws {
        let agent = peer["agent"]?.text ?? ""
        for connection in peer["connections"]?.elements ?? [] {
            let parts = [
                connection["address"]?.text ?? "", connection["direction"]?.text ?? "", agent,
            ]
            let rest = parts.filter { !$0.isEmpty }.joined(separator: "  ")
            try StandardOutput.line("\(peer["peer"]?.text ?? "")  \(StandardOutput.dim(rest))")
        }
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
