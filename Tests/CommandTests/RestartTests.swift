// Nodes that end, and are started again at the same port, while pages are connected with them over
// WebRTC.

import Foundation
import Testing

@Suite(.serialized) struct RestartTests {
    init() throws { try Browser.check() }

    /// Where a browser reaches the node: Firefox makes no pair with a loopback address where there
    /// is another one, which is the one from which packets would leave. None are sent to find out.
    private static func address(of node: RunningNode, for browser: String) throws -> String {
        let all = try #require(node.announcement["listen"] as? [String])
        let loopback = try #require(all.first { $0.hasPrefix("/ip4/127.0.0.1/") }, "\(all)")
        guard browser == "firefox" else { return loopback }
        let descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(9).bigEndian
        address.sin_addr.s_addr = inet_addr("203.0.113.1")
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isRouted = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, size) == 0 && getsockname(descriptor, $0, &size) == 0
            }
        }
        guard isRouted else { return loopback }
        return loopback.replacing("127.0.0.1", with: String(cString: inet_ntoa(address.sin_addr)))
    }

    /// One that is killed cannot say that it goes, and the new process answers the checks of ICE
    /// with which a browser finds out whether a peer is there.
    @Test(
        "a page goes on with a node that was started anew", arguments: PageFetchTests.browsers,
        [SIGKILL, SIGTERM])
    func restart(browser: String, signal: Int32) throws {
        let place = try Workplace()
        try place.isolate()
        let cids = try ["first", "second"].map {
            try place.weft("add", "-q", place.write($0, Data($0.utf8))).output
        }
        let listening = ["/ip4/0.0.0.0/udp/", "/webrtc-direct"]
        let old = try RunningNode(place, "--listen", listening.joined(separator: "0"))
        let address = try Self.address(of: old, for: browser)
        let port = String(address.split(separator: "/")[3])
        let page = try BrowserPage("visitors.html", in: browser)
        let before = try page.run([
            "visitor": 1, "start": ["peers": [address], "patience": 60_000], "peers": 1,
            "url": "ipfs://\(cids[0])",
        ])
        #expect(before["count"] as? Int == 5, "\(before)")
        old.stop(signal)
        let new = try RunningNode(place, "--listen", listening.joined(separator: port))
        defer { new.stop() }
        // Without that it took minutes.
        let after = try page.run(["visitor": 1, "url": "ipfs://\(cids[1])"])
        #expect(after["count"] as? Int == 6, "\(after)")
    }
}
