// The cookies with which a peer proves where it is: made with secrets that change.

import CWebRTC
import Testing

@testable import Transports

@Suite struct DTLSCookieTests {
    @Test("a cookie is taken as long as its secret is one of the last two") func renewal() throws {
        let certificate = try DTLSCertificate()
        let server = try #require(
            weft_dtls_server_new(
                certificate.certificate, certificate.certificate.count, certificate.privateKey,
                certificate.privateKey.count))
        defer { weft_dtls_server_free(server) }
        let address: [UInt8] = [127, 0, 0, 1, 0, 9]
        /// The server's answer to a first message, or whether it goes on.
        func greet(_ message: [UInt8]) -> (answer: [UInt8], isTaken: Bool) {
            var room = [UInt8](repeating: 0, count: 256)
            var count = room.count
            let dtls = weft_dtls_greet(
                server, address, address.count, message, message.count, &room, &count)
            if let dtls { weft_dtls_free(dtls) }
            return (Array(room.prefix(count)), dtls != nil)
        }
        let first = greet(hello()).answer
        #expect(first.isHandshake(3))
        let cookie = Array(first[28...])
        #expect(greet(hello(cookie: cookie)).isTaken)
        #expect(weft_dtls_renew(server))
        #expect(Array(greet(hello()).answer[28...]) != cookie)
        #expect(greet(hello(cookie: cookie)).isTaken)
        #expect(weft_dtls_renew(server))
        #expect(!greet(hello(cookie: cookie)).isTaken)
    }
}
