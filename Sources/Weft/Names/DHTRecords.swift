// The records of names in the DHTs (specs.ipfs.tech/ipns, routing): under `/ipns/` and the bytes of
// the name.

import Multiformats
import Synchronization

/// Looks for records of names in the DHTs. A search goes on after the first record, because a later
/// one may be newer: whoever asks next has it then.
final class DHTRecords: Sendable {
    /// How many searches may go on at once.
    private static let maxSearches = 64
    /// How long one may take.
    private static let limit = Duration.seconds(30)

    private struct State {
        var searches: [UInt64: Task<Void, Never>] = [:]
        var last: UInt64 = 0
        var isStopped = false
    }

    private let mesh: Mesh
    private let state = Mutex(State())

    init(_ mesh: Mesh) { self.mesh = mesh }

    /// The key of a name's record.
    static func key(of name: PeerID) -> [UInt8] { Array("/ipns/".utf8) + name.bytes }

    /// Looks for the records of a name. Each goes to `keep`, which says whether it counts.
    ///
    /// - Returns: whether one does, as soon as that is known.
    func find(_ name: PeerID, keep: @escaping @Sendable ([UInt8]) -> Bool) async -> Bool {
        let (first, known) = AsyncStream.makeStream(
            of: Void.self, bufferingPolicy: .bufferingOldest(1))
        begin { [mesh] in
            let (values, more) = AsyncStream.makeStream(
                of: [UInt8].self, bufferingPolicy: .bufferingNewest(8))
            async let search: Void = {
                defer { more.finish() }
                // Whatever was found until it failed has been told.
                try? await mesh.findValues(under: Self.key(of: name), within: Self.limit) {
                    more.yield($0)
                }
            }()
            for await value in values where keep(value) { known.yield() }
            known.finish()
            await search
        } refused: {
            known.finish()
        }
        for await _ in first { return true }
        return false
    }

    private func begin(
        _ body: @escaping @Sendable () async -> Void, refused: () -> Void
    ) {
        let isBegun = state.withLock { state in
            guard !state.isStopped, state.searches.count < Self.maxSearches else { return false }
            state.last += 1
            let number = state.last
            state.searches[number] = Task {
                await body()
                self.state.withLock { $0.searches[number] = nil }
            }
            return true
        }
        if !isBegun { refused() }
    }

    /// Ends all searches, and waits for their ends.
    func stop() async {
        let tasks = state.withLock { state in
            state.isStopped = true
            return Array(state.searches.values)
        }
        for task in tasks { task.cancel() }
        for task in tasks { await task.value }
    }
}
