// Routing V1 (specs.ipfs.tech/routing/http-routing-v1), answered from what this node knows
// itself, its own blocks and addresses and the records of names that it has, and from what it finds
// in the DHTs in a short time.

import HTTPTypes
import IPLD
import Multiformats
import NIOCore
import Weft
import Wire

extension Gateway {
    /// The largest record of a name, in bytes (specs.ipfs.tech/ipns/ipns-record).
    static let maxRecordBytes = 10 << 10
    private static let recordType = "application/vnd.ipfs.ipns-record"

    /// Answers a request below `/routing/v1/`.
    func routing(_ target: Target, _ incoming: Incoming) async throws -> Response {
        let parts = target.path.split(separator: "/").dropFirst(2).map(String.init)
        let head = incoming.head
        let isForeign = isOfForeignPage(head)
        guard let argument = parts.last.flatMap({ PercentCoding.decode($0[...]) }) else {
            throw Self.noEndpoint
        }
        switch (parts.dropLast(), head.method) {
        case (["providers"], .get), (["providers"], .head):
            return records(try await providers(of: argument, target, isForeign), "Providers", head)
        case (["peers"], .get), (["peers"], .head):
            return records(try await peers(argument, target, isForeign), "Peers", head)
        case (["ipns"], .get), (["ipns"], .head): return try await ipns(argument, head)
        case (["ipns"], .put) where !isForeign: return try await publish(argument, incoming)
        case (["dht", "closest", "peers"], .get), (["dht", "closest", "peers"], .head):
            return records(try await closest(to: argument, target), "Peers", head)
        case (["providers"], _), (["peers"], _), (["ipns"], _), (["dht", "closest", "peers"], _):
            throw ContentError(
                .notImplemented, "\(head.method) is nothing that this endpoint can do")
        default: throw Self.noEndpoint
        }
    }

    private static var noEndpoint: ContentError {
        ContentError(
            .badRequest,
            "there is no such routing endpoint; there are providers, peers, ipns and "
                + "dht/closest/peers")
    }

    private func providers(
        of text: String, _ target: Target, _ isForeign: Bool
    ) async throws -> [String] {
        let cid: CID
        do throws(DecodeError) {
            cid = try CID(text: text)
        } catch {
            throw ContentError(.unprocessableContent, "\"\(text)\" is not a CID: \(error)")
        }
        guard denylist.current.rule(for: cid) == nil else { return [] }
        async let others = backend.findProviders(cid)
        let isKept = isForeign ? false : try await backend.has(cid.hash)
        let mine = isKept ? own(target) : nil
        return [mine].compactMap(\.self)
            + (await others).compactMap { Self.record(of: $0, ["transport-bitswap"], target) }
    }

    private func peers(
        _ text: String, _ target: Target, _ isForeign: Bool
    ) async throws -> [String] {
        guard let peer = RootLabel.key(text) else {
            throw ContentError(.unprocessableContent, "\"\(text)\" is not a peer id")
        }
        if !isForeign, backend.ownAddresses()?.id == peer { return own(target).map { [$0] } ?? [] }
        guard let found = await backend.findPeer(peer), !found.addresses.isEmpty else { return [] }
        return Self.record(of: found, [], target).map { [$0] } ?? []
    }

    /// The servers of the DHT that are nearest to a CID or peer (IPIP-476).
    private func closest(to text: String, _ target: Target) async throws -> [String] {
        // A peer's id is a multihash as well, under which the DHT knows it.
        guard let key = RootLabel.key(text)?.bytes ?? (try? CID(text: text))?.hash.bytes else {
            throw ContentError(
                .unprocessableContent, "\"\(text)\" is neither a CID nor a peer id")
        }
        guard let findClosest = backend.findClosest else {
            throw ContentError(.notImplemented, "this node takes no part in a DHT")
        }
        return await findClosest(key).compactMap { Self.record(of: $0, [], target) }
    }

    /// This node as a peer record; nil if a filter of the request leaves nothing of it.
    private func own(_ target: Target) -> String? {
        guard let own = backend.ownAddresses() else { return nil }
        return Self.record("\(own.id)", own.addresses, ["transport-ipfs-gateway-http"], target)
    }

    /// A peer that was found as a peer record, likewise.
    private static func record(
        of found: FoundPeer, _ protocols: [String], _ target: Target
    ) -> String? {
        // A name in an address is a stranger's text, which must not end the string that it is in.
        let addresses = found.addresses.map { "\($0)" }.filter {
            $0.utf8.allSatisfy {
                0x21...0x7e ~= $0 && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\")
            }
        }
        return record("\(found.peer)", addresses, protocols, target)
    }

    private static func record(
        _ id: String, _ addresses: [String], _ protocols: [String], _ target: Target
    ) -> String? {
        let query = QueryItems(target.query)
        // What a peer speaks may not be known; there is a word for that.
        let spoken = protocols.isEmpty ? ["unknown"] : protocols
        if let words = words(query["filter-protocols"]), !words.contains(where: spoken.contains) {
            return nil
        }
        guard let kept = AddressFilter(words(query["filter-addrs"])).kept(addresses) else {
            return nil
        }
        func list(_ items: [String]) -> String {
            "[" + items.map { "\"\($0)\"" }.joined(separator: ",") + "]"
        }
        return "{\"Schema\":\"peer\",\"ID\":\"\(id)\",\"Addrs\":\(list(kept)),"
            + "\"Protocols\":\(list(protocols))}"
    }

    /// The words of a filter; nil for none, which lets everything pass.
    private static func words(_ filter: String?) -> [String]? {
        let words = filter?.split(separator: ",").map { $0.lowercased() } ?? []
        return words.isEmpty ? nil : words
    }

    /// Records as JSON or, where the client takes it, one on each line.
    private func records(_ records: [String], _ name: String, _ head: HTTPRequest) -> Response {
        let isStream = head.headerFields[.accept]?.contains("application/x-ndjson") ?? false
        let body =
            isStream
            ? records.map { $0 + "\n" }.joined()
            : "{\"\(name)\":[\(records.joined(separator: ","))]}"
        var fields = HTTPFields()
        fields[.contentType] = isStream ? "application/x-ndjson" : "application/json"
        let age = records.isEmpty ? 15 : 300
        fields[.cacheControl] =
            "public, max-age=\(age), stale-while-revalidate=172800, stale-if-error=172800"
        fields[.lastModified] = DateField.now
        fields[.vary] = "Accept"
        fields[.contentLength] = "\(body.utf8.count)"
        return Response(
            status: .ok, headers: fields,
            body: head.method == .head ? .empty : ResponseBody(ByteBuffer(string: body)))
    }

    private func ipns(_ text: String, _ head: HTTPRequest) async throws -> Response {
        let key = try key(text)
        let accepted = head.headerFields[.accept] ?? "*/*"
        guard accepted.contains(Self.recordType) || accepted.contains("*/*") else {
            throw ContentError(
                .notAcceptable,
                "retry with 'Accept: \(Self.recordType)'; a record has no other form")
        }
        var found = await backend.findRecord?(key)
        if found == nil { found = try await backend.record(key, .onlyIfCached) }
        guard let record = found else {
            // 200 with another type says that there is none (IPIP-513).
            return Self.plain(
                "no valid record of \(key.ipnsName) is known here\n", "text/plain; charset=utf-8",
                head, cacheControl: "public, max-age=15")
        }
        var response = responder.respond(
            withRecord: record.bytes, of: key, ttl: record.ttl,
            path: ContentPath(.ipns, root: key.ipnsName), query: QueryItems("format=ipns-record"),
            method: head.method, headers: head.headerFields)
        response.headers[.vary] = "Accept"
        return response
    }

    private func publish(_ text: String, _ incoming: Incoming) async throws -> Response {
        let key = try key(text)
        guard let publish = backend.publish else {
            throw ContentError(.notImplemented, "this node takes no records of others")
        }
        guard
            incoming.head.headerFields[.contentType]?.hasPrefix(Self.recordType) ?? false
        else {
            throw ContentError(
                .notAcceptable, "retry with 'Content-Type: \(Self.recordType)'")
        }
        guard (1...Self.maxRecordBytes).contains(incoming.body.readableBytes) else {
            throw ContentError(
                .badRequest, "a record has 1 to \(Self.maxRecordBytes) bytes")
        }
        do {
            try await publish(key, incoming.body)
        } catch let error as DecodeError {
            throw ContentError(.badRequest, "the record is not valid: \(error)")
        } catch let error as IPNSRecord.Invalidity {
            throw ContentError(.badRequest, "the record does not hold: \(error)")
        }
        var fields = HTTPFields()
        fields[.contentLength] = "0"
        return Response(status: .ok, headers: fields)
    }

    private func key(_ text: String) throws(ContentError) -> PeerID {
        guard let key = RootLabel.key(text) else {
            throw ContentError(.badRequest, "\"\(text)\" is not the name of a key")
        }
        return key
    }
}
