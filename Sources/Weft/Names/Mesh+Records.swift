// IPNS records between peers (libp2p's fetch protocol): this node gives those that it knows and
// that are valid, and asks peers when it resolves a name.

import IPLD
import Multiformats
import NIOCore
import NIOPosix
import NodeCore
import Peering
import Synchronization

extension Mesh {
    /// How many peers are asked for the record of a name.
    static let recordPeers = 8
    private static let recordLimit = Duration.seconds(10)

    /// Gives peers the records that are kept here.
    func serve(_ records: NameRecords) { nameRecords.withLock { $0 = records } }

    /// The connected peers that may be asked for records, the nearest first.
    func recordHolders() async -> [PeerID] {
        // A node that stops has no peers.
        let all = (try? await peers()) ?? []
        // Of some it is not known yet what they speak.
        return all.filter {
            $0.protocols.isEmpty || $0.protocols.contains(PeerProtocols.fetch)
        }
        .sorted { ($0.roundTrip ?? .seconds(60)) < ($1.roundTrip ?? .seconds(60)) }
        .prefix(Self.recordPeers).map(\.peer)
    }

    /// Asks a connected peer for the record of a name, which is to be checked; nil if it has none.
    func record(of name: PeerID, from peer: PeerID) async throws -> [UInt8]? {
        switch try await ask(.fetchRecord(peer, of: name), within: Self.recordLimit) {
        case .record(let record): return record
        case .failed(let failure): throw MeshError.failed(peer, failure)
        default: return nil
        }
    }

    /// Answers a peer's question. The file is read on a thread of its own.
    func lookUpRecord(_ number: UInt64, of name: PeerID) {
        let records = nameRecords.withLock { $0 }
        let read = NIOThreadPool.singleton.runIfActive(eventLoop: eventLoop) { () -> [UInt8]? in
            guard let record = try records?.record(of: name) else { return nil }
            try record.validate(for: name, at: NameResolver.systemTime())
            return record.encoded
        }
        read.whenComplete { [self] result in
            // What cannot be read, or has run out, is as good as not there.
            receive([.record(number, (try? result.get()) ?? nil)])
        }
    }
}
