// weft status, weft bandwidth: what the node uses, what it may use, and what was held back

import ArgumentParser
import Gateway
import Glibc
import IPLD
import Weft

struct Status: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what the node uses, its limits, and how often they held something back.",
        discussion: """
            With --json one object: running, peer, profile, reach, addresses, portMapping \
            (verdict, summary and ports, each with port, externalAddress and externalPort), store, \
            peers, limits (each with name, key, limit and, where it is known, count and heldBack), \
            contracts (on, running, waiting, remembered, gas and ended, a number for each way), \
            turnedAway, denied, trimmed, violations, dhts (protocol, peers and role), announcing \
            (strategy, keys, waiting, announced and lastSecondsAgo) and bandwidth (as 'weft \
            bandwidth --json').


            """
                + Examples.text(
                    ("weft status", "limits, use and bandwidth, in words"),
                    ("weft config set mesh.connections-max 40", "change a limit")))

    @OptionGroup var common: CommonOptions

    func run() async throws {
        try await LocalClient.with(common) { client in
            let status = try await client.value(APICall("/weft/v1/limits"))
            if common.json { return try StandardOutput.line(JSONText.text(of: status)) }
            for line in Self.lines(status) { try StandardOutput.line(line) }
        }
    }

    /// The status in words.
    static func lines(_ status: Value) -> [String] {
        let isRunning = status["running"]?.flag == true
        let profile = status["profile"]?.text ?? ""
        var rows = [
            ("node", isRunning ? "running" : "not running; start it with 'weft up'"),
            ("ceilings", "those of a \(profile) node (mesh.profile)"), ("reach", reach(status)),
        ]
        for address in status["addresses"]?.elements ?? [] {
            rows.append(("listening", address.text ?? ""))
        }
        if isRunning, let forwarding = status["portMapping"]?["summary"]?.text {
            rows.append(("port forwarding", forwarding))
        }
        let store = status["store"]
        rows.append(
            (
                "store",
                "\(size(store?["usedBytes"])) of \(size(store?["maxBytes"])) (storage.max)"
            ))
        for limit in status["limits"]?.elements ?? [] {
            let key = limit["key"]?.text ?? ""
            func number(_ name: String) -> String? {
                limit[name]?.count.map {
                    key.hasSuffix(".memory") ? HumanBytes.text($0) : String($0)
                }
            }
            let most = number("limit") ?? ""
            let use = number("count").map { "\($0) of \(most) (\(key))" }
            rows.append(
                (
                    limit["name"]?.text ?? "",
                    (use ?? "at most \(most) (\(key))") + heldBack(limit)
                ))
        }
        rows += calls(status["contracts"])
        rows.append(("peers", peers(status)))
        for dht in status["dhts"]?.elements ?? [] {
            let role = dht["role"]?.text == "server" ? "answers others" : "asks others"
            rows.append(
                (
                    dht["protocol"]?.text?.contains("lan") == true ? "local DHT" : "DHT",
                    "\(dht["peers"]?.count ?? 0) servers known; this node \(role)"
                ))
        }
        if let announcing = status["announcing"] { rows.append(("announcing", keys(announcing))) }
        rows += Bandwidth.rows(status["bandwidth"])
        let width = rows.map(\.0.count).max() ?? 0
        return rows.map { "\(StandardOutput.dim($0.0.padded(to: width)))  \($0.1)" }
    }

    private static func reach(_ status: Value) -> String {
        switch status["reach"]?.text {
        case "local": "this machine and its private networks (mesh.reach)"
        case "metered": "metered: for this node's own needs alone (mesh.reach)"
        case "off": "off: no peers at all (mesh.reach)"
        default: "everywhere (mesh.reach)"
        }
    }

    private static func calls(_ status: Value?) -> [(String, String)] {
        guard status?["on"]?.flag == true else { return [("contracts", "off (compute.contracts)")] }
        func count(_ name: String) -> UInt64 { status?[name]?.count ?? 0 }
        let ends = CallEnding.allCases.compactMap { ending -> (CallEnding, String)? in
            guard let times = status?["ended"]?[ending.rawValue]?.count, times > 0 else {
                return nil
            }
            return (ending, "\(ending.rawValue) \(times)")
        }
        let use =
            "\(count("running")) running, \(count("waiting")) waiting, "
            + "\(count("remembered")) results remembered"
        var rows = [("contracts", use)]
        let outcomes = ends.filter { $0.0.isOutcome }.map(\.1)
        if !outcomes.isEmpty {
            let gas = "\(count("gas")) gas"
            rows.append(("calls ended", (outcomes + [gas]).joined(separator: ", ")))
        }
        let failures = ends.filter { !$0.0.isOutcome }.map(\.1)
        if !failures.isEmpty {
            rows.append(("calls without result", failures.joined(separator: ", ")))
        }
        return rows
    }

    private static func keys(_ status: Value) -> String {
        let count = status["keys"]?.count ?? 0
        let strategy = status["strategy"]?.text ?? ""
        let last = status["lastSecondsAgo"]?.count.map { "the last one \($0) s ago" }
        return "\(count) keys (reprovide.strategy is \(strategy)), "
            + (last ?? "none since the start")
    }

    private static func peers(_ status: Value) -> String {
        var parts = ["\(status["peers"]?.count ?? 0) connected"]
        for (key, text) in [
            ("turnedAway", "turned away because there were too many"),
            ("denied", "turned away because of the rules"),
            ("trimmed", "let go because there were more than wanted"),
            ("violations", "broken rules"),
        ] {
            if let count = status[key]?.count, count > 0 { parts.append("\(count) \(text)") }
        }
        return parts.joined(separator: ", ")
    }

    fileprivate static func size(_ value: Value?) -> String {
        HumanBytes.text(value?.count ?? 0)
    }

    fileprivate static func heldBack(_ value: Value?) -> String {
        guard let times = value?["heldBack"]?.count, times > 0 else { return "" }
        return times == 1 ? ", held back once" : ", held back \(times) times"
    }
}

struct Bandwidth: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show how many bytes the mesh receives and sends, and how many it may.",
        discussion: """
            It counts what connections to peers carry, with handshakes and encryption; not the \
            gateway, nor what is fetched from HTTP providers. With --json an object with received, \
            sent, exchange, other, protocols and peers; with --watch one every second.


            """
                + Examples.text(
                    ("weft bandwidth --watch", "the rates, every second"),
                    ("weft config set mesh.bandwidth-out 500KiB", "send no more than this")))

    @OptionGroup var common: CommonOptions

    @Flag(help: "Show it again every second, until Ctrl-C.")
    var watch = false

    func run() async throws {
        let json = common.json
        try await LocalClient.with(common) { client in
            try client.requireNode()
            try await Watch.run(isOn: watch) { now in
                let value = try await client.value(APICall("/weft/v1/bandwidth"))
                if json { return [JSONText.text(of: value)] }
                return now.isRepeated && !StandardOutput.isTerminal
                    ? [Self.short(value)] : Self.lines(value)
            }
        }
    }

    /// Received and sent, as rows of a table.
    static func rows(_ value: Value?) -> [(String, String)] {
        [("received", "received"), ("sent", "sent")].map { name, key in
            (name, text(value?[key]))
        }
            + [("exchange", "exchange"), ("other", "other")].flatMap { name, key in
                [("received", "received"), ("sent", "sent")].compactMap { verb, direction in
                    let flow = value?[key]?[direction]
                    guard flow?["limit"]?.count != nil else { return nil }
                    return ("\(name) \(verb)", text(flow))
                }
            }
    }

    private static func text(_ flow: Value?) -> String {
        let rate = Status.size(flow?["bytesPerSecond"])
        let limit = flow?["limit"]?.count.map { "of \(HumanBytes.text($0))/s" }
        let total = "\(Status.size(flow?["bytes"])) in all"
        return "\(rate)/s \(limit ?? "(no limit)"), \(total)" + Status.heldBack(flow)
    }

    private static func lines(_ value: Value) -> [String] {
        var rows = rows(value)
        for entry in value["protocols"]?.elements ?? [] {
            let parts = [("in", "received"), ("out", "sent")].map { name, key in
                "\(name) \(Status.size(entry["\(key)PerSecond"]))/s, "
                    + "\(Status.size(entry["\(key)Bytes"])) in all"
            }
            rows.append((entry["protocol"]?.text ?? "", parts.joined(separator: "; ")))
        }
        let width = rows.map(\.0.count).max() ?? 0
        return rows.map { "\(StandardOutput.dim($0.0.padded(to: width)))  \($0.1)" }
    }

    private static func short(_ value: Value) -> String {
        "in \(Status.size(value["received"]?["bytesPerSecond"]))/s  "
            + "out \(Status.size(value["sent"]?["bytesPerSecond"]))/s"
    }
}

/// Shows something once, or again and again: on a terminal in one place, elsewhere as more lines.
enum Watch {
    /// Which showing it is.
    struct Round {
        /// Whether there are several.
        let isRepeated: Bool
        /// Seconds since the last one; 0 for the first.
        let seconds: Double
    }

    private static let interval = Duration.seconds(1)

    /// Shows the lines that `make` gives, every second if it is on.
    static func run(
        isOn: Bool, _ make: (Round) async throws -> [String]
    ) async throws {
        var last: ContinuousClock.Instant?
        while true {
            let now = ContinuousClock.now
            let passed = last.map { $0.duration(to: now).components }
            let seconds = passed.map { Double($0.seconds) + Double($0.attoseconds) * 1e-18 }
            last = now
            let lines = try await make(Round(isRepeated: isOn, seconds: seconds ?? 0))
            // Home, and what was there before is cleared line by line, so that nothing flickers.
            let isPlace = isOn && StandardOutput.isTerminal
            if isPlace { try StandardOutput.text("\u{1b}[H") }
            for line in lines {
                if isPlace {
                    try StandardOutput.text(line.visible + "\u{1b}[K\n")
                } else {
                    try StandardOutput.line(line)
                }
            }
            if isPlace { try StandardOutput.text("\u{1b}[J") }
            try StandardOutput.flush()
            guard isOn else { return }
            try await Task.sleep(for: interval)
        }
    }
}
