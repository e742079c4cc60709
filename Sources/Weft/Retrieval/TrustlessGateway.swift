// A provider that speaks the trustless gateway protocol (specs.ipfs.tech/http-gateways): single
// raw blocks, and CAR streams of a part of a DAG (IPIP-402, IPIP-412, IPIP-523).

import AsyncHTTPClient
import BlockStore
import IPLD
import Multiformats
import NIOCore
import NIOHTTP1

/// One trustless gateway.
struct TrustlessGateway: Sendable {
    /// Who said that it exists, which decides where it may send us.
    enum Origin: Sendable { case configured, routing }

    /// How many redirects are followed.
    static let maxRedirects = 3
    /// The longest pause that a gateway can ask for.
    static let maxPause: Duration = .seconds(60)

    let address: ProviderAddress
    let origin: Origin
    let client: HTTPClient
    let privateAddresses: RetrievalOptions.PrivateAddresses

    /// Asks for one block.
    func block(_ cid: CID, progress: (Int) -> Void) async throws -> Block {
        let (head, exchange) = try await open(
            "/ipfs/\(cid)?format=raw", accept: "application/vnd.ipld.raw")
        defer { exchange.cancel() }
        try check(head, what: "raw", type: nil)
        let limit = BlockLimits.maxBytes
        let length = head.headers.first(name: "content-length").flatMap { Int($0) }
        if let length, length > limit { throw Fault.rubbish("a block of \(length) bytes") }
        var bytes = ByteBuffer()
        do {
            while var part = try await exchange.next() {
                progress(part.readableBytes)
                guard part.readableBytes <= limit - bytes.readableBytes else {
                    throw Fault.rubbish("a block of over \(limit) bytes")
                }
                if bytes.readableBytes == 0, part.readableBytes < length ?? 0 {
                    bytes.reserveCapacity(min(length ?? 0, limit))
                }
                bytes.writeBuffer(&part)
            }
        } catch let error where !(error is Fault) {
            throw Self.broken(error)
        }
        do {
            return try Block(verifying: bytes, as: cid)
        } catch {
            if let length, bytes.readableBytes < length {
                throw Fault.truncated("\(bytes.readableBytes) of \(length) bytes")
            }
            throw Fault.lied("block \(cid): \(error)")
        }
    }

    /// Asks for a part of a DAG as one stream.
    ///
    /// - Parameter maxBytes: how long the answer may be; nil if it cannot be told.
    /// - Returns: how many bytes came.
    func stream(
        _ scope: RetrievalScope, maxBytes: UInt64?, events: BlockProvider.Events
    ) async throws -> UInt64 {
        let (head, exchange) = try await open(
            Self.target(of: scope),
            accept: "application/vnd.ipld.car; version=1; order=dfs; dups=n")
        defer { exchange.cancel() }
        try check(head, what: "car", type: "application/vnd.ipld.car")
        var intake = CARIntake(root: scope.root)
        var total: UInt64 = 0
        while let part = try await pull(exchange) {
            total += UInt64(part.readableBytes)
            if let maxBytes, total > maxBytes {
                throw Fault.unsupported("it sends more than the bytes that were asked for")
            }
            events.progress(part.readableBytes)
            intake.feed(part)
            if try await Self.read(&intake, events) { return total }
        }
        try intake.finish()
        return total
    }

    /// Hands on the blocks that have come whole. Answers whether the archive ends here.
    private static func read(
        _ intake: inout CARIntake, _ events: BlockProvider.Events
    ) async throws -> Bool {
        var arrivals = Arrivals()
        var isAtEnd = false
        var fault: Fault?
        reading: while true {
            do {
                switch try intake.next() {
                case .starved: break reading
                case .end:
                    isAtEnd = true
                    break reading
                case .block(let block, let anatomy): arrivals.append(block, anatomy)
                }
            } catch {
                // What came before is good.
                fault = error
                break reading
            }
            if arrivals.isFull, !(await events.blocks(arrivals.take())) { throw Fault.cancelled }
        }
        if !arrivals.isEmpty, !(await events.blocks(arrivals.take())) { throw Fault.cancelled }
        if let fault { throw fault }
        return isAtEnd
    }

    /// Asks for the IPNS record of a name.
    func record(of name: String, limit: Int) async throws -> ByteBuffer {
        let (head, exchange) = try await open(
            "/ipns/\(name)?format=ipns-record", accept: "application/vnd.ipfs.ipns-record")
        defer { exchange.cancel() }
        try check(head, what: "ipns-record", type: "application/vnd.ipfs.ipns-record")
        guard let record = try await exchange.collect(upTo: limit) else {
            throw Fault.rubbish("a record of over \(limit) bytes")
        }
        return record
    }

    // MARK: Requests

    /// The path and query that ask for a scope.
    static func target(of scope: RetrievalScope) -> String {
        var target = "/ipfs/\(scope.root)"
        for name in scope.path {
            target += "/"
            PercentCoding.append(name, for: .pathSegment, to: &target)
        }
        target += "?format=car&car-version=1&car-order=dfs&car-dups=n&dag-scope="
        switch scope.extent {
        case .block: target += "block"
        case .all: target += "all"
        case .entity(let bytes):
            target += "entity"
            if let bytes {
                target += "&entity-bytes=\(bytes.from):" + (bytes.through.map(String.init) ?? "*")
            }
        }
        return target
    }

    private func open(
        _ target: String, accept: String
    ) async throws -> (HTTPResponseHead, HTTPExchange) {
        var url = address.base + target
        for _ in 0...Self.maxRedirects {
            let head: HTTPResponseHead
            let exchange: HTTPExchange
            do {
                (head, exchange) = try await HTTPExchange.open(
                    url, headers: ["Accept": accept, "User-Agent": "weft"], with: client)
            } catch {
                throw Self.unreachable(error)
            }
            guard [301, 302, 303, 307, 308].contains(head.status.code),
                let location = head.headers.first(name: "location")
            else { return (head, exchange) }
            exchange.cancel()
            guard let next = resolve(location) else {
                throw Fault.rubbish("it redirects to \(location.prefix(200))")
            }
            url = next
        }
        throw Fault.rubbish("it redirects in circles")
    }

    /// Where a redirect leads, if it may be followed.
    private func resolve(_ location: String) -> String? {
        guard location.utf8.count <= 4096 else { return nil }
        if location.hasPrefix("/"), !location.hasPrefix("//") {
            let base = address.base
            let authority = base.dropFirst(base.hasPrefix("https") ? 8 : 7).prefix { $0 != "/" }
            return (base.hasPrefix("https") ? "https://" : "http://") + authority + location
        }
        let bare = location.prefix { $0 != "?" && $0 != "#" }
        guard let target = ProviderAddress(url: String(bare)) else { return nil }
        let isSafe = origin == .configured || privateAddresses == .always || !target.isPrivate
        return isSafe ? location : nil
    }

    /// Sorts out all answers but the one that was asked for.
    private func check(_ head: HTTPResponseHead, what: String, type: String?) throws {
        let status = Int(head.status.code)
        switch status {
        case 200: break
        case 404, 410, 451: throw Fault.absent(status: status)
        case 400, 405, 406, 415, 501:
            throw Fault.unsupported("status \(status) for \(what)")
        case 429, 503:
            let seconds = head.headers.first(name: "retry-after").flatMap { Int64($0) } ?? 5
            let pause = Duration.seconds(max(1, min(seconds, 86_400)))
            throw Fault.busy(status: status, retryAfter: min(pause, Self.maxPause))
        default: throw Fault.refused(status: status)
        }
        let found = head.headers.first(name: "content-type")?.lowercased() ?? ""
        // A page where a block should be is a web server that knows nothing of this protocol.
        if type.map({ !found.hasPrefix($0) }) ?? found.hasPrefix("text/html") {
            throw Fault.unsupported("it answers with '\(found.prefix(100))' for \(what)")
        }
    }

    private func pull(_ exchange: HTTPExchange) async throws -> ByteBuffer? {
        do {
            return try await exchange.next()
        } catch {
            throw Self.broken(error)
        }
    }

    private static func broken(_ error: any Error) -> Fault {
        if error is CancellationError { return .cancelled }
        return error as? Fault ?? .truncated("\(error)")
    }

    private static func unreachable(_ error: any Error) -> Fault {
        if error is CancellationError || Task.isCancelled { return .cancelled }
        return error as? Fault ?? .unreachable("\(error)")
    }
}
