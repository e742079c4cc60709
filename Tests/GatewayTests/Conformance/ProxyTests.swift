// The tunnels of subdomain_gateway_proxy of ipfs/gateway-conformance, restated, over a real
// connection: CONNECT leads to the gateway itself. (Whole URLs as request targets are in
// SubdomainTests.)

import IPLD
import Multiformats
import Testing

@testable import Gateway

@Suite(.timeLimit(.minutes(10))) struct ProxyConformance {
    let fixtures: Fixtures

    init() throws {
        fixtures = try Fixtures()
    }

    @Test func tunnels() async throws {
        let archive = try fixtures.archive("subdomain_gateway/fixtures.car")
        let folder = try await archive.cid("testdirlisting")
        let file = try await archive.cid("hello-CIDv1")
        let hello = String(decoding: try await archive.block("hello-CIDv1"), as: UTF8.self)
        let v0 = try await archive.cid("hello-CIDv0")
        let cases: [(host: String, path: String, status: String, has: String)] = [
            ("\(file).ipfs.example.com", "/", "200", hello),
            (
                "example.com", "/ipfs/\(v0)/", "301",
                "Location: http://\(v0.text(in: .base32)).ipfs.example.com/\r\n"
            ),
            ("\(folder).ipfs.example.com", "/ipfs/file.txt", "200", "I am a txt file"),
            // Not in the suite: a site of a domain's DNSLink.
            ("nowhere.example.org", "/", "200", "Weft gateway"),
        ]
        try await RunningGateway.run(fixtures.backend) {
            $0.subdomainHosts = ["example.com"]
        } _: { server in
            for item in cases {
                try await server.connect { connection in
                    // In two pieces, as a network may deliver it.
                    try await connection.send("CONN")
                    try await connection.send(
                        "ECT \(item.host):80 HTTP/1.1\r\nHost: \(item.host):80\r\n\r\n")
                    let head = try await connection.receive(through: "\r\n\r\n")
                    #expect(head.hasPrefix("HTTP/1.1 200 "))
                    try await connection.send(
                        "GET \(item.path) HTTP/1.1\r\nHost: \(item.host)\r\n"
                            + "Connection: close\r\n\r\n")
                    let answer = try await connection.rest()
                    #expect(answer.hasPrefix("HTTP/1.1 \(item.status) "))
                    #expect(answer.contains(item.has), "\(item.host): \(answer.prefix(300))")
                }
            }
        }
    }

    /// A tunnel is asked for before anything else; what follows at once is not lost, and a tunnel
    /// in a tunnel is one.
    @Test func tunnelThenRequest() async throws {
        try await RunningGateway.run(fixtures.backend) { server in
            try await server.connect { connection in
                let tunnel = "CONNECT a.example:80 HTTP/1.1\r\nHost: a.example:80\r\n\r\n"
                try await connection.send(
                    tunnel + tunnel
                        + "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                let answer = try await connection.rest()
                #expect(answer.split(separator: "HTTP/1.1 200 ").count == 3)
                #expect(answer.hasSuffix("ok\n"))
            }
        }
    }

    /// Later on a connection it is a method like any other that is not served.
    @Test func tunnelTooLate() async throws {
        try await RunningGateway.run(fixtures.backend) { server in
            try await server.connect { connection in
                try await connection.send("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
                _ = try await connection.receive(through: "ok\n")
                try await connection.send("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n")
                let answer = try await connection.rest()
                #expect(answer.hasPrefix("HTTP/1.1 4"), "\(answer.prefix(200))")
            }
        }
    }
}
