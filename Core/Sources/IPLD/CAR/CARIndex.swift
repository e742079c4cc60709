// The index of a version 2 archive: digests in order, each with the place of its section
// (ipld.io/specs/transport/car/carv2, "Index format"). Where the specification says that a bucket
// has a "count", deployed writers put its length in bytes, and so does this.

public import Multiformats
public import Wire

/// A sorted index, as it lies in a file: it keeps where the buckets are, not their entries.
public struct CARIndex: Sendable {
    /// The layouts of an index, by their multicodec numbers.
    public enum Format: UInt64, Sendable {
        /// Digests of any function together.
        case sorted = 0x0400
        /// Digests grouped by function.
        case multihashSorted = 0x0401
    }

    /// A block and where its section starts, in bytes from the start of the version 1 stream.
    public struct Entry: Hashable, Sendable {
        /// What the block hashes to.
        public let hash: Multihash
        /// Where the section starts.
        public let offset: UInt64

        /// Creates an entry.
        public init(_ hash: Multihash, offset: UInt64) {
            self.hash = hash
            self.offset = offset
        }
    }

    /// Entries of one width: digest, then offset.
    private struct Bucket {
        /// Nil where the format does not tell functions apart.
        let code: HashCode?
        let digestLength: Int
        let start: Int
        let count: Int
    }

    /// How the index is laid out.
    public let format: Format
    private var buckets: [Bucket] = []

    /// Reads the layout of an index that fills `bytes`. Its entries are not looked at.
    public init(decoding bytes: RawSpan) throws(DecodeError) {
        var reader = ByteReader(bytes)
        guard let format = Format(rawValue: try reader.readVarint()) else {
            throw DecodeError(.unsupported, "car: an index of unknown format")
        }
        self.format = format
        switch format {
        case .sorted: try Self.readWidths(from: &reader, code: nil, into: &buckets)
        case .multihashSorted:
            let codes: UInt32 = try reader.readLittleEndian()
            for _ in 0..<codes {
                let code = HashCode(rawValue: try reader.readLittleEndian())
                try Self.readWidths(from: &reader, code: code, into: &buckets)
            }
        }
    }

    private static func readWidths(
        from reader: inout ByteReader, code: HashCode?, into buckets: inout [Bucket]
    ) throws(DecodeError) {
        let widths: UInt32 = try reader.readLittleEndian()
        for _ in 0..<widths {
            let start = reader.offset
            let width: UInt32 = try reader.readLittleEndian()
            let length: UInt64 = try reader.readLittleEndian()
            guard width >= 8, width <= 8 + UInt32(Multihash.maxDigestLength) else {
                throw DecodeError(.malformed, "car: an index has an impossible width", at: start)
            }
            guard length <= UInt64(reader.remaining) else {
                throw DecodeError(.truncated, "car: an index ends within a bucket", at: start)
            }
            guard length % UInt64(width) == 0 else {
                throw DecodeError(.malformed, "car: an index has half an entry", at: start)
            }
            buckets.append(
                Bucket(
                    code: code, digestLength: Int(width) - 8, start: reader.offset,
                    count: Int(length) / Int(width)))
            try reader.skip(Int(length))
        }
    }

    /// How many entries there are.
    public var count: Int {
        buckets.reduce(0) { $0 + $1.count }
    }

    /// Where the section of the block with this hash starts, in the index that lies at `bytes`;
    /// nil if it is not listed. Takes logarithmic time. In the ``Format/sorted`` format another
    /// hash function may have made the digest, so the section must be checked.
    public func offset(of hash: Multihash, in bytes: RawSpan) -> UInt64? {
        for bucket in buckets {
            guard bucket.digestLength == hash.digest.count, bucket.code ?? hash.code == hash.code
            else { continue }
            if let offset = Self.find(hash.digest, in: bucket, of: bytes) { return offset }
        }
        return nil
    }

    private static func find(
        _ digest: [UInt8], in bucket: Bucket, of bytes: RawSpan
    ) -> UInt64? {
        let width = digest.count + 8
        guard bucket.start + bucket.count * width <= bytes.byteCount else { return nil }
        var low = 0
        var high = bucket.count
        while low < high {
            let middle = low + (high - low) / 2
            let start = bucket.start + middle * width
            switch compare(digest, bytes, at: start) {
            case 0:
                var reader = ByteReader(
                    bytes.extracting((start + digest.count)..<(start + width)))
                // Eight bytes are there.
                return try? reader.readLittleEndian()
            case ..<0: high = middle
            default: low = middle + 1
            }
        }
        return nil
    }

    /// Below zero if `digest` comes before the bytes at `start`, zero if they are equal.
    private static func compare(_ digest: [UInt8], _ bytes: RawSpan, at start: Int) -> Int {
        for index in digest.indices {
            let other = bytes.byte(at: start + index)
            if digest[index] != other { return digest[index] < other ? -1 : 1 }
        }
        return 0
    }
}

extension CARIndex {
    /// The bytes of an index of `entries`, in any order. Leave out identity hashes unless the
    /// header says that the index is full.
    public static func encode(_ entries: [Entry], as format: Format) -> [UInt8] {
        let sorted = entries.sorted { precedes($0, $1, format) }
        var out: [UInt8] = []
        out.appendVarint(format.rawValue)
        switch format {
        case .sorted: appendWidths(sorted[...], to: &out)
        case .multihashSorted:
            let groups = sorted.runs { $0.hash.code == $1.hash.code }
            out.appendLittleEndian(UInt32(groups.count))
            for group in groups {
                out.appendLittleEndian(sorted[group.lowerBound].hash.code.rawValue)
                appendWidths(sorted[group], to: &out)
            }
        }
        return out
    }

    private static func precedes(_ left: Entry, _ right: Entry, _ format: Format) -> Bool {
        if format == .multihashSorted, left.hash.code != right.hash.code {
            return left.hash.code.rawValue < right.hash.code.rawValue
        }
        let leftDigest = left.hash.digest
        let rightDigest = right.hash.digest
        if leftDigest.count != rightDigest.count { return leftDigest.count < rightDigest.count }
        if leftDigest == rightDigest { return left.offset < right.offset }
        return leftDigest.lexicographicallyPrecedes(rightDigest)
    }

    private static func appendWidths(_ entries: ArraySlice<Entry>, to out: inout [UInt8]) {
        let groups = entries.runs { $0.hash.digest.count == $1.hash.digest.count }
        out.appendLittleEndian(UInt32(groups.count))
        for group in groups {
            let width = entries[group.lowerBound].hash.digest.count + 8
            out.appendLittleEndian(UInt32(width))
            out.appendLittleEndian(UInt64(width * group.count))
            for entry in entries[group] {
                out.append(contentsOf: entry.hash.digest)
                out.appendLittleEndian(entry.offset)
            }
        }
    }
}

extension RandomAccessCollection where Index == Int {
    /// The ranges of neighbours that belong together.
    fileprivate func runs(_ belongTogether: (Element, Element) -> Bool) -> [Range<Int>] {
        var runs: [Range<Int>] = []
        var start = startIndex
        for index in indices.dropFirst() where !belongTogether(self[index - 1], self[index]) {
            runs.append(start..<index)
            start = index
        }
        if start < endIndex { runs.append(start..<endIndex) }
        return runs
    }
}
