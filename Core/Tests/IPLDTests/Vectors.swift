// The published vectors under `Vectors/`, and the noise that all decoder tests share.

import Foundation
import IPLD
import Multiformats
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

/// Bytes of hexadecimal text; what is not hexadecimal is passed over.
func hex(_ text: String) -> [UInt8] {
    let digits = text.compactMap { $0.hexDigitValue.map(UInt8.init) }
    return stride(from: 0, to: digits.count - 1, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}

/// The value of a block, for calls whose bytes are themselves the result of a call.
func decode(_ bytes: [UInt8], _ codec: Codec) throws(DecodeError) -> Value {
    try IPLDCodec.decode(bytes.rawSpan, codec: codec)
}

/// A small seeded generator (SplitMix64), so that a failure repeats.
struct Noise: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    /// Up to `most` random bytes.
    mutating func bytes(upTo most: Int) -> [UInt8] {
        (0..<Int.random(in: 0...most, using: &self)).map { _ in .random(in: 0...255, using: &self) }
    }

    /// A copy of `valid` with a few bytes changed, dropped or put in.
    mutating func mutation(of valid: [UInt8]) -> [UInt8] {
        var bytes = valid
        for _ in 0..<Int.random(in: 1...4, using: &self) where !bytes.isEmpty {
            let place = Int.random(in: 0..<bytes.count, using: &self)
            switch Int.random(in: 0..<4, using: &self) {
            case 0: bytes[place] = .random(in: 0...255, using: &self)
            case 1: bytes.remove(at: place)
            case 2: bytes.insert(.random(in: 0...255, using: &self), at: place)
            default: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &self)
            }
        }
        return bytes
    }
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
