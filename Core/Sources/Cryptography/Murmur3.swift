/// The 128-bit MurmurHash3 for 64-bit machines (MurmurHash3_x64_128, seed 0). UnixFS spreads the
/// entries of large directories by it; it is no defence against chosen names.
public enum Murmur3 {
    private static let factor1: UInt64 = 0x87c3_7b91_1142_53d5
    private static let factor2: UInt64 = 0x4cf5_ad43_2745_937f

    /// The two halves of the hash of `bytes`.
    public static func hash128x64(_ bytes: RawSpan) -> (UInt64, UInt64) {
        let count = bytes.byteCount
        var (h1, h2): (UInt64, UInt64) = (0, 0)
        var offset = 0
        while count - offset >= 16 {
            h1 ^= mix1(bytes.littleEndian64(at: offset))
            h1 = (h1.rotatedLeft(27) &+ h2) &* 5 &+ 0x52dc_e729
            h2 ^= mix2(bytes.littleEndian64(at: offset + 8))
            h2 = (h2.rotatedLeft(31) &+ h1) &* 5 &+ 0x3849_5ab5
            offset += 16
        }
        var (tail1, tail2): (UInt64, UInt64) = (0, 0)
        for index in offset..<count {
            let byte = UInt64(bytes.byte(at: index))
            let place = index - offset
            if place < 8 {
                tail1 |= byte &<< UInt64(8 * place)
            } else {
                tail2 |= byte &<< UInt64(8 * (place - 8))
            }
        }
        h2 ^= mix2(tail2)
        h1 ^= mix1(tail1)
        h1 ^= UInt64(count)
        h2 ^= UInt64(count)
        h1 &+= h2
        h2 &+= h1
        h1 = finish(h1)
        h2 = finish(h2)
        h1 &+= h2
        h2 &+= h1
        return (h1, h2)
    }

    @inline(__always)
    private static func mix1(_ k: UInt64) -> UInt64 {
        (k &* factor1).rotatedLeft(31) &* factor2
    }

    @inline(__always)
    private static func mix2(_ k: UInt64) -> UInt64 {
        (k &* factor2).rotatedLeft(33) &* factor1
    }

    private static func finish(_ value: UInt64) -> UInt64 {
        var k = value
        k = (k ^ (k &>> 33)) &* 0xff51_afd7_ed55_8ccd
        k = (k ^ (k &>> 33)) &* 0xc4ce_b9fe_1a85_ec53
        return k ^ (k &>> 33)
    }
}
