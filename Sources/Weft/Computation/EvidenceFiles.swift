// Proofs that peers lied, kept as files that anybody can check.

import Compute
import Glibc
import Multiformats
import Wire

/// The proofs that a node has found, each in a file of its own, named by its hash.
struct EvidenceFiles: Sendable {
    /// How many are kept, and bytes of all of them: one convicts a peer as well as many.
    private static let maxFiles = 1_000
    private static let maxBytes = 64 << 20

    private let directory: String

    init(_ directory: String) { self.directory = directory }

    /// Keeps a proof. Returns its file; nil if there are too many already.
    @discardableResult
    func keep(_ evidence: Evidence) throws(SystemError) -> String? {
        try Files.createDirectory(directory)
        let names = try Files.names(in: directory)
        let bytes = evidence.encoded
        guard names.count < Self.maxFiles, size(of: names) + bytes.count <= Self.maxBytes else {
            return nil
        }
        let name = Multihash.sha2_256(of: bytes.rawSpan).digest.prefix(12).map { byte in
            let text = String(byte, radix: 16)
            return text.count == 1 ? "0" + text : text
        }.joined()
        let path = "\(directory)/\(name).evidence"
        try SmallFile.replace(path, with: bytes)
        return path
    }

    private func size(of names: [String]) -> Int {
        names.reduce(0) { total, name in
            var status = stat()
            // What is gone by now takes no room.
            return lstat("\(directory)/\(name)", &status) == 0 ? total + Int(status.st_size) : total
        }
    }
}
