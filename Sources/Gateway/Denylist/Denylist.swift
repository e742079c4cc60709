// Deny lists in the compact format (specs.ipfs.tech/compact-denylist-format): what a gateway does
// not serve. Rules name roots by multihash, so the form of a CID does not matter.

import Cryptography
import HTTPTypes
import Multiformats
import Weft
import Wire

/// The rules of one or more deny lists; the last that matches decides.
struct Denylist: Sendable {
    /// What a rule says.
    struct Rule: Sendable, Equatable {
        /// The place of the rule among all rules.
        let order: Int
        /// Whether what matches is allowed after all.
        let isAllowed: Bool
        /// The status of what is denied: 410, or 451 if the list says that a law demands it.
        let status: Int
    }

    /// A root with a path below it, as bytes: the multihash or the domain, then `/` and the path.
    private typealias Key = [UInt8]

    private var exact: [Key: Rule] = [:]
    private var prefixes: [Key: [(prefix: [UInt8], rule: Rule)]] = [:]
    private var hashed: [Key: Rule] = [:]
    private var hashCodes: [HashCode] = []
    private var count = 0

    /// Whether there is no rule.
    var isEmpty: Bool { count == 0 }

    /// How many rules there are.
    var ruleCount: Int { count }

    /// The rule that denies a path; nil if it may be served.
    func rule(for path: ContentPath) -> Rule? {
        guard !isEmpty else { return nil }
        let root: Root
        switch path.namespace {
        case .ipfs:
            // A root that is no CID is refused elsewhere.
            guard let cid = try? CID(text: path.root) else { return nil }
            root = Root(cid)
        case .ipns: root = Root(name: path.root)
        }
        return denying(root, Array(path.segments.joined(separator: "/").utf8))
    }

    /// The rule that denies a block wherever it occurs; nil if it may be served.
    func rule(for cid: CID) -> Rule? {
        isEmpty ? nil : denying(Root(cid), [])
    }

    private func denying(_ root: Root, _ path: [UInt8]) -> Rule? {
        var found: Rule?
        func consider(_ rule: Rule?) {
            if let rule, rule.order > found?.order ?? -1 { found = rule }
        }
        consider(exact[Self.key(root.key, path)])
        if let list = prefixes[root.key] {
            for entry in list where path.starts(with: entry.prefix) { consider(entry.rule) }
        }
        if !hashed.isEmpty {
            let below = path.isEmpty ? [] : [UInt8(ascii: "/")] + path
            let modern = Array(root.modernText.utf8) + below
            for code in hashCodes {
                if let hash = Multihash(hashing: modern.span.bytes, with: code) {
                    consider(hashed[hash.bytes])
                }
            }
            let legacy = Array("\(root.legacyText)/".utf8) + path
            consider(hashed[SHA256.hash(legacy.span.bytes)])
        }
        guard let found, !found.isAllowed else { return nil }
        return found
    }

    private static func key(_ root: [UInt8], _ path: [UInt8]) -> Key {
        path.isEmpty ? root : root + [UInt8(ascii: "/")] + path
    }

    /// A root of a path in the forms that rules use.
    private struct Root {
        let key: [UInt8]
        let modernText: String
        let legacyText: String

        init(_ cid: CID) {
            key = Array("/".utf8) + cid.hash.bytes
            modernText = Multibase.base58btc.encodeBody(cid.hash.bytes)
            legacyText = cid.v1.text(in: .base32)
        }

        init(name: String) {
            if let peer = RootLabel.key(name) {
                key = Array("n".utf8) + peer.hash.bytes
                modernText = Multibase.base58btc.encodeBody(peer.hash.bytes)
                legacyText = peer.cid.text(in: .base32)
            } else {
                let domain = name.lowercased()
                key = Array("d\(domain)".utf8)
                modernText = "/ipns/\(domain)"
                legacyText = domain
            }
        }
    }
}

extension Denylist {
    /// The largest header that is looked for, in bytes.
    private static let maxHeader = 1 << 20

    /// Why a list was refused.
    struct Problem: Error {
        let message: String
    }

    /// Adds the rules of a list. Lines that are no rule are counted and left out.
    ///
    /// - Returns: How many lines were left out.
    mutating func add(_ text: String) throws(Problem) -> Int {
        var usual = 410
        var body = text[...]
        if let end = Self.endOfHeader(text) {
            let header = text[..<end]
            for line in header.split(whereSeparator: \.isNewline) {
                let words = line.split(separator: ":", maxSplits: 1)
                guard words.count == 2 else { continue }
                let value = words[1].drop { $0 == " " }
                switch words[0].filter({ $0 != " " }) {
                case "version" where value != "1":
                    throw Problem(message: "version \(value) of the format is not known")
                case "status": usual = Self.status(value) ?? usual
                default: break
                }
            }
            body = text[end...].drop { $0 != "\n" }
        }
        var skipped = 0
        for line in body.split(whereSeparator: \.isNewline) where !add(line: line, usual: usual) {
            skipped += 1
        }
        return skipped
    }

    private static func endOfHeader(_ text: String) -> String.Index? {
        if text.hasPrefix("---\n") { return text.startIndex }
        let head = text.utf8.prefix(maxHeader)
        guard let range = text.firstRange(of: "\n---\n"), range.lowerBound < head.endIndex else {
            return nil
        }
        return text.index(after: range.lowerBound)
    }

    private static func status(_ text: Substring) -> Int? {
        switch text {
        case "410": 410
        case "451": 451
        default: nil
        }
    }

    private mutating func add(line: Substring, usual: Int) -> Bool {
        let words = line.split { $0 == " " || $0 == "\t" }
        guard var item = words.first, item.first != "#" else { return true }
        var status = usual
        for hint in words.dropFirst() where hint.hasPrefix("status:") {
            status = Self.status(hint.dropFirst(7)) ?? status
        }
        let isAllowed = item.first == "!" || item.first == "+"
        if isAllowed { item = item.dropFirst() }
        let rule = Rule(order: count, isAllowed: isAllowed, status: status)
        let isRule =
            item.hasPrefix("//") ? addHashed(item.dropFirst(2), rule) : addPath(item, rule)
        if isRule { count += 1 }
        return isRule
    }

    private mutating func addHashed(_ text: Substring, _ rule: Rule) -> Bool {
        // Hexadecimal digits could be read as base58 too, so both rules are made.
        var isRule = false
        let digits = Array(text.utf8)
        if digits.count == 64,
            let bytes = try? Multibase.decode("f" + text.lowercased()).bytes
        {
            hashed[bytes] = rule
            isRule = true
        }
        if let bytes = try? Multibase.decode("z\(text)").bytes,
            let hash = try? Multihash(decoding: bytes.span.bytes)
        {
            if !hashCodes.contains(hash.code) { hashCodes.append(hash.code) }
            hashed[hash.bytes] = rule
            isRule = true
        }
        return isRule
    }

    private mutating func addPath(_ text: Substring, _ rule: Rule) -> Bool {
        var text = text
        let isPrefix = text.last == "*"
        if isPrefix { text.removeLast() }
        // A malformed line is counted, not an error of the list.
        guard let path = try? ContentPath(encoded: text) else { return false }
        let root: Root
        switch path.namespace {
        case .ipfs:
            guard let cid = try? Self.cid(path.root) else { return false }
            root = Root(cid)
        case .ipns: root = Root(name: path.root)
        }
        let below = Array(path.segments.joined(separator: "/").utf8)
        if isPrefix {
            prefixes[root.key, default: []].append((below, rule))
        } else {
            exact[Self.key(root.key, below)] = rule
        }
        return true
    }

    /// A CID, or a bare multihash in base58.
    private static func cid(_ text: String) throws(DecodeError) -> CID {
        if let cid = try? CID(text: text) { return cid }
        let bytes = try Multibase.decode("z\(text)").bytes
        return CID(.raw, try Multihash(decoding: bytes.span.bytes))
    }
}
