// Content-addressable archives: a header with roots, then blocks with their CIDs
// (ipld.io/specs/transport/car/carv1).

public import Multiformats
import Wire

/// What both versions of CAR share: limits, and the parts of a version 1 stream.
public enum CAR {
    /// The longest header that is read, in bytes: some 25,000 roots.
    public static let maxHeaderBytes = 1 << 20

    /// The longest section that is read, in bytes: a CID and the largest block.
    public static let maxSectionBytes = BlockLimits.maxBytes + maxCIDBytes

    /// Version and codec as varints, and a multihash of the longest digest.
    private static let maxCIDBytes = 4 * Varint.maxLength + Multihash.maxDigestLength

    /// The header of a version 1 stream, with the varint of its length.
    public static func header(roots: [CID]) -> [UInt8] {
        // Bytes of the map {"roots": […], "version": 1}; only the roots vary.
        var content: [UInt8] = [0xa2, 0x65]
        content.append(contentsOf: "roots".utf8)
        content.appendCBORHead(4, UInt64(roots.count))
        for root in roots {
            content.append(contentsOf: [0xd8, 42])
            content.appendCBORHead(2, UInt64(root.encodedSize + 1))
            content.append(0)
            root.append(to: &content)
        }
        content.append(0x67)
        content.append(contentsOf: "version".utf8)
        content.append(1)
        var out: [UInt8] = []
        out.reserveCapacity(content.count + 3)
        out.appendVarint(UInt64(content.count))
        out.append(contentsOf: content)
        return out
    }

    /// What stands before a block's bytes: the section's length and the CID.
    public static func sectionHeader(_ cid: CID, payloadLength: Int) -> [UInt8] {
        let cidSize = cid.encodedSize
        var out: [UInt8] = []
        out.reserveCapacity(cidSize + 4)
        out.appendVarint(UInt64(cidSize + payloadLength))
        cid.append(to: &out)
        return out
    }

    /// How many bytes a block takes in a stream, with its length and CID.
    public static func sectionSize(_ cid: CID, payloadLength: Int) -> UInt64 {
        let content = UInt64(cid.encodedSize) + UInt64(payloadLength)
        return UInt64(Varint.length(of: content)) + content
    }

    /// Decodes the content of a header, without its length. Throws `unsupported` for a version
    /// other than 1.
    static func roots(inHeader content: RawSpan) throws(DecodeError) -> [CID] {
        var builder = ValueBuilder()
        var parser = CBORParser(content, .historical)
        try parser.parse(into: &builder)
        guard case .integer(let version) = builder.result["version"] else {
            throw DecodeError(.malformed, "car: the header has no version")
        }
        guard version == 1 else {
            throw DecodeError(.unsupported, "car: not a stream of version 1 or 2")
        }
        guard case .list(let elements) = builder.result["roots"] else {
            throw DecodeError(.malformed, "car: the header has no list of roots")
        }
        var roots: [CID] = []
        for element in elements {
            guard case .link(let cid) = element else {
                throw DecodeError(.malformed, "car: a root is not a CID")
            }
            roots.append(cid)
        }
        return roots
    }
}
