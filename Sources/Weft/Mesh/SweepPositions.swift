// Where the walks are that announce all keys, in a file of the repository, so that a node that
// starts again goes on.

import Multiformats
import Peering
import Wire

/// A file with a line for each walk: the DHT, the place in hexadecimal digits, and when the walk
/// began, in seconds since 1970.
struct SweepPositions {
    let path: String

    /// The walks of the public and the local DHT; those that are not in the file begin now.
    func read() throws -> [(name: ProtocolName, position: Sweep.Position)] {
        let text = try SmallFile.read(path, limit: 4_096) ?? []
        var found: [ProtocolName: Sweep.Position] = [:]
        for line in String(decoding: text, as: UTF8.self).split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count == 3, let place = UInt64(words[1], radix: 16),
                let start = Int64(words[2])
            else { continue }
            let elapsed = max(0, NameResolver.systemTime().seconds - start)
            found[ProtocolName(utf8: Array(words[0].utf8))] = Sweep.Position(
                place: place, elapsed: .seconds(elapsed))
        }
        return [PeerProtocols.kad, PeerProtocols.lanKad].map {
            ($0, found[$0] ?? Sweep.Position(place: 0, elapsed: .zero))
        }
    }

    /// Replaces the file.
    func write(_ walks: [(name: ProtocolName, position: Sweep.Position)]) throws {
        guard !walks.isEmpty else { return }
        let now = NameResolver.systemTime().seconds
        let lines = walks.map { walk in
            let start = now - walk.position.elapsed.components.seconds
            return "\(walk.name) \(String(walk.position.place, radix: 16)) \(start)\n"
        }
        try SmallFile.replace(path, with: Array(lines.joined().utf8))
    }
}
