// TXT records of domains: from a file, from the system's or a chosen DNS server, or over HTTPS;
// kept as long as their time to live says.

import AsyncHTTPClient
import NIOCore
import Synchronization

/// Looks up TXT records.
final class DNSResolver: Sendable {
    /// Where records come from.
    enum Source: Sendable, Hashable {
        /// A file with a line `name value` for each record; `#` begins a comment line. Nobody is
        /// asked.
        case file(String)
        /// DNS servers, asked in turn.
        case servers([SocketAddress])
        /// A DNS-over-HTTPS endpoint.
        case https(String)
        /// The configuration cannot be used; it says why when it is needed.
        case none(String)
    }

    /// The records of a name.
    struct Records: Sendable, Hashable {
        let texts: [String]
        let ttl: Duration
    }

    /// How many names are kept.
    static let capacity = 512
    /// How long records are kept at most, whatever they say.
    static let maxTTL: Duration = .seconds(86_400)
    /// How long records are kept at least, and how long it is remembered that there are none.
    static let minTTL: Duration = .seconds(30)
    /// How long one server may take.
    static let serverTimeout: TimeAmount = .seconds(3)

    private struct Kept {
        let records: Records
        let until: Duration
    }

    private let source: Source
    private let client: HTTPClient
    private let kept = Mutex<[String: Kept]>([:])
    private let began = ContinuousClock.now

    init(_ source: Source, client: HTTPClient) {
        self.source = source
        self.client = client
    }

    /// What a configuration says.
    convenience init(_ configuration: Configuration.DNS, client: HTTPClient) {
        self.init(Self.source(configuration), client: client)
    }

    private static func source(_ configuration: Configuration.DNS) -> Source {
        if !configuration.staticFile.isEmpty { return .file(configuration.staticFile) }
        let resolver = configuration.resolver
        if resolver.hasPrefix("https://") || resolver.hasPrefix("http://") {
            return .https(resolver)
        }
        do {
            if resolver != "system", !resolver.isEmpty {
                return .servers([try address(resolver)])
            }
            let text = try SmallFile.read("/etc/resolv.conf", limit: 1 << 16) ?? []
            return .servers(servers(inResolvConf: String(decoding: text, as: UTF8.self)))
        } catch {
            return .none("\(error)")
        }
    }

    /// The first servers that a resolv.conf names; the one of this machine if it names none.
    static func servers(inResolvConf text: String) -> [SocketAddress] {
        var servers: [SocketAddress] = []
        for line in text.split(whereSeparator: \.isNewline) {
            let words = line.split(whereSeparator: \.isWhitespace)
            guard words.count >= 2, words[0] == "nameserver", servers.count < 3,
                // One that cannot be read is passed over, as system resolvers do.
                let address = try? SocketAddress(ipAddress: String(words[1]), port: 53)
            else { continue }
            servers.append(address)
        }
        if servers.isEmpty, let own = try? SocketAddress(ipAddress: "127.0.0.1", port: 53) {
            servers.append(own)
        }
        return servers
    }

    private static func address(_ text: String) throws -> SocketAddress {
        if let address = try? SocketAddress(ipAddress: text, port: 53) { return address }
        let bare = text.filter { $0 != "[" && $0 != "]" }
        guard let colon = bare.lastIndex(of: ":"),
            let port = UInt16(bare[bare.index(after: colon)...])
        else {
            throw FetchError(
                .badRequest, "dns.resolver is '\(text)', which is no address, URL or \"system\"")
        }
        return try SocketAddress(ipAddress: String(bare[..<colon]), port: Int(port))
    }

    /// The TXT records of a name; none if it has none.
    ///
    /// - Throws: ``FetchError`` when nobody answered.
    func texts(
        of name: String, cache: Request.CacheMode, network: Configuration.Network, trace: Trace
    ) async throws -> Records {
        let name = Self.canonical(name)
        let now = began.duration(to: .now)
        if case .file(let path) = source {
            let texts = try Self.texts(of: name, inFile: path)
            trace.note(.name, "TXT \(name)", peer: path, "\(texts.count) records", succeeded: true)
            return Records(texts: texts, ttl: Self.minTTL)
        }
        if let kept = kept.withLock({ $0[name] }) {
            switch cache {
            case .standard where kept.until > now, .forceCache, .onlyIfCached:
                trace.note(.store, "TXT \(name)", "known", succeeded: true)
                return Records(
                    texts: kept.records.texts, ttl: max(kept.until - now, Self.minTTL))
            case .standard, .noCache, .reload, .noStore: break
            }
        }
        guard network == .online, cache != .onlyIfCached else {
            throw FetchError(
                .offline, "the records of \(name) are not known, and nobody may be asked",
                trace: trace.entries)
        }
        let answer = try await ask(name, trace: trace)
        let ttl = max(Self.minTTL, min(.seconds(Int64(answer.ttl)), Self.maxTTL))
        let records = Records(texts: answer.texts, ttl: ttl)
        kept.withLock { kept in
            if kept.count >= Self.capacity {
                kept = kept.filter { $0.value.until > now }
            }
            if kept.count >= Self.capacity,
                let first = kept.min(by: { $0.value.until < $1.value.until })
            {
                kept[first.key] = nil
            }
            kept[name] = Kept(records: records, until: now + ttl)
        }
        return records
    }

    private func ask(_ name: String, trace: Trace) async throws -> DNSMessage.Answer {
        switch source {
        case .file: return DNSMessage.Answer(isTruncated: false, code: 0)
        case .none(let reason): throw FetchError(.badRequest, reason, trace: trace.entries)
        case .https(let url):
            return try await attempt(name, at: url, trace: trace) {
                try await DNSExchange.ask(
                    name, at: url, with: client, timeout: Self.serverTimeout)
            }
        case .servers(let servers):
            var failure: (any Error)?
            // A datagram can be lost, so every server is asked twice.
            for server in servers + servers {
                do {
                    return try await attempt(name, at: "\(server)", trace: trace) {
                        try await DNSExchange.ask(
                            name, at: server, on: client.eventLoopGroup,
                            timeout: Self.serverTimeout)
                    }
                } catch {
                    try Task.checkCancellation()
                    failure = error
                }
            }
            throw failure ?? FetchError(.network, "there is no DNS server", trace: trace.entries)
        }
    }

    private func attempt(
        _ name: String, at server: String, trace: Trace,
        _ body: () async throws -> DNSMessage.Answer
    ) async throws -> DNSMessage.Answer {
        let mark = trace.begin(.name, "TXT \(name)", peer: server)
        do {
            let answer = try await body()
            // 3 says that the name does not exist, which is an answer.
            guard answer.code == 0 || answer.code == 3 else {
                throw Fault.refused(status: Int(answer.code))
            }
            trace.end(mark, "\(answer.texts.count) records", succeeded: true)
            return answer
        } catch {
            trace.end(mark, "\(error)", succeeded: false)
            throw FetchError(
                .network, "the DNS server \(server) did not answer for \(name)",
                trace: trace.entries)
        }
    }

    // MARK: The file

    static func texts(of name: String, inFile path: String) throws -> [String] {
        guard let bytes = try SmallFile.read(path, limit: 1 << 20) else {
            throw FetchError(.badRequest, "dns.static names \(path), which does not exist")
        }
        return texts(of: name, in: String(decoding: bytes, as: UTF8.self))
    }

    /// The values of all lines of a name.
    static func texts(of name: String, in file: String) -> [String] {
        let name = canonical(name)
        return file.split(whereSeparator: \.isNewline).compactMap { line in
            let words = line.split(maxSplits: 1, whereSeparator: \.isWhitespace)
            guard words.count == 2, !words[0].hasPrefix("#"), canonical(String(words[0])) == name
            else { return nil }
            var value = words[1]
            while value.first?.isWhitespace == true { value = value.dropFirst() }
            while value.last?.isWhitespace == true { value = value.dropLast() }
            if value.count >= 2, value.first == "\"", value.last == "\"" {
                value = value.dropFirst().dropLast()
            }
            return String(value)
        }
    }

    private static func canonical(_ name: String) -> String {
        let lower = name.lowercased()
        return lower.hasSuffix(".") ? String(lower.dropLast()) : lower
    }
}
