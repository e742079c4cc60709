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
    /// connections that are made from now on.
    func bring(_ name: ProtocolName, _ brought: PageProtocol, isOffered: Bool, now: Instant) {
        guard pageProtocols[name] == nil, pageProtocols.count < Self.maxPageProtocols else {
            return
        }
        pageProtocols[name] = brought
        if isOffered {
            options.protocols.append(name)
            identify.own.protocols.append(name)
        }
        for number in channelOrder {
            if let peer = channels[number]?.peer { identify.identify(peer) }
        }
        settle(now: now)
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
