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

        simulate calls [--peers N] [--liars SHARE] [--lie NAME] [--calls N] [--sample SHARE]
                       [--neighbours N] [--seed N] [--json]

        Runs a network in which peers call each other while some give wrong answers, and compares
        what checks find out, and what it costs, with what the formulas say. --lie is one of output,
        leaf, gas, withholding, stall, vanish, replay, otherQuestion, fork, or all; --sample is the
        share of answers that is asked for again, --neighbours to how many others each
        peer connects, which tell each other of proofs. --delta is the debt that is signed for.
        """

    /// What there is to be simulated.
    enum Kind { case dht, calls }

    var kind = Kind.dht
    var dht = DHTRun.Settings()
    var calls = CallRun.Settings()
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
        switch kind {
        case "dht": try readDHT(&rest)
        case "calls":
            self.kind = .calls
            try readCalls(&rest)
        default: throw OptionError("there is no simulation \(kind); there are: dht, calls")
        }
    }

    /// Takes what all simulations have. Returns whether it was that.
    private mutating func readCommon(_ name: String) -> Bool {
        switch name {
        case "--json": isJSON = true
        case "--help", "-h": wantsHelp = true
        default: return false
        }
        return true
    }

    private mutating func readCalls(_ rest: inout ArraySlice<String>) throws(OptionError) {
        while let name = rest.popFirst() {
            if readCommon(name) { continue }
            switch name {
            case "--peers": calls.peers = try Self.count(&rest, name, 4...20_000)
            case "--calls": calls.calls = try Self.count(&rest, name, 1...10_000_000)
            case "--neighbours": calls.neighbours = try Self.count(&rest, name, 0...100)
            case "--delta": calls.delta = UInt64(try Self.count(&rest, name, 1...Int.max))
            case "--seed": calls.seed = UInt64(try Self.count(&rest, name, 0...Int.max))
            case "--liars": calls.liars = try Self.share(&rest, name)
            case "--sample":
                calls.sample = UInt32(try Self.share(&rest, name) * 1_000_000)
            case "--lie":
                let lie = rest.popFirst() ?? ""
                guard lie == "all" || CallLie(rawValue: lie) != nil else {
                    throw OptionError("--lie takes the name of a lie, or all; see simulate --help")
                }
                calls.lies = CallLie(rawValue: lie).map { [$0] } ?? CallLie.allCases
            default: throw OptionError("unknown option \(name); see simulate --help")
            }
        }
    }

    private mutating func readDHT(_ rest: inout ArraySlice<String>) throws(OptionError) {
        while let name = rest.popFirst() {
            if readCommon(name) { continue }
            switch name {
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
