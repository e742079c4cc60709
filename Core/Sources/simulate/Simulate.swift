// The simulator on the command line: it runs a network of nodes in this process and says how that
// went. docs/simulator.md tells how to read it.

import Simulation
import Wire

@main
struct Simulate {
    static func main() {
        do throws(OptionError) {
            let options = try Options(CommandLine.arguments.dropFirst())
            guard !options.wantsHelp else {
                print(Options.help)
                return
            }
            let table = try run(options)
            print(options.isJSON ? table.json : table.text)
        } catch {
            complain(error.message)
            leave(with: 2)
        }
    }

    private static func run(_ options: Options) throws(OptionError) -> Table {
        do throws(DecodeError) {
            return switch options.kind {
            case .dht: try simulateDHT(options)
            case .calls: try simulateCalls(options)
            }
        } catch {
            throw OptionError("the network could not be made: \(error)")
        }
    }

    private static func simulateDHT(_ options: Options) throws(DecodeError) -> Table {
        let clock = ContinuousClock()
        let start = clock.now
        let before = residentBytes()
        var run = DHTRun(options.dht)
        try run.grow()
        let grown = residentBytes() - before
        run.provide()
        try run.change()
        run.search()
        let (settings, network) = (run.settings, run.network)
        var table = Table()
        table.add("peers", Double(settings.peers), digits: 0)
        table.add("log2_peers", log2(settings.peers), digits: 1)
        table.add("liars", settings.liars, digits: 2)
        table.add("loss", settings.loss, digits: 3)
        table.add("churn", settings.churn, digits: 2)
        table.add("seed", Double(settings.seed), digits: 0)
        table.add("content_found", run.foundContent.success, digits: 4)
        table.add("peers_found", run.foundPeers.success, digits: 4)
        for (name, outcome) in [
            ("content", run.foundContent), ("peer", run.foundPeers), ("provide", run.provided),
        ] {
            table.add(name + "_questions", outcome.mean(outcome.questions), digits: 1)
            table.add(name + "_hops", outcome.mean(outcome.hops), digits: 2)
            table.add(name + "_median_seconds", outcome.time(within: 0.5).inSeconds, digits: 3)
            table.add(name + "_p95_seconds", outcome.time(within: 0.95).inSeconds, digits: 3)
        }
        table.add("provide_holders", run.provided.mean(run.provided.stored), digits: 1)
        table.add("messages", Double(network.counts.messages), digits: 0)
        table.add("message_bytes", Double(network.counts.bytes), digits: 0)
        table.add("dials", Double(network.counts.dials), digits: 0)
        table.add("connections", Double(network.counts.connections), digits: 0)
        table.add("events", Double(network.counts.events), digits: 0)
        table.add(
            "virtual_seconds", network.now.since(Instant(nanoseconds: 1_000_000_000)).inSeconds,
            digits: 0)
        table.add("fingerprint", network.fingerprint)
        table.add("bytes_per_peer", Double(grown) / Double(max(1, settings.peers)), digits: 0)
        table.add("wall_seconds", (clock.now - start).inSeconds, digits: 1)
        return table
    }

    private static func simulateCalls(_ options: Options) throws(DecodeError) -> Table {
        let clock = ContinuousClock()
        let start = clock.now
        var run = try CallRun(options.calls)
        run.run()
        let (settings, outcome) = (run.settings, run.outcome)
        var table = Table()
        table.add("peers", Double(settings.peers), digits: 0)
        table.add("liars", settings.liars, digits: 2)
        table.add("sample", Double(settings.sample) / 1_000_000, digits: 3)
        table.add("seed", Double(settings.seed), digits: 0)
        table.add("answered", Double(outcome.answered), digits: 0)
        table.add("failed", Double(outcome.failed), digits: 0)
        table.add("wrong", Double(outcome.wrong), digits: 0)
        table.add("detected", Double(outcome.detected), digits: 0)
        table.add("detected_expected", outcome.expected, digits: 1)
        table.add("detected_deviation", outcome.deviation, digits: 1)
        table.add("liars_convicted", Double(outcome.convicted), digits: 0)
        table.add("liars_in_all", Double(run.liarCount), digits: 0)
        table.add("wrong_per_conviction", outcome.wrongPerConviction, digits: 1)
        table.add("wrong_per_conviction_bound", run.wrongPerConvictionBound, digits: 1)
        table.add("known_share", outcome.knownShare, digits: 4)
        table.add("spread_seconds_most", outcome.spreadSeconds.max() ?? 0, digits: 2)
        table.add("forks", Double(outcome.forks), digits: 0)
        table.add("forks_found", Double(outcome.forkSeconds.count), digits: 0)
        table.add("fork_seconds_mean", CallRun.mean(outcome.forkSeconds), digits: 0)
        table.add("fork_seconds_most", outcome.forkSeconds.max() ?? 0, digits: 0)
        table.add("checks_per_answer", outcome.checkShare, digits: 4)
        table.add("charged_for_wrong", Double(outcome.charged), digits: 0)
        table.add("lost_to_liars", Double(outcome.loss), digits: 0)
        table.add("honest_punished", Double(outcome.honestPunished), digits: 0)
        table.add("messages", Double(run.network.messages), digits: 0)
        table.add("fingerprint", run.network.fingerprint)
        table.add("wall_seconds", (clock.now - start).inSeconds, digits: 1)
        return table
    }
}
