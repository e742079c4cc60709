import Cryptography
import TestSupport
import Testing
import Wire

@Suite struct ChecksumTests {
    /// The sanity values of xxHash's own test program, for the buffer that it generates.
    @Test(
        arguments: [
            (0, 0, 0xef46_db37_51d8_e999), (0, 0x9e37_79b1, 0xac75_fda2_929b_17ef),
            (1, 0, 0xe934_a84a_db05_2768), (1, 0x9e37_79b1, 0x5014_6076_43a9_b4c3),
            (4, 0, 0x9136_a0dc_a574_57ee), (14, 0, 0x8282_dcc4_994e_35c8),
            (14, 0x9e37_79b1, 0xc3bd_6bf6_3deb_6df0), (222, 0, 0xb641_ae8c_b691_c174),
            (222, 0x9e37_79b1, 0x20cb_8ab7_ae10_c14a),
        ] as [(Int, UInt64, UInt64)])
    func xxHash(length: Int, seed: UInt64, expected: UInt64) {
        var generator: UInt64 = 2_654_435_761
        let buffer: [UInt8] = (0..<length).map { _ in
            defer { generator = generator &* 11_400_714_785_074_694_797 }
            return UInt8(truncatingIfNeeded: generator >> 56)
        }
        #expect(XXH64.hash(buffer.rawSpan, seed: seed) == expected)
    }

    /// The value that the HAMT of the UnixFS specification works through by hand, and strings
    /// whose tail is shorter and longer than one word.
    @Test(
        arguments: [
            ("", 0, 0),
            ("470.txt", 0x006e_88df, nil),
            ("hello", 0xcbd8_a7b3_41bd_9b02, 0x5b1e_906a_48ae_1d19),
            ("hello, world", 0x342f_ac62_3a5e_bc8e, 0x4cdc_bc07_9642_414d),
            (
                "The quick brown fox jumps over the lazy dog.", 0xcd99_481f_9ee9_02c9,
                0x695d_a1a3_8987_b6e7
            ),
        ] as [(String, UInt64, UInt64?)])
    func murmur3(text: String, first: UInt64, second: UInt64?) {
        let (high, low) = Murmur3.hash128x64(Array(text.utf8).rawSpan)
        guard let second else {
            #expect(high >> 32 == first)
            return
        }
        #expect((high, low) == (first, second))
    }
}
