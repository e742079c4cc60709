// weft repo check

import ArgumentParser
import Gateway
import IPLD
import Weft

struct RepoCheck: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Read every block and compare it with its hash.",
        discussion: """
            The exit code is 1 if something is wrong and was not repaired. A repair drops what is \
            rotten, corrects the index, and builds a damaged index anew from the blocks and the \
            journal of pins; that last one needs the node to be stopped. With --json each line is \
            an object: problems with problem, a new index with rebuilt, and at the end one with \
            checked, damaged, repaired and ok.


            """
                + Examples.text(
                    ("weft repo check", "report what is wrong"),
                    ("weft repo check --repair", "drop what is rotten and mend the index")))

    @OptionGroup var common: CommonOptions

    @Flag(help: "Repair what can be repaired and drop what is rotten.")
    var repair = false

    func run() async throws {
        var outcome: Outcome
        do {
            outcome = try await check()
        } catch let failure as CommandFailure where failure.isIndexDamaged && repair {
            // So badly damaged that the store does not open, or breaks off: a node that runs has
            // it open, and says so here.
            try report(problem: failure.message)
            outcome = Outcome(needsNewIndex: true)
        }
        if outcome.needsNewIndex, repair {
            guard !outcome.isWithNode else {
                throw CommandFailure(
                    "the index can only be built anew while no node runs: stop it, and run "
                        + "'weft repo check --repair' again")
            }
            try rebuild()
            outcome = try await check()
        }
        guard outcome.isWell else {
            throw CommandFailure(
                "the repository is damaged; 'weft repo check --repair' mends what it can")
        }
    }

    private struct Outcome {
        var isWell = false
        var needsNewIndex = false
        var isWithNode = false
    }

    private func report(problem: String) throws {
        let event = Value.object(["problem": .string(problem)])
        try StandardOutput.line(common.json ? JSONText.text(of: event) : problem)
    }

    private func rebuild() throws {
        let saved: Int
        do {
            saved = try Repository.rebuildIndex(at: common.repository)
        } catch {
            throw CommandFailure(error)
        }
        if common.json {
            let event = Value.object([
                "rebuilt": .bool(true), "references": .number(saved),
            ])
            return try StandardOutput.line(JSONText.text(of: event))
        }
        let kept = saved == 0 ? "" : ", with \(saved) references to files"
        try StandardOutput.line("building the index anew from the blocks\(kept)")
    }

    private func check() async throws -> Outcome {
        try await LocalClient.with(common) { client in
            let call = APICall("/weft/v1/check", [("repair", repair ? "true" : "false")])
            let last = LastEvent()
            let json = common.json
            let progress = Progress("checking", json ? .silent : .shown)
            do {
                try await client.values(call) { event in
                    if event["problem"] == nil, event["ok"] == nil {
                        return await progress.update(
                            bytes: event["bytes"]?.count ?? 0, of: event["total"]?.count)
                    }
                    await progress.finish()
                    await last.take(event)
                    try show(event, json: json)
                }
            } catch {
                await progress.finish()
                throw error
            }
            await progress.finish()
            let event = await last.event
            return Outcome(
                isWell: event?["ok"]?.flag == true,
                needsNewIndex: event?["rebuild"]?.flag == true,
                isWithNode: !client.isInProcess)
        }
    }

    private func show(_ event: Value, json: Bool) throws {
        // The outcome is told by the check that follows the repair.
        if event["rebuild"]?.flag == true, repair { return }
        if json { return try StandardOutput.line(JSONText.text(of: event)) }
        if let problem = event["problem"]?.text { return try StandardOutput.line(problem) }
        let checked = event["checked"]?.count ?? 0
        let damaged = event["damaged"]?.count ?? 0
        let mended = damaged > 0 && event["repaired"]?.flag == true ? ", repaired" : ""
        try StandardOutput.line("checked \(checked) blocks: \(damaged) problems\(mended)")
    }
}

/// The last thing that a call said.
private actor LastEvent {
    private(set) var event: Value?

    func take(_ event: Value) { self.event = event }
}
