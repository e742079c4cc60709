/// A place to listen, as `host:port` or `[v6]:port`.
package struct HostAndPort: Sendable {
    /// The text as it was given.
    package let text: String
    /// The host without brackets; empty for no place.
    package let host: String
    /// The port; 0 lets the system choose.
    package let port: Int

    /// Reads the text; nil if it is no place. The empty text means that there is none.
    package init?(_ text: String) {
        self.text = text
        guard !text.isEmpty else {
            host = ""
            port = 0
            return
        }
        guard let colon = text.lastIndex(of: ":"),
            let port = UInt16(text[text.index(after: colon)...])
        else { return nil }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard !host.isEmpty else { return nil }
        self.host = String(host)
        self.port = Int(port)
    }

    /// Whether only this machine can reach it.
    package var isLoopback: Bool {
        host.isEmpty || host == "localhost" || host == "::1" || host.hasPrefix("127.")
    }
}
