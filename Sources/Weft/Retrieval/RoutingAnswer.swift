// What a Routing V1 server says of who has content (specs.ipfs.tech/routing/http-routing-v1): one
// JSON document, or one JSON object a line.

import IPLD
import NIOCore

/// Reads such an answer as it comes.
struct RoutingAnswer {
    /// How much of an answer is read.
    static let maxBytes = 1 << 20
    /// How many addresses of one peer are looked at.
    static let maxAddresses = 10

    /// How much has come.
    private(set) var byteCount = 0
    private let isLines: Bool
    private var pending = ByteBuffer()
    /// In how much of what is pending there is no end of a line, so that nothing is searched twice.
    private var searched = 0

    /// An answer of which nothing has come.
    init(isLines: Bool) { self.isLines = isLines }

    /// Takes what came next; hands over the HTTP addresses of each peer that is known by it.
    mutating func take(_ part: ByteBuffer, found: ([ProviderAddress]) -> Void) throws {
        byteCount += part.readableBytes
        guard byteCount <= Self.maxBytes else {
            throw Fault.rubbish("the answer is longer than \(Self.maxBytes) bytes")
        }
        pending.writeImmutableBuffer(part)
        guard isLines else { return }
        while let end = pending.readableBytesView.dropFirst(searched)
            .firstIndex(of: UInt8(ascii: "\n"))
        {
            searched = 0
            let line = pending.readSlice(length: end - pending.readerIndex)
            pending.moveReaderIndex(forwardBy: 1)
            if let line { try Self.read(line: line, found: found) }
        }
        searched = pending.readableBytes
    }

    /// The answer is complete: hands over what is known by its end.
    func end(found: ([ProviderAddress]) -> Void) throws {
        if isLines { return try Self.read(line: pending, found: found) }
        guard case .list(let peers)? = try JSON.decode(pending.readableBytesSpan)["Providers"]
        else { return }
        for peer in peers { found(Self.addresses(of: peer)) }
    }

    private static func read(line: ByteBuffer, found: ([ProviderAddress]) -> Void) throws {
        guard line.readableBytes > 1 else { return }
        found(addresses(of: try JSON.decode(line.readableBytesSpan)))
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
