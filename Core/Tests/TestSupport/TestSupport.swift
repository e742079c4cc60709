// What the tests of several targets share: the tables under `Vectors/`, hexadecimal text, and
// noise that repeats.

import Foundation
import Wire

/// The rows of a comma-separated file under `Vectors/`, without the comment lines.
public func rows(of name: String) -> [[String]] {
    let file = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Vectors/\(name)")
    // A missing file gives no rows, which each suite refuses by counting them.
    guard let text = try? String(contentsOf: file, encoding: .utf8) else { return [] }
    return text.split(separator: "\n").filter { !$0.hasPrefix("#") }.map {
        $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    }
}

/// The bytes of hexadecimal text; what is not hexadecimal is passed over.
public func hex(_ text: String) -> [UInt8] {
    let digits = text.compactMap { $0.hexDigitValue.map(UInt8.init) }
    return stride(from: 0, to: digits.count - 1, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}

/// Hexadecimal text of bytes.
public func hex(_ bytes: [UInt8]) -> String {
    bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
}

/// The message of `length` bytes that the hash vectors use.
public func countingMessage(_ length: Int) -> [UInt8] {
    (0..<length).map { UInt8($0 % 251) }
}

/// A generator of random bytes and changes, seeded, so that a failure repeats.
public struct Noise: RandomNumberGenerator {
    private var generator: SeededGenerator

    public init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    public mutating func next() -> UInt64 { generator.next() }

    /// Up to `most` random bytes.
    public mutating func bytes(upTo most: Int) -> [UInt8] {
        (0..<Int.random(in: 0...most, using: &self)).map { _ in .random(in: 0...255, using: &self) }
    }

    /// A copy of `valid` with a few bytes changed, dropped or put in.
    public mutating func mutation(of valid: [UInt8]) -> [UInt8] {
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
