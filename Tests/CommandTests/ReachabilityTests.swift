// Nodes behind routers, in networks of their own (Tests/Interop/network.py).

import Foundation
import Testing

@Suite(.serialized) struct ReachabilityTests {
    /// Whoever asks without a node running is told to start one, in words and by the exit code.
    @Test("the doctor of a node that does not run") func stopped() throws {
        let place = try Workplace()
        try place.isolate()
        let said = try place.weft("doctor")
        #expect(said.status == 1)
        #expect(said.output.contains("✗ node: No node is running"), "\(said.output)")
        #expect(said.output.contains("weft up"))
        #expect(said.output.contains("✓ disk"))
        let object = try place.weft("doctor", "--json").object()
        #expect(object["well"] as? Bool == false && object["running"] as? Bool == false)
    }

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
                "the doctor explains it",
            ])
    }

    /// Each situation that a machine can be in is named, with what to do about it.
    @Test("the doctor in all situations") func doctor() throws {
        let place = try Workplace()
        let outcome = try place.python("doctor.py", [DocumentationTests.executable.path])
        #expect(outcome.status == 0, "\(outcome.errors)\(outcome.output)")
        let held = try outcome.objects().compactMap { $0["held"] as? String }
        #expect(
            held == [
                "no network", "no neighbours", "an address of its own",
                "a router that lets nobody in, and no relay", "a limit that was reached",
            ])
    }

    /// Routers are asked in all three ways, by software that others wrote where there is any; who
    /// comes from outside then reaches the node, and nothing is left when it stops.
    @Test("routers forward ports: PCP, NAT-PMP, UPnP") func portMapping() throws {
        let place = try Workplace()
        let outcome = try place.python("portmap.py", [DocumentationTests.executable.path])
        #expect(outcome.status == 0, "\(outcome.errors)\(outcome.output)")
        let held = try outcome.objects().compactMap { $0["held"] as? String }
        #expect(
            held == [
                "started", "in by PCP", "in by NAT-PMP", "in by UPnP", "the same after kill -9",
                "confirmed and told", "given back", "a router that forwards nothing",
                "switched off",
            ])
    }

    /// Another implementation's relay carries our connections and ours its; blocks are fetched
    /// through a relay that sets no limits; and holes are punched whoever begins.
    @Test("py-libp2p: relays and hole punching, both ways") func foreignRelays() throws {
        let place = try Workplace()
        let outcome = try place.python("foreign_relay.py", [DocumentationTests.executable.path])
        #expect(outcome.status == 0, "\(outcome.errors)\(outcome.output)")
        let held = try outcome.objects().compactMap { $0["held"] as? String }
        #expect(
            held == [
                "a place at py-libp2p", "met through py-libp2p",
                "fetched through a relay without limits",
                "py-libp2p fetched over bitswap through its relay", "py-libp2p has a place at Weft",
                "reached py-libp2p through Weft", "then directly", "fetched from it",
                "py-libp2p reached Weft through Weft", "and then directly",
            ])
    }

    /// Who vanishes in the middle of a transfer costs no more than the block that it was sending,
    /// and who comes back is used again.
    @Test("peers and links vanish in the middle of a transfer") func faults() throws {
        let place = try Workplace()
        let isLong = ProcessInfo.processInfo.environment["WEFT_LONG"] != nil
        let cuts = isLong ? [7, 15, 40] : [7]
        let outcome = try place.python(
            "faults.py", [DocumentationTests.executable.path] + cuts.map { "\($0)" })
        #expect(outcome.status == 0, "\(outcome.errors)\(outcome.output)")
        let held = try outcome.objects().compactMap { $0["held"] as? String }
        #expect(
            held == [
                "three owners at once", "kill -9 in the middle", "a cut link in the middle",
                "the dead connection is noticed",
            ]
                + cuts.flatMap { cut in
                    // In the long run, whichever of the two had called the other.
                    let what = "a cut of \(cut) s heals: the transfer goes on"
                    return isLong ? [what, what] : [what]
                } + ["the only owner is restarted: the transfer goes on"])
    }
}
