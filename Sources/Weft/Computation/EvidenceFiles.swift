// Proofs that peers lied, kept as files that anybody can check. Who is banned follows from them, so
// that a ban outlasts the process.

import Compute
import CoreFoundation
import Glibc
import Multiformats
import Wire

/// The proofs that a node has found to be true: one for each liar, in a file with the liar's name.
struct EvidenceFiles: Sendable {
    /// How many are kept, and bytes of all of them; the oldest make room.
    private static let maxFiles = 1_000
    private static let maxBytes = 64 << 20
    private static let suffix = ".evidence"

    private let directory: String

    init(_ directory: String) { self.directory = directory }

    /// Whom there is a proof against, those with the newest first.
    func accused() throws(SystemError) -> [PeerID] {
        guard access(directory, F_OK) == 0 else { return [] }
        return try entries().reversed().map { $0.peer }
    }

    /// The proof against a peer; nil if there is none that can be read.
    func evidence(against peer: PeerID) -> Evidence? {
        guard let bytes = try? SmallFile.read(path(of: peer), limit: Evidence.maxBytes),
            let evidence = try? Evidence(decoding: bytes.rawSpan), evidence.accused == peer
        else { return nil }
        return evidence
    }

    /// Keeps a proof, if it is the first against its accused, and returns its file.
    @discardableResult
    func keep(_ evidence: Evidence) throws(SystemError) -> String {
        try Files.createDirectory(directory)
        let path = path(of: evidence.accused)
        guard access(path, F_OK) != 0 else { return path }
        let bytes = evidence.encoded
        var known = try entries()
        var total = known.reduce(bytes.count) { $0 + $1.bytes }
        while !known.isEmpty, known.count >= Self.maxFiles || total > Self.maxBytes {
            let oldest = known.removeFirst()
            total -= oldest.bytes
            // What is gone already makes room as well.
            unlink(self.path(of: oldest.peer))
        }
        try SmallFile.replace(path, with: bytes)
        return path
    }

    private func path(of peer: PeerID) -> String { "\(directory)/\(peer)\(Self.suffix)" }

    /// The files, the oldest first.
    private func entries() throws(SystemError) -> [(peer: PeerID, bytes: Int)] {
        var entries: [(peer: PeerID, bytes: Int, time: timespec)] = []
        for name in try Files.names(in: directory) where name.hasSuffix(Self.suffix) {
            var status = stat()
            guard let peer = try? PeerID(text: String(name.dropLast(Self.suffix.count))),
                lstat("\(directory)/\(name)", &status) == 0
            else { continue }
            entries.append((peer, Int(status.st_size), status.st_mtim))
        }
        entries.sort { ($0.time.tv_sec, $0.time.tv_nsec) < ($1.time.tv_sec, $1.time.tv_nsec) }
        return entries.map { ($0.peer, $0.bytes) }
    }
}
