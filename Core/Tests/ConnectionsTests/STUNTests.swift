// STUN messages: the vectors of RFC 5769, what is refused, and that noise never crashes.

import Multiformats
import TestSupport
import Testing
import Wire

@testable import Connections

extension STUNMessage {
    init(_ bytes: [UInt8]) throws { try self.init(decoding: bytes.rawSpan) }

    func isAuthentic(_ bytes: [UInt8], key: [UInt8]) -> Bool {
        isAuthentic(bytes.rawSpan, key: key.rawSpan)
    }
}

@Suite struct STUNTests {
    private static let transaction = "b7e7a701bc34d686fa87dfae"
    private static let key = Array("VOkJxbRl1RmTxUk/WvJxBt".utf8)

    @Test("the sample request of RFC 5769 is read, and its code is right")
    func request() throws {
        let message = hex(
            "000100582112a442" + Self.transaction
                + "802200105354554e207465737420636c69656e74" + "002400046e0001ff"
                + "80290008932ff9b151263b36" + "000600096576746a3a68367659202020"
                + "000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2" + "80280004e57a3bcf")
        let read = try STUNMessage(message)
        #expect(read.kind == .request)
        #expect(read.transaction == hex(Self.transaction))
        #expect(read.username == Array("evtj:h6vY".utf8))
        #expect(!read.isUnclear && !read.isNomination)
        #expect(read.isAuthentic(message, key: Self.key))
        #expect(!read.isAuthentic(message, key: Array(Self.key.dropLast())))
    }

    @Test(
        "the sample answers of RFC 5769 are read, and their codes are right",
        arguments: [
            (
                "0101003c2112a442\(transaction)8022000b7465737420766563746f7220"
                    + "002000080001a147e112a643"
                    + "000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96",
                [192, 0, 2, 1] as [UInt8]
            ),
            (
                "010100482112a442\(transaction)8022000b7465737420766563746f7220"
                    + "002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9"
                    + "00080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c",
                [
                    0x20, 0x01, 0x0d, 0xb8, 0x12, 0x34, 0x56, 0x78, 0, 0x11, 0x22, 0x33, 0x44,
                    0x55, 0x66, 0x77,
                ]
            ),
        ])
    func answers(text: String, ip: [UInt8]) throws {
        let message = hex(text)
        let read = try STUNMessage(message)
        #expect(read.kind == .success)
        let address = UDPAddress(ip: ip.rawSpan, port: 32853)
        #expect(read.mappedAddress == address)
        #expect(read.mappedAddress?.ip == ip)
        #expect(read.isAuthentic(message, key: Self.key))
    }

    private static func sample(key: [UInt8]? = key, _ extra: [(UInt16, Int)] = []) -> [UInt8] {
        var writer = STUNWriter(.request, transaction: [UInt8](repeating: 7, count: 12))
        writer.add(username: Array("abcd:efgh".utf8))
        writer.add(priority: 77, isNomination: true)
        for (type, count) in extra { writer.add(type, [UInt8](repeating: 1, count: count)) }
        return writer.finish(key: key)
    }

    @Test("what is written is read again, also with more in it than is known")
    func roundTrip() throws {
        // The second is as long as what a browser sends that puts DTLS into its checks.
        for message in [Self.sample(), Self.sample([(0xc057, 4), (0xc070, 901), (0x802a, 8)])] {
            let read = try STUNMessage(message)
            #expect(read.isNomination && !read.isUnclear)
            #expect(read.isAuthentic(message, key: Self.key))
        }
        let unclear = Self.sample([(0x7ffe, 3)])
        #expect(try STUNMessage(unclear).isUnclear)
        let unsigned = Self.sample(key: nil)
        #expect(
            try !STUNMessage(unsigned)
                .isAuthentic(unsigned, key: Self.key))
    }

    /// Whether a message is taken for one by the holder of the key.
    private static func isBelieved(_ message: [UInt8]) -> Bool {
        guard let read = try? STUNMessage(message) else { return false }
        return read.isAuthentic(message, key: key)
    }

    @Test("no byte can be changed, and none can be missing")
    func damage() throws {
        let message = Self.sample([(0xc057, 5)])
        // Without FINGERPRINT, which is not covered by the code, it is still the same message.
        for index in message.indices.dropLast(8) {
            var changed = message
            changed[index] ^= 0x41
            #expect(!Self.isBelieved(changed))
        }
        for count in message.indices { #expect(!Self.isBelieved(Array(message[..<count]))) }
        var wrong = message
        wrong[message.count - 1] ^= 1
        #expect(!Self.isBelieved(wrong) && !Self.isBelieved(message + [0]))
    }

    @Test("what follows the code is not believed")
    func unsigned() throws {
        var writer = STUNWriter(.request, transaction: [UInt8](repeating: 7, count: 12))
        writer.add(username: Array("abcd:efgh".utf8))
        var message = writer.finish(key: Self.key)
        message.removeLast(8)
        message += [0, 0x25, 0, 0]
        message[3] = UInt8(message.count - 20)
        let read = try STUNMessage(message)
        #expect(!read.isNomination)
    }

    @Test("noise is refused")
    func noise() {
        var generator = SeededGenerator(seed: 11)
        let sample = Self.sample()
        for _ in 0..<2_000 {
            var message = sample
            for _ in 0..<Int.random(in: 1...6, using: &generator) {
                message[Int.random(in: message.indices, using: &generator)] = generator.bytes(1)[0]
            }
            let isSame = message.dropLast(8) == sample.dropLast(8)
            #expect(isSame || !Self.isBelieved(message))
        }
    }
}

@Suite struct ICECredentialsTests {
    private static let password = String(repeating: "p", count: 22)
    private static let version2 = "libp2p+webrtc+v2/" + password

    @Test(
        "both versions of webrtc-direct give our password",
        arguments: [
            ("libp2p+webrtc+v1/abcd:libp2p+webrtc+v1/abcd", "libp2p+webrtc+v1/abcd"),
            (version2 + ":ufrg", version2),
        ])
    func known(name: String, password: String) throws {
        let credentials = try #require(ICECredentials(username: Array(name.utf8)))
        #expect(Array(credentials.password) == Array(password.utf8))
    }

    @Test(
        "any other name is refused, whatever it resembles",
        arguments: [
            "", ":", "evtj:h6vY", version2, version2 + ":", version2 + ":abc", ":" + version2,
            version2 + ":" + String(repeating: "a", count: 257), version2 + ":ab-d",
            "libp2p+webrtc+v2/" + String(repeating: "p", count: 21) + ":ufrg",
            "libp2p+webrtc+v2/" + String(repeating: "p", count: 240) + ":ufrg",
            "libp2p+webrtc+v3/" + password + ":ufrg", "libp2p+webrtc+v2" + password + ":ufrg",
            "libp2p+webrtc+v1/abcd:libp2p+webrtc+v1/abce", "libp2p+webrtc+v1/:libp2p+webrtc+v1/",
            "libp2p+webrtc+v22/" + password + ":ufrg", version2 + ":uf:rg",
        ])
    func unknown(name: String) {
        #expect(ICECredentials(username: Array(name.utf8)) == nil)
    }
}
