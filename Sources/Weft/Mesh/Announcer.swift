// Tells the DHTs what this node has: what is new soon, everything again once in a while
// (`reprovide.strategy`, `reprovide.interval`). Core's `Sweep` walks through the key space; here
// are the keys, sorted on disk, and where the walks are.

import BlockStore
import Logging
import Multiformats
import NIOCore
import NodeCore
import Peering
import Synchronization
import Wire

/// What a node announces, and how that goes.
public struct AnnouncingStatus: Sendable {
    /// What is announced.
    public internal(set) var strategy: Configuration.Reprovide.Strategy
    /// How many keys that is, as of the last look.
    public internal(set) var keys = 0
    /// How many there may be, by `mesh.announced-keys` and by the room that their list has.
    public internal(set) var limit = 0
    /// How many wait to be announced for the first time.
    public internal(set) var waiting = 0
    /// How often a key was announced since the start.
    public internal(set) var announced: UInt64 = 0
    /// When a server was last told of one; nil if none was since the start.
    public internal(set) var last: ContinuousClock.Instant?
    /// How many keys could not be announced, because no server was found.
    public internal(set) var skipped: UInt64 = 0
}

/// Announces what a node has, as long as the node runs and is in a DHT.
final class Announcer: Sendable {
    /// How many new keys may wait; what goes beyond is announced when its turn comes.
    static let maxWaiting = 4_096
    /// How many new keys are announced at a time.
    private static let simultaneous = 4
    /// How many keys are looked at in one step.
    private static let step = 1_024
    /// How long it waits to ask again whether there is a DHT to tell.
    private static let patience = Duration.seconds(5)
    /// What part of `storage.max` the list of keys may take besides.
    private static let shareOfStorage: UInt64 = 64
    /// How often the places of the walks are written down.
    private static let savingInterval = Duration.seconds(300)

    private struct State {
        var status: AnnouncingStatus
        var waiting: [CID] = []
        var known: Set<CID> = []
        var isRunning = false
        /// Makes the list of keys anew.
        var listing: Task<Void, Never>?
    }

    private let mesh: Mesh
    private let store: BlockStore
    private let keys: AnnouncedKeys
    private let positions: String
    private let settings: Configuration.Reprovide
    private let logger: Logger
    private let state: Mutex<State>
    private let wake: AsyncStream<Void>
    private let signal: AsyncStream<Void>.Continuation

    init(
        _ mesh: Mesh, _ store: BlockStore, _ repository: Repository,
        _ configuration: Configuration, _ logger: Logger
    ) throws {
        self.mesh = mesh
        self.store = store
        let settings = configuration.reprovide
        self.settings = settings
        self.logger = logger
        keys = try AnnouncedKeys(
            at: repository.announcedKeysFile,
            maxBytes: configuration.storage.maxBytes / Self.shareOfStorage)
        positions = repository.sweepsFile
        state = Mutex(State(status: AnnouncingStatus(strategy: settings.strategy)))
        (wake, signal) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// What is announced, and how that goes.
    var status: AnnouncingStatus {
        let limit = limit
        return state.withLock { state in
            var status = state.status
            status.waiting = state.waiting.count
            status.limit = limit
            return status
        }
    }

    /// How many keys may be announced now.
    private var limit: Int {
        settings.strategy == .none
            ? 0 : min(NodeLimits(mesh.settings).announcedKeys, keys.maxKeys)
    }

    // MARK: What is new

    /// Something was added or pinned: it is announced soon.
    func added(_ roots: [CID]) {
        guard settings.strategy != .none else { return }
        state.withLock { state in
            guard state.isRunning else { return }
            for root in roots
            where state.waiting.count < Self.maxWaiting && mesh.mayTell(of: root) {
                if state.known.count >= Self.maxWaiting { state.known = [] }
                if state.known.insert(root).inserted { state.waiting.append(root) }
            }
        }
        signal.yield()
    }

    /// The root of something was fetched: it is announced soon, and as long as it is kept.
    func fetched(_ root: CID) {
        guard settings.strategy != .none, state.withLock({ $0.isRunning }) else { return }
        Task {
            do {
                try await keys.noteFetched(root.hash)
            } catch {
                logger.debug("a fetched root is not noted", metadata: ["error": "\(error)"])
            }
            added([root])
        }
    }

    /// Announces what is new until the node stops.
    func announceNew() async {
        state.withLock { $0.isRunning = true }
        for await _ in wake {
            while let batch = nextBatch() {
                guard await waitForServers() else { return }
                await withTaskGroup { group in
                    for cid in batch { group.addTask { await self.announce(cid) } }
                }
            }
        }
    }

    private func nextBatch() -> [CID]? {
        state.withLock { state in
            guard !state.waiting.isEmpty else { return nil }
            let batch = Array(state.waiting.prefix(Self.simultaneous))
            state.waiting.removeFirst(batch.count)
            return batch
        }
    }

    /// Waits until somebody can be told; false if the node stops meanwhile.
    private func waitForServers() async -> Bool {
        while !Task.isCancelled {
            let all = (try? await mesh.dhtStatus()) ?? []
            if all.contains(where: { $0.peers > 0 }) { return true }
            // Cancelled is the only way in which sleeping fails.
            guard (try? await Task.sleep(for: Self.patience)) != nil else { return false }
        }
        return false
    }

    private func announce(_ cid: CID) async {
        do {
            let count = try await keys.add([cid.hash], limit: limit)
            state.withLock { $0.status.keys = count }
            // A ceiling that is reached holds for what is new, too.
            guard limit > 0, count <= limit else { return }
            let servers = try await mesh.provide(cid).stored
            note(keys: 1, servers: servers)
        } catch {
            logger.debug("announcing failed", metadata: ["cid": "\(cid)", "error": "\(error)"])
        }
    }

    /// Something happened that may be about walks.
    func take(_ note: NodeCore.Note) {
        switch note {
        case .announced(_, let keys, let servers): self.note(keys: keys, servers: servers)
        case .swept: swept()
        default: break
        }
    }

    /// So many keys were announced to so many servers.
    private func note(keys count: Int, servers: Int) {
        state.withLock { state in
            guard servers > 0 else {
                state.status.skipped += UInt64(count)
                return
            }
            state.status.announced += UInt64(count)
            state.status.last = .now
        }
    }

    // MARK: Everything, again and again

    /// Begins the walks, and writes down where they are until the node stops.
    func announceAll() async {
        do {
            try await makeList()
            try await mesh.sweep(SweepPositions(path: positions).read(), cycle: settings.interval)
        } catch {
            return logger.warning(
                "what is here is not announced again", metadata: ["error": "\(error)"])
        }
        while (try? await Task.sleep(for: Self.savingInterval)) != nil { await save() }
        await save()
    }

    private func save() async {
        do {
            try SweepPositions(path: positions).write(try await mesh.sweeps())
        } catch {
            logger.debug("the walks' places are not kept", metadata: ["error": "\(error)"])
        }
    }

    /// A walk is at its end: the next one announces what is here then.
    private func swept() {
        state.withLock { state in
            guard state.listing == nil else { return }
            state.listing = Task {
                do {
                    try await makeList()
                } catch {
                    logger.warning(
                        "the keys to announce are not listed", metadata: ["error": "\(error)"])
                }
                self.state.withLock { $0.listing = nil }
            }
        }
    }

    /// The keys of a region, for a walk.
    func keys(from: KadID, through: KadID, limit: Int) async -> [Multihash] {
        await state.withLock { $0.listing }?.value
        do {
            return try await keys.keys(from: from.bytes, through: through.bytes, limit: limit)
                .filter { mesh.mayTell(of: CID(.raw, $0)) }
        } catch {
            logger.debug("keys to announce are not read", metadata: ["error": "\(error)"])
            return []
        }
    }

    /// Makes the list of keys anew: roots first, then what the strategy adds.
    private func makeList() async throws {
        try await keys.removeAll()
        let limit = limit
        guard limit > 0 else { return }
        var count = try await keys.add(try await store.pins().map(\.cid.hash), limit: limit)
        var number: Int64 = 0
        while count < limit {
            let page = try await keys.fetched(after: number, limit: Self.step)
            guard let last = page.last else { break }
            number = last.number
            var present: [Multihash] = []
            for entry in page {
                if try await store.size(of: entry.root) != nil {
                    present.append(entry.root)
                } else {
                    try await keys.forgetFetched(entry.number)
                }
            }
            count = try await keys.add(present, limit: limit)
        }
        var last: Multihash?
        while count < limit, settings.strategy == .all || settings.strategy == .pinned {
            let page = try await store.blocks(
                after: last, limit: Self.step, onlyPinned: settings.strategy == .pinned)
            guard !page.isEmpty else { break }
            last = page.last
            count = try await keys.add(page, limit: limit)
        }
        state.withLock { [count] in $0.status.keys = count }
    }

    /// Lets go of the file. Nothing may be announced afterwards.
    func stop() {
        signal.finish()
        do {
            try keys.close()
        } catch {
            logger.debug("closing the list of keys failed", metadata: ["error": "\(error)"])
        }
    }
}
