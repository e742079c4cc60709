// Roots as labels of host names: at most 63 characters, case-insensitive
// (specs.ipfs.tech/http-gateways/subdomain-gateway).

import HTTPTypes
import Multiformats
import Weft

/// Roots as labels of host names.
enum RootLabel {
    /// The longest label that DNS allows.
    static let maxLength = 63

    /// The label of a CID: base32, or base36 if that is too long.
    static func label(of cid: CID) throws(ContentError) -> String {
        let usual = cid.v1.text(in: cid.codec == .libp2pKey ? .base36 : .base32)
        if usual.utf8.count <= maxLength { return usual }
        let short = cid.v1.text(in: .base36)
        guard short.utf8.count <= maxLength else { throw tooLong(short) }
        return short
    }

    /// The label of a root of `/ipns/`: a key, or an inlined domain.
    static func label(ofName name: String) throws(ContentError) -> String {
        if let key = key(name) { return try label(of: key.cid) }
        let label = InlinedName.inlined(name)
        guard label.utf8.count <= maxLength else { throw tooLong(label) }
        return label
    }

    /// Refuses a label that DNS cannot carry.
    static func check(_ label: String) throws(ContentError) {
        guard label.split(separator: ".").allSatisfy({ $0.utf8.count <= maxLength }) else {
            throw tooLong(label)
        }
    }

    /// The key that a text names, in any of its forms; nil for a domain.
    static func key(_ name: String) -> PeerID? {
        // What is no key is a domain, which the resolver judges.
        if let key = try? PeerID(text: name) { return key }
        guard let cid = try? CID(text: name) else { return nil }
        return try? PeerID(cid.hash)
    }

    private static func tooLong(_ label: String) -> ContentError {
        ContentError(
            .badRequest,
            "CID incompatible with DNS label length limit of 63: \(label); ask for it by path on "
                + "a gateway without subdomains")
    }
}
