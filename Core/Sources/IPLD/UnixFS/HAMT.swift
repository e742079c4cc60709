// What writers and readers of sharded directories agree on: how a name's hash chooses a bucket on
// each level, and how a bucket is spelled in a link's name (specs.ipfs.tech/unixfs, HAMTDirectory;
// where its prose and Kubo differ, Kubo's bytes decide).

import Cryptography
import Multiformats
import Wire

/// How many buckets each shard of a directory has.
public struct Fanout: Hashable, Sendable {
    /// What everyone writes.
    public static let `default` = Fanout(bits: 8)

    /// How many bits of a name's hash choose a bucket: 3 to 10.
    let bits: Int

    private init(bits: Int) {
        self.bits = bits
    }

    /// A fan-out of `buckets`; nil unless it is a power of two from 8 to 1024.
    public init?(_ buckets: UInt64) {
        guard buckets.nonzeroBitCount == 1, (8...1024).contains(buckets) else { return nil }
        bits = buckets.trailingZeroBitCount
    }

    /// How many buckets there are.
    public var buckets: Int { 1 << bits }

    /// How many hexadecimal digits name a bucket.
    var digits: Int { (bits + 3) / 4 }

    /// How many levels of shards a name's hash has bits for.
    var levels: Int { 64 / bits }

    /// The bucket of `hash` on a level, the root being 0.
    func bucket(of hash: UInt64, level: Int) -> Int {
        Int(truncatingIfNeeded: hash >> UInt64(64 - bits * (level + 1))) & (buckets - 1)
    }

    /// A bucket as a link's name starts: upper-case hexadecimal digits.
    func prefix(of bucket: Int) -> [UInt8] {
        var out: [UInt8] = []
        for digit in stride(from: digits - 1, through: 0, by: -1) {
            let nibble = UInt8(bucket >> (4 * digit) & 15)
            out.append(nibble < 10 ? UInt8(ascii: "0") + nibble : UInt8(ascii: "A") + nibble - 10)
        }
        return out
    }

    /// The bucket that a link's name starts with; nil if it starts with none.
    func bucket(prefixOf name: [UInt8]) -> Int? {
        guard name.count >= digits else { return nil }
        var bucket = 0
        for byte in name.prefix(digits) {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                bucket = bucket << 4 | Int(byte - UInt8(ascii: "0"))
            case UInt8(ascii: "A")...UInt8(ascii: "F"):
                bucket = bucket << 4 | Int(byte - UInt8(ascii: "A") + 10)
            default: return nil
            }
        }
        return bucket < buckets ? bucket : nil
    }
}

/// Names the hash of sharded directories.
enum HAMT {
    /// The multicodec number of murmur3-x64-64.
    static let hashType: UInt64 = 0x22

    /// What a name's buckets are read from, the most significant bits first.
    static func hash(_ name: [UInt8]) -> UInt64 {
        Murmur3.hash128x64(name.rawSpan).0
    }
}

/// One shard of a directory, checked.
struct HAMTShard {
    /// What stands in a bucket.
    enum Item {
        case entry(DirectoryEntry)
        case shard(CID)
    }

    /// Where in the directory a shard stands.
    struct Place: Hashable, Sendable {
        /// How many shards are above it.
        let level: Int
        /// The buckets above it, as the first bits of a name's hash, right-aligned.
        let path: UInt64
        /// What the root says; nil in the root itself.
        let fanout: Fanout?

        static let root = Place(level: 0, path: 0, fanout: nil)

        /// Where the shard in a bucket of the shard here stands.
        func below(_ bucket: Int, _ fanout: Fanout) -> Place {
            Place(
                level: level + 1, path: path << UInt64(fanout.bits) | UInt64(bucket),
                fanout: fanout)
        }
    }

    let fanout: Fanout
    let place: Place
    /// The occupied buckets in ascending order.
    let buckets: [(bucket: Int, item: Item)]

    /// Checks a shard: the fan-out, the hash, the bitfield against the links, their order and, of
    /// every name, whether its hash leads here.
    init(_ block: UnixFSBlock, of bytes: RawSpan, at place: Place) throws(DecodeError) {
        let fanout = try Self.fanout(of: block.node, at: place)
        self.fanout = fanout
        self.place = place
        let occupied = try Self.occupied(block, of: bytes, fanout: fanout)
        guard occupied.count == block.links.count else {
            throw DecodeError(.malformed, "HAMT: the bitfield does not match the links")
        }
        var buckets: [(bucket: Int, item: Item)] = []
        buckets.reserveCapacity(occupied.count)
        for (bucket, link) in zip(occupied, block.links) {
            let name = link.name ?? []
            guard fanout.bucket(prefixOf: name) == bucket else {
                throw DecodeError(.malformed, "HAMT: a link does not name its bucket")
            }
            if name.count == fanout.digits {
                buckets.append((bucket, .shard(link.hash)))
                continue
            }
            let entry = DirectoryEntry(
                name: [UInt8](name[fanout.digits...]), cid: link.hash, tsize: link.tsize)
            let used = UInt64(fanout.bits * (place.level + 1))
            let path = place.path << UInt64(fanout.bits) | UInt64(bucket)
            guard HAMT.hash(entry.name) >> (64 - used) == path else {
                throw DecodeError(.malformed, "HAMT: a name is in a bucket that is not its own")
            }
            buckets.append((bucket, .entry(entry)))
        }
        self.buckets = buckets
    }

    /// The fan-out of a shard, which must be the same in the whole directory.
    static func fanout(of node: UnixFSNode, at place: Place) throws(DecodeError) -> Fanout {
        guard node.hashType == HAMT.hashType else {
            throw DecodeError(.unsupported, "HAMT: the hash of names is not murmur3-x64-64")
        }
        guard let size = node.fanout, let fanout = Fanout(size) else {
            throw DecodeError(.malformed, "HAMT: the fan-out is not a power of two, 8 to 1024")
        }
        guard place.fanout == nil || place.fanout == fanout else {
            throw DecodeError(.malformed, "HAMT: the fan-out differs from the root's")
        }
        guard place.level < fanout.levels else {
            throw DecodeError(.overLimit, "HAMT: deeper than a hash has bits")
        }
        return fanout
    }

    /// Where the shard in a bucket stands.
    func place(below bucket: Int) -> Place {
        place.below(bucket, fanout)
    }

    /// The buckets whose bits are set: the last bit of the last byte is bucket 0, and zero bytes
    /// at the start are left out.
    private static func occupied(
        _ block: UnixFSBlock, of bytes: RawSpan, fanout: Fanout
    ) throws(DecodeError) -> [Int] {
        let range = block.contentRange ?? 0..<0
        guard range.count <= fanout.buckets / 8 else {
            throw DecodeError(
                .malformed, "HAMT: the bitfield is longer than the fan-out", at: range.lowerBound)
        }
        let field = [UInt8](bytes.extracting(range))
        var occupied: [Int] = []
        for index in 0..<(field.count * 8)
        where field[field.count - 1 - index / 8] >> UInt8(index % 8) & 1 == 1 {
            occupied.append(index)
        }
        return occupied
    }
}
