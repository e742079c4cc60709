// One file from several providers of different speed and character, under a virtual clock: they
// are all used as much as they can give, hardly a byte comes twice, and the reader gets the
// beginning first.

import Multiformats
import NIOCore
import Testing
import Wire

@testable import Weft

/// Providers that answer the plan's requests at given speeds, and a reader from front to back.
private struct Network {
    enum Character { case honest, lying, truncating, stalling }

    struct Provider {
        /// Bytes a second, shared by its requests.
        var rate: Double
        var latency: Duration = .milliseconds(20)
        var character = Character.honest
        /// Bytes that it sent.
        var sent = 0.0
        /// What an answer that ended left of the last step.
        var left = 0.0
        /// Bytes after which its character shows.
        var turn = 3.0 * 1024 * 1024
    }

    private struct Transfer {
        let provider: Int
        let begun: Duration
        var blocks: ArraySlice<CID>
        var got = 0.0
        var isPaused = false
    }

    static let leafSize = 256 << 10
    private static let step = Duration.milliseconds(5)

    var providers: [Provider]
    let leaves: [CID]
    let root: CID
    var schedule: Schedule
    var now = Duration.zero
    /// When the reader got each leaf.
    var read: [Duration] = []
    var failures: [FetchError.Code] = []
    private var isOpen = false
    private var transfers: [Schedule.JobID: Transfer] = [:]

    init(leaves count: Int, _ providers: [Provider]) {
        self.providers = providers
        leaves = (0..<count).map { Self.cid("leaf \($0)", .raw) }
        root = Self.cid("root", .dagPB)
        schedule = Schedule(
            RetrievalScope(root: root, extent: .entity(nil)), limits: Schedule.Limits())
        for index in providers.indices {
            _ = schedule.joined(prior: Double(providers.count - index))
        }
        schedule.isDiscovering = false
    }

    private static func cid(_ text: String, _ codec: Codec) -> CID {
        let bytes = Array(text.utf8)
        guard let hash = Multihash(hashing: bytes.span.bytes, with: .sha2_256) else {
            preconditionFailure("SHA2-256 is always there")
        }
        return CID(codec, hash)
    }

    var size: Double { Double(leaves.count * Self.leafSize) }
    /// Bytes that came, as a multiple of what was needed.
    var effort: Double { providers.reduce(0) { $0 + $1.sent } / size }

    private func size(of cid: CID) -> Int { cid == root ? 50 * leaves.count : Self.leafSize }

    private func answer(_ job: Schedule.Job) -> [CID] {
        switch job {
        case .block(let cid): return [cid]
        case .stream(let scope):
            guard case .entity(let bytes) = scope.extent else { return [root] + leaves }
            let from = Int(bytes?.from ?? 0) / Self.leafSize
            let through = bytes?.through.map { Int($0) / Self.leafSize } ?? leaves.count - 1
            return [root] + leaves[from...min(through, leaves.count - 1)]
        }
    }

    /// Runs until the reader has everything, something fails or the time is over.
    mutating func run(upTo limit: Duration) {
        while now < limit, read.count < leaves.count, failures.isEmpty {
            advance()
            now += Self.step
        }
    }

    private mutating func advance() {
        if !isOpen { isOpen = schedule.shelf.read(root.hash) != nil }
        while isOpen, read.count < leaves.count,
            schedule.shelf.read(leaves[read.count].hash) != nil
        {
            read.append(now)
        }
        guard read.count < leaves.count else { return }
        schedule.hints = isOpen ? Array(leaves[read.count...].prefix(64)) : []
        schedule.want(isOpen ? leaves[read.count] : root, now: now)
        obey()
        for job in transfers.keys.sorted(by: { $0.number < $1.number }) { move(job) }
    }

    private mutating func obey() {
        schedule.plan(now: now)
        for action in schedule.takeActions() {
            switch action {
            case .start(let job, let provider, let request):
                transfers[job] = Transfer(
                    provider: provider.number, begun: now, blocks: answer(request)[...])
            case .cancel(let job, let fault):
                end(job, fault)
            case .resume(let job): transfers[job]?.isPaused = false
            case .fail(_, let code): failures.append(code)
            }
        }
    }

    private mutating func end(_ job: Schedule.JobID, _ fault: Fault?) {
        transfers[job] = nil
        schedule.ended(job, fault: fault, now: now)
        schedule.plan(now: now)
    }

    private mutating func move(_ job: Schedule.JobID) {
        guard var transfer = transfers[job], !transfer.isPaused else { return }
        let provider = providers[transfer.provider]
        guard now - transfer.begun >= provider.latency else { return }
        let isBad = provider.character != .honest && provider.sent >= provider.turn
        if isBad, provider.character == .stalling { return }
        let active = transfers.values.count {
            $0.provider == transfer.provider && !$0.isPaused
                && now - $0.begun >= provider.latency
        }
        let bytes = provider.rate * (Self.step / .seconds(1)) / Double(active) + provider.left
        providers[transfer.provider].left = 0
        providers[transfer.provider].sent += bytes
        transfer.got += bytes
        schedule.progressed(job, bytes: Int(bytes), now: now)
        while let cid = transfer.blocks.first, transfer.got >= Double(size(of: cid)) {
            if isBad {
                return end(job, provider.character == .lying ? .lied("x") : .truncated("x"))
            }
            transfer.got -= Double(size(of: cid))
            transfer.blocks.removeFirst()
            let goesOn = schedule.arrived(
                cid, ByteBuffer(repeating: 0, count: size(of: cid)),
                children: cid == root
                    ? leaves.map { FileLayout.Child(cid: $0, size: UInt64(Self.leafSize)) } : [],
                by: job, now: now)
            if !goesOn { transfer.isPaused = schedule.open[job]?.isPaused ?? false }
            if transfer.isPaused { break }
        }
        transfers[job] = transfer
        guard transfer.blocks.isEmpty else { return obey() }
        providers[transfer.provider].left = transfer.got
        providers[transfer.provider].sent -= transfer.got
        end(job, nil)
    }
}

@Suite struct SharingTests {
    private static let mib = 1024.0 * 1024

    /// Providers of any speeds together come near the sum of their speeds, under two per cent of
    /// the bytes come twice, and the reader gets the beginning while the rest is fetched.
    @Test(arguments: 0..<6) func speeds(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let providers = (0..<Int.random(in: 2...4, using: &generator)).map { _ in
            Network.Provider(
                rate: Self.mib * Double.random(in: 1...12, using: &generator),
                latency: .milliseconds(Int.random(in: 1...150, using: &generator)))
        }
        var network = Network(leaves: 320, providers)
        let sum: Double = providers.reduce(0) { $0 + $1.rate }
        let best: Double = network.size / sum
        network.run(upTo: .seconds(best * 3))
        #expect(network.failures.isEmpty)
        #expect(network.read.count == network.leaves.count, "\(network.read.count) blocks")
        let time = network.now / .seconds(1)
        // Finding out what the others can do takes a part of this short time.
        #expect(time < best / 0.6, "\(best / time) of the sum, \(providers)")
        #expect(network.effort < 1.02, "\(network.effort) times the bytes, \(providers)")
        if let half = network.read.dropFirst(network.leaves.count / 2).first {
            #expect(half / network.now < 0.7, "the first half came after \(half)")
        }
    }

    /// One that lies, breaks off or goes silent in the middle of a span is left, and others bring
    /// what it owed.
    @Test(arguments: [Network.Character.lying, .truncating, .stalling], 0..<3)
    fileprivate func takeover(_ character: Network.Character, seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var providers = (0..<3).map { _ in
            Network.Provider(rate: Self.mib * Double.random(in: 2...8, using: &generator))
        }
        let bad = Int.random(in: 0..<3, using: &generator)
        providers[bad].character = character
        var network = Network(leaves: 200, providers)
        let honest: Double = providers.reduce(0) { $0 + ($1.character == .honest ? $1.rate : 0) }
        let best: Double = network.size / honest
        network.run(upTo: .seconds(best * 3 + 30))
        #expect(network.failures.isEmpty)
        #expect(network.read.count == network.leaves.count, "\(network.read.count) blocks")
        if character == .lying { #expect(network.schedule.seats[bad].isDropped) }
        let time = network.now / .seconds(1)
        #expect(time < best / 0.75 + 2)
        #expect(network.effort < 1.1)
    }

    /// Who proved to be fast gets spans, and as much as it delivers.
    @Test func spans() {
        var network = Network(
            leaves: 120, [.init(rate: 8 * Self.mib), .init(rate: 8 * Self.mib)])
        network.run(upTo: .seconds(60))
        #expect(network.read.count == network.leaves.count)
        for provider in network.providers { #expect(provider.sent > 0.35 * network.size) }
    }
}
