// The dashboard's port: who is let in, and what they may do there.

import Foundation
import Testing

@Suite struct DashboardTests {
    /// The port and the invitation of a URL that `weft dashboard` prints.
    private static func invited(_ place: Workplace) throws -> (port: UInt16, invitation: String) {
        let outcome = try place.weft("dashboard")
        #expect(outcome.status == 0, "\(outcome.errors)")
        let url = try #require(URL(string: outcome.output))
        #expect(url.host() == "127.0.0.1" && url.path() == "/")
        return (try #require(url.port.flatMap { UInt16($0) }), try #require(url.fragment()))
    }

    private static func ask(
        _ port: UInt16, _ target: String, _ headers: [String] = [], host: String? = nil,
        method: String = "POST", body: String = ""
    ) throws -> (status: String, text: String) {
        let answer = try RawHTTP.request(
            port, method, target, host: host, headers: headers, body: Data(body.utf8))
        return (String(answer.split(separator: " ").dropFirst().first ?? ""), answer)
    }

    @Test("only who was invited uses the dashboard") func access() throws {
        let place = try Workplace()
        try place.isolate()
        #expect(try place.weft("dashboard").errors.contains("weft up"))
        let node = try RunningNode(place)
        defer { node.stop() }
        let (port, invitation) = try Self.invited(place)
        let limits = "/weft/v1/limits"
        #expect(try Self.ask(port, limits).status == "401")
        #expect(try Self.ask(port, limits, ["Authorization: Bearer \(invitation)"]).status == "401")
        #expect(try Self.ask(port, "/session", body: "wrong").status == "401")
        let long = String(repeating: "a", count: 1000)
        #expect(try Self.ask(port, "/session", body: long).status == "401")
        let entered = try Self.ask(port, "/session", body: invitation)
        #expect(entered.status == "200")
        let key = try #require(entered.text.firstMatch(of: /"key":"([a-z2-7]+)"/)?.1)
        let authorised = ["Authorization: Bearer \(key)"]
        let answer = try Self.ask(port, limits, authorised)
        #expect(answer.status == "200" && answer.text.contains("\"store\":"))
        // Neither names that lead here, nor other pages, with or without the key.
        for (headers, host) in [
            ([], "evil.example"), (["Origin: http://evil.example"], nil),
            (["Origin: \(node.gateway)"], nil), (["Origin: null"], nil),
            (["Sec-Fetch-Site: same-site"], nil), (["Sec-Fetch-Site: cross-site"], nil),
        ] as [([String], String?)] {
            let refused = try Self.ask(port, limits, authorised + headers, host: host)
            #expect(refused.status == "403", "\(headers) \(host ?? "")")
        }
        let embedded = try Self.ask(port, "/", ["Sec-Fetch-Site: cross-site"], method: "GET")
        #expect(embedded.status == "403")
        // A link may lead here; the page says nothing of the node.
        let linked = try Self.ask(
            port, "/", ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"], method: "GET")
        #expect(linked.status == "200" && !linked.text.contains("12D3"))
        #expect(linked.text.lowercased().contains("frame-ancestors 'none'"))
        #expect(linked.text.lowercased().contains("require-trusted-types-for 'script'"))
        #expect(try Self.ask(port, limits, authorised, method: "OPTIONS").status == "405")
        #expect(try Self.ask(port, "/api/v0/id").status == "401", "it is not Kubo's RPC")
        let head = try Self.ask(port, "/", method: "HEAD")
        #expect(head.status == "200" && head.text.hasSuffix("\r\n\r\n"), "it has no body")
        // An invitation that comes twice was seen by somebody else: what it opened is locked.
        #expect(try Self.ask(port, "/session", body: invitation).status == "401")
        #expect(try Self.ask(port, limits, authorised).status == "401")
    }

    @Test("the dashboard does what it shows, and nothing else") func calls() throws {
        let place = try Workplace()
        try place.isolate()
        let node = try RunningNode(place)
        defer { node.stop() }
        let (port, invitation) = try Self.invited(place)
        let entered = try Self.ask(port, "/session", body: invitation).text
        let key = try #require(entered.firstMatch(of: /"key":"([a-z2-7]+)"/)?.1)
        let authorised = ["Authorization: Bearer \(key)"]
        for path in ["limits", "peers", "balance", "doctor"] {
            #expect(try Self.ask(port, "/weft/v1/\(path)", authorised).status == "200", "\(path)")
        }
        let config = "/weft/v1/config"
        let set = try Self.ask(
            port, config + "?key=mesh.connections-max&value=77", authorised)
        #expect(set.status == "200" && set.text.contains("\"restart\":false"))
        #expect(try place.weft("config", "get", "mesh.connections-max").output == "77")
        for target in [
            config, config + "?key=mesh.private-key-file&value=/etc/passwd",
            config + "?key=dns.static", config + "?key=compute.contracts&value=off",
            config + "?key=gateway.address&value=0.0.0.0:80",
            config + "?key=storage.max&key=api.address&value=127.0.0.1:1",
            "/weft/v1/status", "/weft/v1/bandwidth", "/weft/v1/call/show?arg=x",
            "/weft/v1/stop", "/weft/v1/key/export?arg=self", "/weft/v1/get?arg=x&path=/tmp/x",
            "/weft/v1/add?path=/etc/passwd", "/weft/v1/dashboard", "/api/v0/cat?arg=x",
            "/weft/v1/limits/../stop", "/weft/v1/%73top",
        ] {
            #expect(try Self.ask(port, target, authorised).status == "403", "\(target)")
        }
        #expect(try place.weft("id").status == 0, "the node still runs")
    }

    /// Without its pages the program works, and says where they should be.
    @Test("a program without its pages says so") func missing() throws {
        let place = try Workplace()
        try place.isolate()
        let nowhere = ["WEFT_PAGES": place.path("nowhere")]
        let node = try RunningNode(place, environment: nowhere)
        defer { node.stop() }
        #expect(node.announcement["pages"] is NSNull)
        let outcome = try place.weft("dashboard", environment: nowhere)
        #expect(outcome.status == 1 && outcome.errors.contains(place.path("nowhere")))
        #expect(outcome.errors.contains("make page"), "\(outcome.errors)")
    }
}
