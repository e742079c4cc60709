// Who has content, and what a name stands for, asked of Routing V1 servers
// (specs.ipfs.tech/routing/http-routing-v1).

import AsyncHTTPClient
import Multiformats
import NIOCore
import NIOHTTP1

/// One Routing V1 server.
struct DelegatedRouting: Sendable {
    /// The base, up to and without `/providers`.
    let base: String
    let client: HTTPClient

    init?(_ url: String, client: HTTPClient) {
        guard let address = ProviderAddress(url: url) else { return nil }
        let suffix = "/routing/v1"
        base = address.base.hasSuffix(suffix) ? address.base : address.base + suffix
        self.client = client
    }

    /// Asks who has `cid` over HTTP, and hands over each one's addresses as they come.
    ///
    /// - Returns: the status and how many bytes were read.
    func providers(
        of cid: CID, deadline: NIODeadline, found: ([ProviderAddress]) -> Void
    ) async throws -> (status: Int, bytes: Int) {
        let url = "\(base)/providers/\(cid.v1)?filter-protocols=transport-ipfs-gateway-http"
        let (head, exchange) = try await HTTPExchange.open(
            url, headers: ["Accept": "application/x-ndjson, application/json;q=0.9"],
            with: client, deadline: deadline)
        defer { exchange.cancel() }
        let status = Int(head.status.code)
        // Before IPIP-513 a server said 404 when it knew nobody.
        guard status == 200 else { return (status, 0) }
        let isLines = head.headers.first(name: "content-type")?.contains("ndjson") ?? false
        var answer = RoutingAnswer(isLines: isLines)
        while let part = try await exchange.next() { try answer.take(part, found: found) }
        try answer.end(found: found)
        return (status, answer.byteCount)
    }

    /// Asks for the newest IPNS record of a name; nil if the server knows none.
    func record(
        of name: String, limit: Int, deadline: NIODeadline
    ) async throws -> (status: Int, record: ByteBuffer?) {
        let (head, exchange) = try await HTTPExchange.open(
            "\(base)/ipns/\(name)", headers: ["Accept": "application/vnd.ipfs.ipns-record"],
            with: client, deadline: deadline)
        defer { exchange.cancel() }
        let status = Int(head.status.code)
        // The specification wants 200 with another type when there is no record.
        guard status == 200,
            head.headers.first(name: "content-type")?.contains("ipns-record") ?? false
        else { return (status, nil) }
        guard let record = try await exchange.collect(upTo: limit) else {
            throw Fault.rubbish("the record is longer than \(limit) bytes")
        }
        return (status, record)
    }
}
