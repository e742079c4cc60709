// weft providers, weft provide, weft find: what the DHTs know, and what they are told

import ArgumentParser
import Gateway
import IPLD
import Multiformats
import Weft

struct Providers: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Ask the network who has some content.",
        discussion: """
            Asks the DHTs, and prints each peer when it is found. With --json each line is an \
            object with peer and addresses. The exit code is 1 if nobody is found.


            """
                + Examples.text(
                    ("weft providers CID", "who has it, 20 at most"),
                    ("weft providers --count 1 CID", "whether anybody has it")))

    @OptionGroup var common: CommonOptions

    @Option(name: [.short, .long], help: "How many are enough, up to 256.")
    var count: UInt64 = 20

    @Argument(help: "The CID of the content.")
    var cid: CIDArgument

    func validate() throws {
        guard 1...256 ~= count else { throw ValidationError("--count must be from 1 to 256") }
    }

    func run() async throws {
        let json = common.json
        let cid = cid.cid
        let tally = Tally()
        try await LocalClient.with(common) { client in
            let call = APICall(
                "/api/v0/routing/findprovs",
                [("arg", "\(cid)"), ("num-providers", String(count)), ("verbose", "true")])
            try await client.values(call) { event in
                guard event["Type"]?.count == 4 else { return await tally.note(event) }
                for entry in event["Responses"]?.elements ?? [] {
                    await tally.found()
                    try StandardOutput.line(FoundEntry(entry).text(json: json))
                }
                try StandardOutput.flush()
            }
            guard await tally.count == 0 else { return }
            throw CommandFailure("nobody has announced \(cid), \(await tally.words)")
        }
    }
}

struct Provide: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "provide",
        abstract: "Tell the network that this node has some content.",
        discussion: """
            What is added, pinned or fetched is announced by itself, as 'reprovide.strategy' says; \
            this announces one block at once and waits for it. With --json an object with cid and \
            servers, the number of those that were told, is printed.


            """ + Examples.text(("weft provide CID", "announce it now")))

    @OptionGroup var common: CommonOptions

    @Argument(help: "The CID of a stored block, such as a file's or folder's.")
    var cid: CIDArgument

    func run() async throws {
        let cid = cid.cid
        let tally = Tally()
        try await LocalClient.with(common) { client in
            try client.requireNode()
            try await client.values(APICall("/api/v0/routing/provide", [("arg", "\(cid)")])) {
                // Of those that were asked, the ones that took it say nothing more.
                if $0["Type"]?.count == 1, $0["Extra"]?.text == "" { await tally.found() }
            }
            let count = await tally.count
            let entry = Value.object(["cid": .string("\(cid)"), "servers": .number(count)])
            try StandardOutput.line(
                common.json ? JSONText.text(of: entry) : "\(cid) announced to \(count) servers")
        }
    }
}

struct Find: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Ask the network where a peer is.",
        discussion: """
            Prints the addresses at which the peer is said to be; 'weft connect' tries them. With \
            --json an object with peer and addresses is printed.


            """ + Examples.text(("weft find PEER", "print its addresses")))

    @OptionGroup var common: CommonOptions

    @Argument(help: PeerArgument.help)
    var peer: PeerArgument

    func run() async throws {
        let json = common.json
        try await LocalClient.with(common) { client in
            try await client.values(APICall("/api/v0/routing/findpeer", [("arg", peer.peer)])) {
                for entry in $0["Responses"]?.elements ?? [] {
                    let found = FoundEntry(entry)
                    let lines = json ? [found.text(json: true)] : found.addresses
                    for line in lines { try StandardOutput.line(line) }
                }
            }
        }
    }
}

/// A CID on the command line, checked.
struct CIDArgument: ExpressibleByArgument, Sendable {
    let cid: CID

    init?(argument: String) {
        // Why it is wrong is said by the parser of arguments, which shows the text.
        guard let cid = try? CID(text: argument) else { return nil }
        self.cid = cid
    }
}

/// A peer as the API names it.
private struct FoundEntry {
    let peer: String
    let addresses: [String]

    init(_ entry: Value) {
        peer = entry["ID"]?.text ?? ""
        addresses = (entry["Addrs"]?.elements ?? []).compactMap(\.text)
    }

    func text(json: Bool) -> String {
        guard json else {
            return "\(peer)  \(StandardOutput.dim(addresses.joined(separator: " ")))"
        }
        return JSONText.text(
            of: .object([
                "peer": .string(peer), "addresses": .list(addresses.map { .string($0) }),
            ]))
    }
}

/// Counts what a call answers.
private actor Tally {
    private(set) var count = 0
    private var answered = 0
    private var silent = 0

    func found() { count += 1 }

    func note(_ event: Value) {
        if event["Type"]?.count == 3 { silent += 1 } else { answered += 1 }
    }

    var words: String { "say the \(answered) servers that answered; \(silent) did not" }
}
