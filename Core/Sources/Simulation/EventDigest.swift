import Wire

/// A running digest of everything that has happened, by which two runs are found to be the same.
/// Not for secrets.
struct EventDigest: Sendable {
    private var one: UInt64 = 0x9e37_79b9_7f4a_7c15
    private var two: UInt64 = 0xd1b5_4a32_d192_ed03

    mutating func add(_ word: UInt64) {
        one = (one ^ word) &* 0xff51_afd7_ed55_8ccd
        one ^= one &>> 32
        two = (two &+ word) &* 0xc4ce_b9fe_1a85_ec53
        two ^= two &>> 29
    }

    mutating func add(_ bytes: [UInt8]) {
        add(UInt64(bytes.count))
        var word: UInt64 = 0
        // Without generic code, which takes half of the time of tests that are not optimised.
        var index = 0
        while index < bytes.count {
            word = word &<< 8 | UInt64(bytes[index])
            index += 1
            if index & 7 == 0 {
                add(word)
                word = 0
            }
        }
        add(word)
    }

    /// 128 bits in hexadecimal.
    var text: String { Self.hexadecimal(one) + Self.hexadecimal(two) }

    private static func hexadecimal(_ word: UInt64) -> String {
        let digits = String(word, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }
}
