import Cryptography
import Testing
import Wire

@Suite struct HashTests {
    @Test func empty() {
        #expect(BLAKE3.hash([UInt8]().rawSpan).prefix(4) == [0xaf, 0x13, 0x49, 0xb9])
        #expect(XXH64.hash([UInt8]().rawSpan) == 0xef46_db37_51d8_e999)
        #expect(SHA256.hash([UInt8]().rawSpan).prefix(4) == [0xe3, 0xb0, 0xc4, 0x42])
    }
}
