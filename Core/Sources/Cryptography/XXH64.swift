/// The 64-bit xxHash (github.com/Cyan4973/xxHash, doc/xxhash_spec.md): a fast checksum against
/// accidents, not against forgery.
public enum XXH64 {
    private static let prime1: UInt64 = 0x9e37_79b1_85eb_ca87
    private static let prime2: UInt64 = 0xc2b2_ae3d_27d4_eb4f
    private static let prime3: UInt64 = 0x1656_67b1_9e37_79f9
    private static let prime4: UInt64 = 0x85eb_ca77_c2b2_ae63
    private static let prime5: UInt64 = 0x27d4_eb2f_1656_67c5

    /// The checksum of `bytes`; another seed gives an independent one.
    public static func hash(_ bytes: RawSpan, seed: UInt64 = 0) -> UInt64 {
        let count = bytes.byteCount
        var offset = 0
        var sum: UInt64
        if count >= 32 {
            var a = seed &+ prime1 &+ prime2
            var b = seed &+ prime2
            var c = seed
            var d = seed &- prime1
            while count - offset >= 32 {
                let words = bytes.fourWords(at: offset)
                a = round(a, UInt64(littleEndian: words[0]))
                b = round(b, UInt64(littleEndian: words[1]))
                c = round(c, UInt64(littleEndian: words[2]))
                d = round(d, UInt64(littleEndian: words[3]))
                offset += 32
            }
            sum = a.rotatedLeft(1) &+ b.rotatedLeft(7) &+ c.rotatedLeft(12) &+ d.rotatedLeft(18)
            sum = merge(merge(merge(merge(sum, a), b), c), d)
        } else {
            sum = seed &+ prime5
        }
        sum &+= UInt64(count)
        while count - offset >= 8 {
            sum ^= round(0, bytes.littleEndian64(at: offset))
            sum = sum.rotatedLeft(27) &* prime1 &+ prime4
            offset += 8
        }
        if count - offset >= 4 {
            sum ^= UInt64(bytes.littleEndian32(at: offset)) &* prime1
            sum = sum.rotatedLeft(23) &* prime2 &+ prime3
            offset += 4
        }
        while offset < count {
            sum ^= UInt64(bytes.byte(at: offset)) &* prime5
            sum = sum.rotatedLeft(11) &* prime1
            offset += 1
        }
        return avalanche(sum)
    }

    @inline(__always)
    private static func round(_ lane: UInt64, _ input: UInt64) -> UInt64 {
        (lane &+ input &* prime2).rotatedLeft(31) &* prime1
    }

    @inline(__always)
    private static func merge(_ sum: UInt64, _ lane: UInt64) -> UInt64 {
        (sum ^ round(0, lane)) &* prime1 &+ prime4
    }

    private static func avalanche(_ value: UInt64) -> UInt64 {
        var sum = value
        sum = (sum ^ (sum &>> 33)) &* prime2
        sum = (sum ^ (sum &>> 29)) &* prime3
        return sum ^ (sum &>> 32)
    }
}
