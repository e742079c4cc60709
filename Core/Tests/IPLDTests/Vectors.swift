// The published vectors under `Vectors/`, and what all decoder tests share.

import Foundation
import IPLD
import Multiformats
import TestSupport
import Testing
import Wire

enum Vectors {
    private static let directory = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Vectors")

    /// The bytes of a file under `Vectors/`.
    static func bytes(_ path: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: directory.appending(path: path)))
    }

    /// The objects of a file under `Vectors/` that is a JSON array.
    static func objects(_ path: String) -> [[String: Any]] {
        guard let bytes = try? bytes(path),
            let array = try? JSONSerialization.jsonObject(with: Data(bytes))
        else { return [] }
        return array as? [[String: Any]] ?? []
    }

    /// The names of the files in a directory under `Vectors/` with this suffix.
    static func files(_ path: String, suffix: String) -> [String] {
        let names = try? FileManager.default.contentsOfDirectory(
            atPath: directory.appending(path: path).path)
        return (names ?? []).filter { $0.hasSuffix(suffix) }.sorted()
    }
}

/// The value of a block, for calls whose bytes are themselves the result of a call.
func decode(_ bytes: [UInt8], _ codec: Codec) throws(DecodeError) -> Value {
    try IPLDCodec.decode(bytes.rawSpan, codec: codec)
}

/// Runs `decode` on every prefix of `valid` (a sample of them when it is long), on mutations of it
/// and on noise. Reaching the end is the assertion: no input may trap.
func expectNoTrap(
    on valid: [UInt8], seed: UInt64, rounds: Int = 400, _ decode: ([UInt8]) -> Void
) {
    var noise = Noise(seed: seed)
    for length in stride(from: 0, to: valid.count, by: max(1, valid.count / 500)) {
        decode(Array(valid.prefix(length)))
    }
    for _ in 0..<rounds {
        decode(noise.mutation(of: valid))
        decode(noise.bytes(upTo: 64))
    }
}
