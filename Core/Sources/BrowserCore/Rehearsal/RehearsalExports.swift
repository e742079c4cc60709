// What the partner exports besides with which a page is rehearsed (browser/rehearse.mjs): it takes
// a connection as a node does. No page loads it.

import Connections
import Multiformats
import Wire

/// Somebody has opened a channel to this peer.
@c(weft_accept)
public func accept(_ channel: UInt32, _ now: Double) -> UnsafeMutableRawPointer? {
    defer { drain() }
    return unsafe reply(to: nil, 0) { _ throws(DecodeError) in
        let address = try Multiaddr(text: "/ip4/127.0.0.1/tcp/1/ws")
        do throws(ConnectionError) {
            let random = makeRandom(ConnectionSecrets.byteCount)
            try unsafe page?.accepted(channel, from: address, random: random, now: instant(now))
        } catch {
            throw DecodeError(.unsupported, "the connection cannot be encrypted here")
        }
        return []
    }
}

extension ContentPeer {
    fileprivate func accepted(
        _ number: UInt32, from address: Multiaddr, random: [UInt8], now: Instant
    ) throws(ConnectionError) {
        let connection = try Connection(
            .listener, options: options, secrets: ConnectionSecrets(random), now: now)
        channels[number] = PageChannel(number, address, connection)
        channelOrder.append(number)
        settle(now: now)
    }
}
