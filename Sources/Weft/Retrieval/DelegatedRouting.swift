// Who has content, and what a name stands for, asked of Routing V1 servers
// (specs.ipfs.tech/routing/http-routing-v1). Answers come as JSON or as one JSON object a line.

import AsyncHTTPClient
import IPLD
import Multiformats
import NIOCore
import NIOHTTP1

/// One Routing V1 server.
struct DelegatedRouting: Sendable {
    /// How much of an answer is read.
    static let maxAnswerBytes = 1 << 20
    /// How many addresses of one peer are looked at.
    static let maxAddresses = 10

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
        var pending = ByteBuffer()
        var total = 0
        while var part = try await exchange.next() {
            total += part.readableBytes
            guard total <= Self.maxAnswerBytes else {
                throw Fault.rubbish("the answer is longer than \(Self.maxAnswerBytes) bytes")
            }
            pending.writeBuffer(&part)
            guard isLines else { continue }
            while let end = pending.readableBytesView.firstIndex(of: UInt8(ascii: "\n")) {
                let line = pending.readSlice(length: end - pending.readerIndex)
                pending.moveReaderIndex(forwardBy: 1)
                if let line, line.readableBytes > 1 { found(try Self.addresses(in: line)) }
            }
        }
        if isLines {
            if pending.readableBytes > 1 { found(try Self.addresses(in: pending)) }
        } else {
            for addresses in try Self.list(in: pending) { found(addresses) }
        }
        return (status, total)
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

    // MARK: Answers

    /// The addresses of all peers of a JSON answer.
    static func list(in answer: ByteBuffer) throws -> [[ProviderAddress]] {
        guard case .list(let peers)? = try JSON.decode(answer.readableBytesSpan)["Providers"]
        else { return [] }
        return peers.map(addresses(of:))
    }

    /// The addresses of the peer of one NDJSON line.
    static func addresses(in line: ByteBuffer) throws -> [ProviderAddress] {
        addresses(of: try JSON.decode(line.readableBytesSpan))
    }

    /// The HTTP addresses of one peer record; none for a schema that is not known.
    private static func addresses(of peer: Value) -> [ProviderAddress] {
        guard case .string(let schema)? = peer["Schema"], schema == "peer",
            case .list(let addresses)? = peer["Addrs"]
        else { return [] }
        return addresses.prefix(maxAddresses).compactMap { address in
            guard case .string(let text) = address else { return nil }
            return ProviderAddress(multiaddr: text)
        }
    }
}
