// What is fuzzed of the root package: what DNS servers, routers, publishers of sites and lists, and
// clients send.

import Multiformats
import NIOCore
import Wire

@testable import Gateway
@testable import Weft

/// The parsers of the shells by name.
let shellTargets: [String: Target] = [
    "dns": { bytes in
        // The identifier is taken from the input, so that it is always the right one.
        var reader = ByteReader(bytes)
        guard let id = try? reader.readBigEndian(UInt16.self),
            let answer = try? DNSMessage.answer(bytes, to: "_dnslink.example.org", id: id)
        else { return }
        if answer.texts.count > DNSMessage.maxRecords { violated("an answer is bounded") }
    },
    "provider-address": { bytes in
        let text = String(decoding: [UInt8](bytes), as: UTF8.self)
        if let address = ProviderAddress(multiaddr: text), ProviderAddress(url: address.base) == nil
        {
            violated("an address of a router is a URL")
        }
        if let address = ProviderAddress(url: text), ProviderAddress(url: address.base) != address {
            violated("the URL of an address is that of the same address")
        }
    },
    "routing": { bytes in
        let input = [UInt8](bytes)
        for isLines in [false, true] {
            let whole = providers(in: [input], isLines: isLines)
            if whole != providers(in: input.map { [$0] }, isLines: isLines) {
                violated("how an answer is cut makes no difference")
            }
            if whole.contains(where: { $0.count > RoutingAnswer.maxAddresses }) {
                violated("a peer has so many addresses")
            }
        }
    },
    "byte-ranges": { bytes in
        let text = String(decoding: [UInt8](bytes), as: UTF8.self)
        for size: UInt64 in [0, 1, 1000, 1 << 63, .max] {
            guard case .parts(let parts) = ByteRanges(text, size: size) else { continue }
            if parts.isEmpty || parts.count > ByteRanges.maxParts
                || parts.contains(where: { $0.isEmpty || $0.upperBound > size })
            {
                violated("a range lies within the content")
            }
        }
    },
    "entity-tag": { bytes in
        let text = String(decoding: [UInt8](bytes), as: UTF8.self)
        _ = EntityTag.matches(text, "\"tag\"")
    },
    "content-path": { bytes in
        let text = String(decoding: [UInt8](bytes), as: UTF8.self)
        guard let path = try? ContentPath(encoded: text) else { return }
        // Encoding may make a path longer than the limit.
        guard path.encoded.utf8.count <= ContentPath.maxLength else { return }
        if (try? ContentPath(encoded: path.encoded)) != path { violated("a path round-trips") }
    },
    "redirects": { bytes in
        let input = [UInt8](bytes)
        let text = String(decoding: input.prefix(RedirectRules.maxBytes), as: UTF8.self)
        guard let rules = try? RedirectRules(text) else { return }
        for path in [[], ["a"], ["a", "b", "c"], [text]] { _ = rules.action(for: path) }
    },
    "denylist": { bytes in
        var list = Denylist()
        let text = String(decoding: [UInt8](bytes), as: UTF8.self)
        guard let skipped = try? list.add(text) else { return }
        if skipped < 0 || (list.ruleCount == 0) != list.isEmpty { violated("rules are counted") }
        _ = list.rule(for: ContentPath(.ipns, root: "example.org", segments: ["a"]))
        _ = list.rule(for: CID(.raw, .sha2_256(of: bytes)))
    },
    "multipart": { bytes in
        let input = [UInt8](bytes)
        // Longer headers are accepted or not, depending on how they come.
        guard input.count <= MultipartParser.maxHeaderBytes else { return }
        let whole = parts(of: [input])
        let pieces = parts(of: input.map { [$0] })
        if whole != pieces { violated("how a body is cut makes no difference") }
    },
]

/// The peers of a router's answer, up to what cannot be read.
private func providers(in pieces: [[UInt8]], isLines: Bool) -> [[ProviderAddress]] {
    var answer = RoutingAnswer(isLines: isLines)
    var found: [[ProviderAddress]] = []
    do {
        for piece in pieces { try answer.take(ByteBuffer(bytes: piece)) { found.append($0) } }
        try answer.end { found.append($0) }
    } catch {}
    return found
}

/// What a multipart body has in it: each part's header and content; nil if it is refused.
private func parts(of pieces: [[UInt8]]) -> [String]? {
    guard var parser = try? MultipartParser(contentType: "multipart/form-data; boundary=b") else {
        violated("this content type has a boundary")
    }
    var found: [String] = []
    for piece in pieces {
        parser.feed(ByteBuffer(bytes: piece))
        reading: while true {
            guard let event = try? parser.next() else { return nil }
            switch event {
            case .needMore, .end: break reading
            case .part(let part): found.append("\(part) \(part.fileName ?? ""): ")
            case .data(let data):
                for byte in data.readableBytesView { found[found.count - 1] += "\(byte) " }
            case .endOfPart: found.append("end")
            }
        }
    }
    return found
}
