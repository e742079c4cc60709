// weft doctor

import ArgumentParser
import Gateway
import IPLD
import Weft

struct Doctor: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Find out what keeps the node from working well, and what to do about it.",
        discussion: """
            Looks at peers, at whether others can reach the node and by what, at the router, \
            relays, DHTs, limits, disk and clock. It ends with 0 if all is well and with 1 if \
            something does not work. With --json it prints an object with well, running and \
            findings, of which each has subject, verdict (good, note or problem), summary, \
            details and advice (or null).


            """ + Examples.text(("weft doctor", "what is wrong, and what to do")))

    @OptionGroup var common: CommonOptions

    func run() async throws {
        let isWell = try await LocalClient.with(common) { client in
            let answer = try await client.value(APICall("/weft/v1/doctor"))
            if common.json {
                try StandardOutput.line(JSONText.text(of: answer))
            } else {
                for finding in answer["findings"]?.elements ?? [] { try Self.print(finding) }
            }
            return answer["well"] == .bool(true)
        }
        try StandardOutput.flush()
        if !isWell { throw ExitCode(ExitStatus.failed.rawValue) }
    }

    private static func print(_ finding: Value) throws {
        let mark =
            switch finding["verdict"]?.text {
            case "good": "✓"
            case "note": "·"
            default: "✗"
            }
        let subject = finding["subject"]?.text ?? ""
        try StandardOutput.line(
            "\(mark) \(StandardOutput.bold(subject)): \(finding["summary"]?.text ?? "")")
        for detail in finding["details"]?.elements ?? [] {
            try StandardOutput.line(StandardOutput.dim("    \(detail.text ?? "")"))
        }
        if let advice = finding["advice"]?.text { try StandardOutput.line("  → \(advice)") }
    }
}
