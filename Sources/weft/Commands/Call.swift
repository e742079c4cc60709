// weft call

import ArgumentParser
import Gateway
import IPLD
import Weft

struct CallCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "call", abstract: "Look at the records of computations.",
        subcommands: [CallShow.self, CallVerify.self])
}

struct CallShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show what a call called, with gas and time.",
        discussion: """
            The CID of a call's record is in the header Weft-Record of its answer. A line is one \
            activation: how it ended, the gas that it used with what it called and by itself, how \
            long it ran if that was on this node since it started, and its URL. Below the first \
            stands who vouches for the result: this node, if it has run the call, and peers that \
            have signed it, asked by this node or passed on by another. With --json each line is \
            an object with cid, depth, url, method, outcome, status, gas, own, limit, time_us and \
            reads, the first also with computed_here and vouchers (peer, via).


            """ + Examples.text(("weft call show CID", "show the tree of a call")))

    @OptionGroup var common: CommonOptions

    @Argument(help: "The CID of the record.")
    var record: String

    func run() async throws {
        let json = common.json
        try await LocalClient.with(common) { client in
            try await client.values(APICall("/weft/v1/call/show", [("arg", record)])) { node in
                guard !json else { return try StandardOutput.line(JSONText.text(of: node)) }
                try StandardOutput.line(CallLine.text(of: node))
                for line in CallLine.history(of: node) { try StandardOutput.line(line) }
            }
        }
    }
}

struct CallVerify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Check a call by running it again.",
        discussion: """
            Each activation is run again with the recorded results of what it called. The exit \
            code is 1 if a record is wrong. With --json each line is an object as of call show, \
            with valid and, if it is not, fault.


            """
                + Examples.text(
                    ("weft call verify CID", "check a call and all that it called"),
                    ("weft call verify --alone CID", "check the one activation")))

    @OptionGroup var common: CommonOptions

    @Flag(help: "Check the one activation, not what it called.")
    var alone = false

    @Argument(help: "The CID of the record.")
    var record: String

    func run() async throws {
        let json = common.json
        let wrong = WrongRecords()
        try await LocalClient.with(common) { client in
            let query = [(name: "arg", value: record), ("alone", alone ? "true" : "false")]
            try await client.values(APICall("/weft/v1/call/verify", query)) { check in
                let fault = check["fault"]?.text
                if fault != nil { await wrong.add() }
                let line = "\(fault == nil ? "ok   " : "WRONG") \(CallLine.text(of: check))"
                try StandardOutput.line(
                    json ? JSONText.text(of: check) : line + (fault.map { "\n      \($0)" } ?? ""))
            }
        }
        let count = await wrong.count
        if count > 0 { throw CommandFailure("\(count) of the records are wrong") }
    }
}

/// How many records were found wrong.
private actor WrongRecords {
    private(set) var count = 0

    func add() { count += 1 }
}

/// A record as one line of a tree.
enum CallLine {
    /// Who vouches for a result, a line each; empty for what was called on the way.
    static func history(of node: Value) -> [String] {
        guard case .list(let vouchers)? = node["vouchers"] else { return [] }
        let own = node["computed_here"] == .bool(true) ? ["  = computed here"] : []
        return own
            + vouchers.map { voucher in
                let peer = voucher["peer"]?.text ?? ""
                let via = voucher["via"]?.text.map { "passed on by \($0)" }
                return "  = signed by \(peer), \(via ?? "asked by this node")"
            }
    }

    /// The line of a record.
    static func text(of node: Value) -> String {
        let indent = String(repeating: "  ", count: Int(node["depth"]?.count ?? 0))
        var parts = [node["outcome"]?.text ?? ""]
        if let status = node["status"]?.count { parts[0] += " \(status)" }
        let (gas, own) = (node["gas"]?.count ?? 0, node["own"]?.count ?? 0)
        parts.append(gas == own ? "\(gas) gas" : "\(gas) gas (own \(own))")
        if let time = node["time_us"]?.count { parts.append("\(time) µs") }
        parts.append("\(node["method"]?.text ?? "") \(node["url"]?.text ?? "")")
        parts.append(StandardOutput.dim(node["cid"]?.text ?? ""))
        return indent + parts.joined(separator: "  ")
    }
}
