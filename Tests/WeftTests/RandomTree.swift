// Trees of files made from a seed, and what a tree on disk looks like.

import Foundation
import Wire

@testable import Weft

/// What lies at a path.
enum TreeEntry: Equatable {
    case file([UInt8])
    case folder
    case link(String)
}

enum RandomTree {
    /// What all the paths below a folder hold; links are not followed.
    static func read(_ folder: String) throws -> [String: TreeEntry] {
        var tree: [String: TreeEntry] = [:]
        func visit(_ path: String) throws {
            for name in try Files.names(in: path.isEmpty ? folder : folder + "/" + path) {
                let inner = path.isEmpty ? name : path + "/" + name
                let full = folder + "/" + inner
                let type = try FileManager.default.attributesOfItem(atPath: full)[.type]
                switch type as? FileAttributeType {
                case .typeDirectory:
                    tree[inner] = .folder
                    try visit(inner)
                case .typeSymbolicLink:
                    let target = try FileManager.default.destinationOfSymbolicLink(atPath: full)
                    tree[inner] = .link(target)
                default:
                    tree[inner] = .file([UInt8](try Data(contentsOf: URL(fileURLWithPath: full))))
                }
            }
        }
        try visit("")
        return tree
    }

    /// Writes a tree with files of all sizes around those that matter, links that lead anywhere,
    /// empty folders, deep ones, and names of many kinds.
    static func write(_ folder: String, seed: UInt64, pieceSize: Int) throws {
        var random = SeededGenerator(seed: seed)
        let sizes = [0, 1, 100, pieceSize - 1, pieceSize, pieceSize + 1, 5 * pieceSize + 7]
        let names = [
            "a", "b c", "größe", "x'\"\\", "-n", "日本", "z" + String(repeating: "y", count: 200),
        ]
        let pattern = (0..<(sizes.max()! + names.count)).map {
            UInt8(truncatingIfNeeded: ($0 >> 8) &+ $0 &* 31)
        }
        func fill(_ path: String, depth: Int) throws {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true)
            for (index, name) in names.enumerated() {
                let full = path + "/" + name
                switch Int.random(in: 0..<7, using: &random) {
                case 0: continue
                case 1 where depth < 3, 2 where depth < 3:
                    try fill(full, depth: depth + 1)
                case 3:
                    let target = ["a", "../../..", "/etc/passwd", "nowhere"].randomElement(
                        using: &random)!
                    try FileManager.default.createSymbolicLink(
                        atPath: full, withDestinationPath: target)
                default:
                    let size = sizes.randomElement(using: &random)!
                    // Parts of one pattern: enough to tell pieces apart, and made once.
                    let bytes = pattern[index..<(index + size)]
                    try Data(bytes).write(to: URL(fileURLWithPath: full))
                }
            }
        }
        try fill(folder, depth: 0)
        try FileManager.default.createDirectory(
            atPath: folder + "/empty", withIntermediateDirectories: true)
    }
}
