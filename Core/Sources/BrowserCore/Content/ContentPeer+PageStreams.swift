// Streams of protocols that the page brings itself, as messages in and out: what the page speaks
// beyond content need not be in this module.

import Connections
import Multiformats
import Peering
import Wire

/// A protocol of the page.
struct PageProtocol {
    /// The longest message, in bytes.
    let limit: Int
    /// Whether peers may open streams with it.
    let isOffered: Bool
}

/// How much of the messages of peers the page is not told of yet.
struct UntoldMessages {
    /// The most messages, and the most bytes before one that comes.
    static let maxCount = 4_096
    static let maxBytes = 1 << 20

    private var count = 0
    private var bytes = 0

    /// Counts a message. Returns false if it is empty, which none is, or there are too many.
    mutating func add(_ byteCount: Int) -> Bool {
        guard byteCount > 0, count < Self.maxCount, bytes < Self.maxBytes else { return false }
        count += 1
        bytes += byteCount
        return true
    }

    mutating func remove(_ byteCount: Int) {
        count -= 1
        bytes -= byteCount
    }
}

/// What the page is told of such streams.
enum PageStreamEvent {
    /// A connected peer speaks these of the page's protocols.
    case speaks(PeerID, [ProtocolName])
    /// There is no connection to a peer any longer.
    case left(PeerID)
    case stream(StreamEvent)
}

extension ContentPeer {
    /// How many protocols a page may bring.
    static let maxPageProtocols = 8

    /// Lets the page speak a protocol. If it is offered, peers may open streams with it, of
    /// connections that are made from now on, and other pages that look for such find this one.
    func bring(_ name: ProtocolName, _ brought: PageProtocol, now: Instant) {
        guard pageProtocols[name] == nil, pageProtocols.count < Self.maxPageProtocols else {
            return
        }
        pageProtocols[name] = brought
        if brought.isOffered {
            options.protocols.append(name)
            identify.own.protocols.append(name)
            visitors?.guest.serve(with: name)
            reserve()
        }
        for number in channelOrder {
            if let peer = channels[number]?.peer { identify.identify(peer) }
        }
        settle(now: now)
    }

    /// The page's protocols, in the order of their names.
    var ownProtocols: [ProtocolName] {
        pageProtocols.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    /// Does what the page wants with a stream of its protocols.
    func order(_ order: StreamOrder, now: Instant) {
        carryOut(order, of: .page, now: now)
        settle(now: now)
    }

    /// Takes what a peer says of itself.
    func take(_ event: Identify.Event) {
        guard !pageProtocols.isEmpty else { return }
        switch event {
        case .identified(let peer, let message):
            tell(.page(.speaks(peer, pageProtocols(among: message.protocols))))
        case .changed(let peer, let message) where !message.protocols.isEmpty:
            tell(.page(.speaks(peer, pageProtocols(among: message.protocols))))
        case .changed, .failed, .violation: break
        }
    }

    private func pageProtocols(among names: [ProtocolName]) -> [ProtocolName] {
        names.filter { pageProtocols[$0] != nil }
    }
}
