// Which addresses of a peer a client of Routing V1 wants (IPIP-484).

import Multiformats

/// The `filter-addrs` of a request: names of protocols, with `!` those that must not occur.
struct AddressFilter {
    private let wanted: [String]
    private let unwanted: [String]
    private let isEmpty: Bool

    /// - Parameter words: In lower case; nil lets everything pass.
    init(_ words: [String]?) {
        isEmpty = words == nil
        wanted = words?.filter { !$0.hasPrefix("!") } ?? []
        unwanted = words?.filter { $0.hasPrefix("!") }.map { String($0.dropFirst()) } ?? []
    }

    /// The addresses that pass; nil if the peer is to be left out.
    func kept(_ addresses: [String]) -> [String]? {
        if isEmpty { return addresses }
        // A peer without addresses passes only as one whose addresses are not known.
        if addresses.isEmpty { return wanted.contains("unknown") ? [] : nil }
        let kept = addresses.filter { address in
            // An address that cannot be read has no protocols that anyone could want.
            guard let components = try? Multiaddr(text: address).components else { return false }
            let names = components.map(\.protocol.name)
            return !unwanted.contains(where: names.contains)
                && (wanted.isEmpty || wanted.contains(where: names.contains))
        }
        return kept.isEmpty ? nil : kept
    }
}
