// The call behind `weft doctor`.

import Hummingbird
import HummingbirdCore
import IPLD
import Weft

extension LocalServices {
    func addDoctorRoutes(to router: Router<LocalContext>) {
        router.call("/weft/v1/doctor") { _ in
            let findings = try await node.diagnose(isRunning: stop != nil)
            return APIAnswer.json([
                "well": .bool(!findings.contains { $0.verdict == .problem }),
                "running": .bool(stop != nil),
                "findings": .list(findings.map(Self.entry)),
            ])
        }
    }

    private static func entry(of finding: Finding) -> Value {
        .object([
            "subject": .string(finding.subject), "verdict": .string(finding.verdict.rawValue),
            "summary": .string(finding.summary),
            "details": .list(finding.details.map { .string($0) }),
            "advice": finding.advice.map { .string($0) },
        ])
    }
}
