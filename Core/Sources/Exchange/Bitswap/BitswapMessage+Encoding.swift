// The wire form of what is sent. The field numbers are those of the specification's protobufs.

public import Multiformats
import Wire

extension BitswapMessage {
    /// The wire form of everything but blocks, as a peer of this version understands it. What an
    /// older version cannot say is left out; a peer that has no want-have is asked for no block in
    /// its place.
    public func encoded(_ version: BitswapVersion) -> [UInt8] {
        var out: [UInt8] = []
        if !wants.isEmpty || isFull {
            var list: [UInt8] = []
            list.reserveCapacity(wants.count * 50 + 2)
            for want in wants where want.kind != .have || version >= .v1_2_0 {
                Self.append(want, to: &list, version)
            }
            if isFull { list.appendField(2, varint: 1) }
            out.appendField(1, bytes: list)
        }
        guard version >= .v1_2_0 else { return out }
        for presence in presences {
            let cid = presence.cid.bytes
            var entry: [UInt8] = []
            entry.reserveCapacity(cid.count + 5)
            entry.appendField(1, bytes: cid)
            if presence.kind == .dontHave { entry.appendField(2, varint: 1) }
            out.appendField(4, bytes: entry)
        }
        if pendingBytes > 0 { out.appendField(5, varint: UInt64(pendingBytes)) }
        return out
    }

    private static func append(_ want: Want, to list: inout [UInt8], _ version: BitswapVersion) {
        let cid = version == .v1_0_0 ? want.cid.hash.bytes : want.cid.bytes
        var entry: [UInt8] = []
        entry.reserveCapacity(cid.count + 12)
        entry.appendField(1, bytes: cid)
        if want.priority != 0 {
            // A negative int32 is written as the 64-bit number of the same value.
            entry.appendField(2, varint: UInt64(bitPattern: Int64(want.priority)))
        }
        if want.kind == .cancel { entry.appendField(3, varint: 1) }
        if version >= .v1_2_0 {
            if want.kind == .have { entry.appendField(4, varint: 1) }
            if want.absence == .answer { entry.appendField(5, varint: 1) }
        }
        list.appendField(1, bytes: entry)
    }

    /// What stands before a block's bytes in a message: in version 1.0.0 its length, later also
    /// the prefix of the CID as it was asked for. Deployed clients compare whole CIDs.
    public static func blockHeader(
        _ cid: CID, byteCount: Int, _ version: BitswapVersion
    ) -> [UInt8] {
        var out: [UInt8] = []
        guard version > .v1_0_0 else {
            out.appendVarint(2 << 3 | 2)
            out.appendVarint(UInt64(byteCount))
            return out
        }
        var inner: [UInt8] = []
        inner.reserveCapacity(20)
        inner.appendField(1, bytes: CIDPrefix(cid).bytes)
        inner.appendVarint(2 << 3 | 2)
        inner.appendVarint(UInt64(byteCount))
        out.reserveCapacity(inner.count + 5)
        out.appendVarint(3 << 3 | 2)
        out.appendVarint(UInt64(inner.count + byteCount))
        out.append(contentsOf: inner)
        return out
    }

    /// The most bytes that a block takes in a message, with its header.
    static let maxBlockOverhead = 24

    /// Whether a peer of this version can name a block at all.
    static func canName(_ cid: CID, _ version: BitswapVersion) -> Bool {
        version > .v1_0_0 || (cid.hash.code == .sha2_256 && cid.hash.digest.count == 32)
    }
}
