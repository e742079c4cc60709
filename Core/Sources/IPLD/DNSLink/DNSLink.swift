// DNSLink: a domain's TXT records say which content stands behind it (dnslink.dev). They are
// looked up at `_dnslink.` and the domain.

import Multiformats

/// The rules of DNSLink.
public enum DNSLink {
    /// What stands before a domain to make the name whose TXT records count.
    public static let prefix = "_dnslink."
    /// How many links may follow each other before they are taken for a circle.
    public static let maxRecursions = 32

    /// Why TXT records do not say where a domain leads.
    public enum Fault: Error, Hashable, Sendable {
        /// None of them is a link to `/ipfs/` or `/ipns/`.
        case missing
        /// More than one is, and DNS knows no order.
        case ambiguous
    }

    /// The path that a domain's TXT records name, such as `/ipfs/bafy…/docs`. Records of other
    /// kinds and other namespaces, and links that are malformed, do not count.
    public static func parse(_ records: [String]) throws(Fault) -> String {
        var paths: [String] = []
        for record in records {
            if let path = path(in: record) { paths.append(path) }
        }
        guard let path = paths.first else { throw .missing }
        guard paths.count == 1 else { throw .ambiguous }
        return path
    }

    /// The path of one record; nil if it is not a valid link.
    private static func path(in record: String) -> String? {
        let text = record.utf8
        let key = "dnslink=".utf8
        guard text.starts(with: key) else { return nil }
        let path = text.dropFirst(key.count)
        guard path.allSatisfy({ 0x21...0x7e ~= $0 }) else { return nil }
        let parts = path.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard parts.count >= 3, parts[0].isEmpty, !parts[2].isEmpty else { return nil }
        if parts[1].elementsEqual("ipfs".utf8) {
            // Only whether it is a CID matters.
            guard (try? CID(text: String(decoding: parts[2], as: UTF8.self))) != nil else {
                return nil
            }
        } else if !parts[1].elementsEqual("ipns".utf8) {
            return nil
        }
        return String(decoding: path, as: UTF8.self)
    }
}
