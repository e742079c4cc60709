// What the command line says.

import Simulation
import Wire

/// What is wrong with a command line.
struct OptionError: Error {
    let message: String

    init(_ message: String) { self.message = message }
}

/// What is to be simulated.
struct Options {
    static let help = """
        simulate dht [--peers N] [--liars SHARE] [--loss SHARE] [--churn SHARE] [--paths N]
                     [--contents N] [--searches N] [--seed N] [--json]

        Runs a DHT of whole nodes in one process, on a virtual clock. Peers join one after another;
        content is provided; a share of the peers (--churn) leaves and is replaced; content and
        peers are looked for. --liars lie, --loss is that of packets. One seed replays one run: the
        fingerprint, over all events, is the same. See docs/simulator.md.
        """

    var dht = DHTRun.Settings()
    var isJSON = false
    var wantsHelp = false

    init(_ arguments: ArraySlice<String>) throws(OptionError) {
        var rest = arguments
        guard let kind = rest.popFirst() else {
            wantsHelp = true
            return
        }
        if kind == "--help" || kind == "-h" || kind == "help" {
            wantsHelp = true
            return
        }
        guard kind == "dht" else {
            throw OptionError("there is no simulation \(kind); there is: dht")
        }
        while let name = rest.popFirst() {
            switch name {
            case "--json": isJSON = true
            case "--help", "-h": wantsHelp = true
            case "--peers": dht.peers = try Self.count(&rest, name, 2...200_000)
            case "--contents": dht.contents = try Self.count(&rest, name, 1...1_000_000)
            case "--searches": dht.searches = try Self.count(&rest, name, 1...1_000_000)
            case "--paths": dht.paths = try Self.count(&rest, name, 1...10)
            case "--seed": dht.seed = UInt64(try Self.count(&rest, name, 0...Int.max))
            case "--liars": dht.liars = try Self.share(&rest, name)
            case "--loss": dht.loss = try Self.share(&rest, name)
            case "--churn": dht.churn = try Self.share(&rest, name)
            default: throw OptionError("unknown option \(name); see simulate --help")
            }
        }
    }

    private static func count(
        _ rest: inout ArraySlice<String>, _ name: String, _ range: ClosedRange<Int>
    ) throws(OptionError) -> Int {
        guard let text = rest.popFirst(), let value = Int(text), range.contains(value) else {
            throw OptionError(
                "\(name) takes a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    private static func share(
        _ rest: inout ArraySlice<String>, _ name: String
    ) throws(OptionError) -> Double {
        guard let text = rest.popFirst(), let value = Double(text), (0...0.9).contains(value)
        else { throw OptionError("\(name) takes a share from 0 to 0.9, such as 0.2") }
        return value
    }
}
