// weft balance

import ArgumentParser
import Gateway
import IPLD
import Weft
import Wire

struct Balance: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what peers and this node owe each other, and why.",
        discussion: """
            A credit is what a unit of gas costs at the usual price. First a line for each peer: \
            what it owes (less than zero: what this node owes), what was done for it and by it. \
            Then the last changes, each with its time and cause, also of earlier runs of the node; \
            many calls in a moment are one change. Nothing is exchanged below 10⁹ credits. With \
            --json each line is an object.


            """ + Examples.text(("weft balance", "show all balances and the last changes")))

    @OptionGroup var common: CommonOptions

    func run() async throws {
        let json = common.json
        try await LocalClient.with(common) { client in
            try await client.values(APICall("/weft/v1/balance", [])) { line in
                try StandardOutput.line(json ? JSONText.text(of: line) : Self.text(of: line))
            }
        }
    }

    private static func text(of line: Value) -> String {
        let peer = line["peer"]?.text ?? ""
        let balance = Self.number(line["balance"])
        guard let cause = line["cause"]?.text else {
            let (served, received) = (line["served"]?.count ?? 0, line["received"]?.count ?? 0)
            return "\(peer)  \(balance)  served \(served)  received \(received)"
        }
        let change = Self.number(line["change"])
        let time = Timestamp(seconds: Int64(line["time"]?.count ?? 0)).rfc3339
        return "  \(time)  \(change < 0 ? "" : "+")\(change) → \(balance)  \(peer)  \(cause)"
    }

    private static func number(_ value: Value?) -> Int128 {
        if case .integer(let number) = value { number } else { 0 }
    }
}
