// From the addresses that name a peer to those that can be dialled: a `dnsaddr` stands for the
// addresses in the TXT records of a domain, which may be `dnsaddr` again
// (github.com/multiformats/multiaddr, protocols/DNSADDR).

import Multiformats

/// Follows `dnsaddr` addresses to those that they stand for. What domains say is bounded in depth,
/// questions and addresses.
struct BootstrapLookUp {
    /// How many domains may lie on the way to an address.
    static let maxDepth = 4
    /// How many domains are asked in all.
    static let maxQuestions = 32
    /// How many addresses are found in all.
    static let maxAddresses = 64

    /// The TXT records of a domain.
    let texts: (String) async throws -> [String]

    /// The addresses that these stand for, and what went wrong with the last domain that did not
    /// answer.
    func resolve(
        _ named: [Multiaddr]
    ) async -> (addresses: [Multiaddr], failure: (any Error)?) {
        var found: [Multiaddr] = []
        var failure: (any Error)?
        var known: [String: [String]] = [:]
        var seen: Set<Multiaddr> = []
        // Plain addresses first, because nobody has to be asked about them.
        var waiting = (named.filter { !$0.isDNSAddr } + named.filter(\.isDNSAddr)).map {
            (address: $0, depth: 0)
        }[...]
        while found.count < Self.maxAddresses, let (address, depth) = waiting.popFirst() {
            guard seen.insert(address).inserted else { continue }
            guard address.isDNSAddr else {
                found.append(address)
                continue
            }
            guard depth < Self.maxDepth else { continue }
            let domain = "_dnsaddr." + address.components[0].text
            if known[domain] == nil {
                guard known.count < Self.maxQuestions, !Task.isCancelled else { continue }
                do {
                    known[domain] = try await texts(domain)
                } catch {
                    known[domain] = []
                    failure = error
                }
            }
            let next = (known[domain] ?? []).compactMap { Self.address($0, insteadOf: address) }
            waiting += next.prefix(Self.maxAddresses).map { (address: $0, depth: depth + 1) }
        }
        return (found, failure)
    }

    /// The address of a record, if it ends as the one that it stands for.
    private static func address(_ text: String, insteadOf named: Multiaddr) -> Multiaddr? {
        guard text.hasPrefix("dnsaddr="),
            // Records of a form that is not known here are passed over, as the specification says.
            let address = try? Multiaddr(text: String(text.dropFirst(8)))
        else { return nil }
        let ending = named.components.dropFirst()
        return address.components.suffix(ending.count).elementsEqual(ending) ? address : nil
    }
}

extension Multiaddr {
    /// Whether it is a domain whose TXT records name addresses.
    fileprivate var isDNSAddr: Bool { components[0].protocol == .dnsaddr }
}

extension Sequence<Multiaddr> {
    /// The peers that the addresses end in, each with all of its addresses, in the order of the
    /// first.
    var byPeer: [(peer: PeerID, addresses: [Multiaddr])] {
        var out: [(peer: PeerID, addresses: [Multiaddr])] = []
        for address in self {
            guard let peer = address.peer else { continue }
            if let index = out.firstIndex(where: { $0.peer == peer }) {
                out[index].addresses.append(address)
            } else {
                out.append((peer, [address]))
            }
        }
        return out
    }
}
