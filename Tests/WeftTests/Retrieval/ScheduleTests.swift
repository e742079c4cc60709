// The plan of a retrieval under a virtual clock: who is asked when, what is given up when.

import IPLD
import Multiformats
import NIOCore
import Testing

@testable import Weft

@Suite struct ScheduleTests {
    static let file = TestFile(leaves: 40, leafSize: 1000, width: 64)
    private let root = Self.file.root
    private var scope: RetrievalScope { RetrievalScope(root: root, extent: .entity(nil)) }

    private static let leaves: [CID] = {
        guard let root = file.blocks[file.root.hash] else { return [] }
        return (try? IPLDCodec.links(in: root.span.bytes, codec: .dagPB)) ?? []
    }()

    private func schedule(_ change: (inout Schedule.Limits) -> Void = { _ in }) -> Schedule {
        var limits = Schedule.Limits()
        change(&limits)
        return Schedule(scope, limits: limits)
    }

    /// Lets the root arrive by a job.
    private func bringRoot(_ schedule: inout Schedule, by job: Schedule.JobID, now: Duration) {
        let children = Self.leaves.map { FileLayout.Child(cid: $0, size: 1000) }
        _ = schedule.arrived(
            root, ByteBuffer(repeating: 0, count: 2000), children: children, by: job, now: now)
    }

    private func bring(
        _ schedule: inout Schedule, _ leaf: Int, by job: Schedule.JobID, now: Duration
    ) -> Bool {
        schedule.arrived(
            Self.leaves[leaf], ByteBuffer(repeating: 1, count: 1000), children: [], by: job,
            now: now)
    }

    private func started(_ actions: [Schedule.Action]) -> [Schedule.JobID] {
        actions.compactMap { if case .start(let job, _, _) = $0 { job } else { nil } }
    }

    /// The first request is one stream of the whole, at the provider that ranks highest.
    @Test func bestFirst() {
        var schedule = schedule()
        _ = schedule.joined(prior: 1)
        let best = schedule.joined(prior: 2)
        schedule.want(root, now: .zero)
        schedule.plan(now: .zero)
        let actions = schedule.takeActions()
        #expect(actions.count == 1)
        guard case .start(_, let provider, .stream(let asked)) = actions[0] else {
            Issue.record("no stream")
            return
        }
        #expect(provider == best && asked == scope)
        schedule.plan(now: .milliseconds(1))
        #expect(schedule.takeActions().isEmpty)
    }

    /// A provider that is slow to answer is doubled after the hedge delay and dropped after the
    /// stall time, and the clock is asked to wake the plan for both.
    @Test func hedgeAndStall() {
        var schedule = schedule()
        _ = schedule.joined(prior: 2)
        let second = schedule.joined(prior: 1)
        schedule.want(root, now: .zero)
        schedule.plan(now: .zero)
        let first = started(schedule.takeActions())[0]
        #expect(schedule.wake == .milliseconds(800))
        schedule.plan(now: .milliseconds(799))
        #expect(schedule.takeActions().isEmpty)
        schedule.plan(now: .milliseconds(800))
        guard case .start(let hedge, let provider, .stream)? = schedule.takeActions().first else {
            Issue.record("nobody else was asked")
            return
        }
        #expect(provider == second)
        // The one that brings something goes on, the other one ends.
        bringRoot(&schedule, by: hedge, now: .milliseconds(900))
        #expect(schedule.takeActions() == [.cancel(first, .cancelled)])
        schedule.want(Self.leaves[0], now: .seconds(1))
        schedule.plan(now: .seconds(11))
        #expect(schedule.takeActions().contains(.cancel(hedge, .stalled)))
    }

    /// After a stream broke off, another provider goes on from the byte that is needed.
    @Test func resumes() {
        var schedule = schedule()
        _ = schedule.joined(prior: 2)
        let second = schedule.joined(prior: 1)
        schedule.isDiscovering = false
        schedule.want(root, now: .zero)
        schedule.plan(now: .zero)
        let job = started(schedule.takeActions())[0]
        bringRoot(&schedule, by: job, now: .milliseconds(10))
        for leaf in 0..<7 { _ = bring(&schedule, leaf, by: job, now: .milliseconds(20)) }
        schedule.ended(job, fault: .lied("x"), now: .milliseconds(30))
        schedule.want(Self.leaves[7], now: .milliseconds(30))
        schedule.plan(now: .milliseconds(30))
        let expected = RetrievalScope(root: root, extent: .entity(.init(from: 7000)))
        guard case .start(_, let provider, let request)? = schedule.takeActions().first else {
            Issue.record("nobody took over")
            return
        }
        #expect(provider == second && request == .stream(expected))
    }

    /// A stream pauses when memory is full and goes on when the reader has read, or needs more.
    @Test func backPressure() {
        var schedule = schedule { $0.lookAhead = 5000 }
        _ = schedule.joined(prior: 1)
        schedule.want(root, now: .zero)
        schedule.plan(now: .zero)
        let job = started(schedule.takeActions())[0]
        bringRoot(&schedule, by: job, now: .zero)
        _ = schedule.shelf.read(root.hash)
        for leaf in 0..<4 { #expect(bring(&schedule, leaf, by: job, now: .zero)) }
        #expect(!bring(&schedule, 4, by: job, now: .zero))
        // A pause is no stall.
        schedule.plan(now: .seconds(3600))
        #expect(schedule.takeActions().isEmpty)
        _ = schedule.shelf.read(Self.leaves[0].hash)
        schedule.plan(now: .seconds(3600))
        #expect(schedule.takeActions() == [.resume(job)])
        #expect(!bring(&schedule, 5, by: job, now: .seconds(3600)))
        // A reader that waits for what only the stream can bring lets it go on.
        schedule.want(Self.leaves[20], now: .seconds(3600))
        schedule.plan(now: .seconds(3600))
        #expect(schedule.takeActions() == [.resume(job)])
    }

    /// With nobody left the reader fails at once, and says why in one word.
    @Test(arguments: [
        (Fault.absent(status: 404), FetchError.Code.notFound), (.lied("x"), .unverifiable),
        (.rubbish("x"), .network),
    ])
    func hopeless(_ fault: Fault, _ code: FetchError.Code) {
        var schedule = schedule()
        _ = schedule.joined(prior: 1)
        schedule.want(root, now: .zero)
        schedule.plan(now: .zero)
        let job = started(schedule.takeActions())[0]
        schedule.ended(job, fault: fault, now: .zero)
        schedule.plan(now: .zero)
        #expect(schedule.takeActions().isEmpty, "providers are still being looked up")
        schedule.isDiscovering = false
        schedule.plan(now: .zero)
        #expect(schedule.takeActions() == [.fail(root, code)])
    }

    /// One that breaks off is asked again when it is the only one, but not for ever.
    @Test func strikes() {
        var schedule = schedule()
        _ = schedule.joined(prior: 1)
        schedule.isDiscovering = false
        schedule.want(root, now: .zero)
        var attempts = 0
        while attempts < 10 {
            schedule.plan(now: .zero)
            let actions = schedule.takeActions()
            guard let job = started(actions).first else {
                #expect(actions == [.fail(root, .network)])
                break
            }
            attempts += 1
            schedule.ended(job, fault: .truncated("x"), now: .zero)
        }
        #expect(attempts == 2)
    }

    /// A trickle does not keep a request alive.
    @Test func trickle() {
        var schedule = schedule()
        _ = schedule.joined(prior: 1)
        schedule.want(root, now: .zero)
        schedule.plan(now: .zero)
        let job = started(schedule.takeActions())[0]
        for second in 1..<10 {
            schedule.progressed(job, bytes: 100, now: .seconds(Int64(second)))
            schedule.plan(now: .seconds(Int64(second)))
            #expect(schedule.takeActions().isEmpty)
        }
        schedule.plan(now: .seconds(10))
        #expect(schedule.takeActions().contains(.cancel(job, .stalled)))
    }

    /// A provider that asks for a pause is left alone as long.
    @Test func retryAfter() {
        var schedule = schedule()
        _ = schedule.joined(prior: 1)
        schedule.isDiscovering = false
        schedule.want(root, now: .zero)
        schedule.plan(now: .zero)
        let job = started(schedule.takeActions())[0]
        schedule.ended(job, fault: .busy(status: 429, retryAfter: .seconds(7)), now: .zero)
        schedule.plan(now: .seconds(6))
        #expect(schedule.takeActions().isEmpty)
        #expect(schedule.wake == .seconds(7))
        schedule.plan(now: .seconds(7))
        #expect(started(schedule.takeActions()).count == 1)
    }

    /// Single blocks: nothing is asked for twice, the memory limit holds, and a fast provider gets
    /// more to do than a slow one.
    @Test func pulling() {
        var schedule = schedule { $0.lookAhead = 20_000 }
        let fast = schedule.joined(prior: 2)
        let slow = schedule.joined(prior: 1)
        schedule.isDiscovering = false
        schedule.mode = .pull
        schedule.layout.learn(
            root, children: Self.leaves.map { FileLayout.Child(cid: $0, size: 1000) })
        schedule.shelf.put(root.hash, ByteBuffer())
        var asked: [CID] = []
        var counts: [Schedule.ProviderID: Int] = [:]
        var running: [(due: Int, job: Schedule.JobID, cid: CID)] = []
        var next = 0
        for time in 0..<4000 where next < Self.leaves.count {
            let now = Duration.milliseconds(time)
            for done in running.filter({ $0.due <= time }) {
                _ = schedule.arrived(
                    done.cid, ByteBuffer(repeating: 1, count: 1000), children: [],
                    by: done.job, now: now)
                schedule.ended(done.job, fault: nil, now: now)
            }
            running.removeAll { $0.due <= time }
            while next < Self.leaves.count, schedule.shelf.read(Self.leaves[next].hash) != nil {
                next += 1
            }
            guard next < Self.leaves.count else { break }
            schedule.want(Self.leaves[next], now: now)
            schedule.hints = Array(Self.leaves[next...].prefix(16))
            schedule.plan(now: now)
            for case .start(let job, let provider, .block(let cid)) in schedule.takeActions() {
                asked.append(cid)
                counts[provider, default: 0] += 1
                running.append((time + (provider == fast ? 2 : 20), job, cid))
            }
            #expect(running.count <= 20)
        }
        #expect(next == Self.leaves.count)
        #expect(asked.count - Set(asked).count <= 4)
        #expect(counts[fast, default: 0] > 2 * counts[slow, default: 0])
    }
}

@Suite struct ProviderRecordsTests {
    /// A liar is shut out, and let in again as time goes by; each lie makes it longer.
    @Test func forgetting() {
        var records = ProviderRecords()
        records.note("liar", .lied("x"), now: .zero)
        #expect(records.ban("liar", now: .seconds(60)) == .lied("x"))
        #expect(records.ban("liar", now: .seconds(700)) == nil)
        records.note("liar", .lied("y"), now: .seconds(700))
        #expect(records.ban("liar", now: .seconds(1400)) != nil)
        #expect(records.ban("liar", now: .seconds(86_400)) == nil)
    }

    /// Breaking off lowers the rank, however often, but does not shut out.
    @Test func breakingOff() {
        var records = ProviderRecords()
        for _ in 0..<100 { records.note("shaky", .stalled, now: .zero) }
        #expect(records.ban("shaky", now: .zero) == nil)
        #expect(records.rank("shaky", unknown: 2, now: .zero) < 1)
    }

    /// The table does not grow without bound.
    @Test func bounded() {
        var records = ProviderRecords()
        for number in 0..<2000 {
            records.note("\(number)", .stalled, now: .seconds(Int64(number)))
        }
        #expect(records.count == ProviderRecords.capacity)
    }
}

@Suite struct ProviderAddressTests {
    @Test(arguments: [
        ("/dns4/a.example/tcp/443/tls/http", "https://a.example"),
        ("/dns/a.example/tcp/443/https", "https://a.example"),
        ("/ip4/1.2.3.4/tcp/8080/http", "http://1.2.3.4:8080"),
        ("/ip6/2606::1/tcp/80/http", "http://[2606::1]"),
        ("/dns/a.example/tcp/8443/tls/sni/b.example/http", "https://a.example:8443"),
    ])
    func multiaddr(_ text: String, _ base: String) {
        #expect(ProviderAddress(multiaddr: text)?.base == base)
    }

    @Test(arguments: [
        "", "/", "/dns/a.example/tcp/443", "/ip4/1.2.3.4/udp/443/quic-v1/http", "x",
        "/dns/a.example/tcp/99999/http", "/dns/a@b/tcp/80/http", "/unix/tmp/http",
        "/dns/a?b/tcp/80/http", "/dns//tcp/80/http",
    ])
    func notHTTP(_ text: String) {
        #expect(ProviderAddress(multiaddr: text) == nil)
    }

    /// A router's word must not lead us into a private network.
    @Test(arguments: [
        "127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.1.1", "0.0.0.0",
        "100.64.0.1", "[::1]", "[fe80::1]", "[fd00::1]", "[::ffff:10.0.0.1]", "localhost",
        "router", "a.local", "a.localhost", "2130706433", "127.1", "[64:ff9b::a00:1]",
    ])
    func privateHosts(_ host: String) {
        #expect(ProviderAddress(url: "http://\(host)/")?.isPrivate == true)
    }

    @Test(arguments: ["1.1.1.1", "a.example", "[2606:4700::1111]", "172.32.0.1"])
    func publicHosts(_ host: String) {
        #expect(ProviderAddress(url: "https://\(host):8443")?.isPrivate == false)
    }

    /// Two spellings of one provider are one provider; what is no URL never reaches a client.
    @Test func spellings() {
        let address = ProviderAddress(url: "HTTPS://A.Example:8443/Path/")
        #expect(address?.base == "https://a.example:8443/Path")
        #expect(address == ProviderAddress(url: "https://a.example:8443/Path"))
        for text in ["http://a\r\nb/", "http://a/\u{0}", "http://a/ b", "http://é.example"] {
            #expect(ProviderAddress(url: text) == nil)
        }
    }
}
