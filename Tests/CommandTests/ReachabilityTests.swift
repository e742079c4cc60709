// Nodes behind routers, in networks of their own (Tests/Interop/network.py).

import Foundation
import Testing

@Suite(.serialized) struct ReachabilityTests {
    /// What no test on one network shows: a node behind a router is reached through a relay and
    /// then directly; behind a router that no hole can be punched in, through the relay alone; and
    /// when two parts of the network find each other again, so do the nodes.
    @Test("behind routers: relayed, then direct; symmetric; a partition heals")
    func routers() throws {
        let place = try Workplace()
        let outcome = try place.python("nat.py", [DocumentationTests.executable.path])
        #expect(outcome.status == 0, "\(outcome.errors)\(outcome.output)")
        let held = try outcome.objects().compactMap { $0["held"] as? String }
        #expect(
            held == [
                "started", "reserved", "reached through the relay", "then directly",
                "a symmetric router: through the relay alone",
                "a partition: through the relay", "the partition healed: directly again",
            ])
    }
}
