// What stands between the local API on a TCP port and the web pages that a user's browser runs:
// checks of method, Host, Origin and Referer (DESIGN invariant 7).

import HTTPTypes

/// Decides whether a request to the loopback port may be answered.
///
/// A web page can make a browser send requests to loopback, directly or by pointing a name of its
/// own at 127.0.0.1 (DNS rebinding). The first betrays itself by `Origin` or `Referer`, the second
/// by `Host`. Programs send none of these, or loopback ones.
enum LoopbackGuard {
    /// Why a request is refused: a status and a sentence.
    struct Refusal: Equatable {
        let status: HTTPResponse.Status
        let message: String
    }

    /// nil when the request may be answered.
    static func refusal(of head: HTTPRequest) -> Refusal? {
        guard let authority = head.authority, isLoopback(authority: authority) else {
            return Refusal(
                status: .forbidden,
                message: "the Host header must name a loopback address, such as 127.0.0.1")
        }
        for field in [HTTPField.Name.origin, .referer] {
            for value in head.headerFields[values: field] where !isLoopback(origin: value) {
                return Refusal(
                    status: .forbidden, message: "requests of web pages are refused")
            }
        }
        return isOfOtherOrigin(head)
            ? Refusal(status: .forbidden, message: "requests of web pages are refused") : nil
    }

    /// Whether a browser says, by `Sec-Fetch-Site` (W3C Fetch Metadata: every current one does),
    /// that a page of another origin asks.
    static func isOfOtherOrigin(_ head: HTTPRequest) -> Bool {
        isOfPage(head) && site(head) != "same-origin"
    }

    /// The same of a page of any origin, this one's among them.
    static func isOfPage(_ head: HTTPRequest) -> Bool { site(head).map { $0 != "none" } ?? false }

    private static func site(_ head: HTTPRequest) -> String? {
        HTTPField.Name("Sec-Fetch-Site").flatMap { head.headerFields[$0] }
    }

    /// Whether `host`, `host:port` or `[v6]:port` is this machine, by number or as `localhost`.
    static func isLoopback(authority: String) -> Bool {
        let lowered = authority.lowercased()
        if lowered.hasPrefix("[") {
            guard let close = lowered.firstIndex(of: "]") else { return false }
            let inner = lowered[lowered.index(after: lowered.startIndex)..<close]
            return inner == "::1" && isPort(lowered[lowered.index(after: close)...])
        }
        let host = lowered.prefix { $0 != ":" }
        guard isPort(lowered[host.endIndex...]) else { return false }
        if host == "localhost" { return true }
        let bytes = host.split(separator: ".", omittingEmptySubsequences: false)
        return bytes.count == 4 && bytes[0] == "127"
            && bytes.allSatisfy { UInt8($0) != nil && $0.allSatisfy(\.isNumber) }
    }

    private static func isPort(_ text: Substring) -> Bool {
        text.isEmpty || (text.hasPrefix(":") && UInt16(text.dropFirst()) != nil)
    }

    /// Whether the origin of a URL is this machine over plain HTTP.
    static func isLoopback(origin: String) -> Bool {
        let lowered = origin.lowercased()
        guard lowered.hasPrefix("http://") else { return false }
        let authority = lowered.dropFirst("http://".count).prefix { $0 != "/" }
        return isLoopback(authority: String(authority))
    }
}
