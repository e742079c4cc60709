// Large blocks are hashed by the browser, in a worker and several times as fast as here. The
// messages of a stream wait for that in their order; nothing of them is used before.

import Cryptography
import Exchange
import Wire

/// A message of the exchange that waits until its large blocks have been hashed.
struct UnhashedMessage {
    let bytes: [UInt8]
    /// Its large blocks, each with the number of the order to hash it.
    let blocks: [(number: UInt32, range: Range<Int>)]
    var digests: [BlockDigest] = []

    var isHashed: Bool { digests.count == blocks.count }
}

extension ContentPeer {
    /// Shorter blocks are hashed here: asking for it would take longer.
    private static let leastHashedElsewhere = 32 << 10

    /// A message of the exchange came on a stream.
    func take(
        exchange message: [UInt8], on stream: UInt32, of channel: PageChannel, now: Instant
    ) {
        guard let state = channel.streams[stream], let intake = state.intake else { return }
        var blocks: [(number: UInt32, range: Range<Int>)] = []
        for range in intake.blocks(in: message, ofAtLeast: Self.leastHashedElsewhere) {
            hashCount &+= 1
            blocks.append((hashCount, range))
        }
        if blocks.isEmpty, state.unhashed.isEmpty {
            return read(message, [], on: stream, of: channel, now: now)
        }
        state.unhashed.append(UnhashedMessage(bytes: message, blocks: blocks))
        state.unhashedBytes += message.count
        for (number, range) in blocks {
            toHash.append(HashOrder(number: number, channel: channel.number, stream: stream))
            if !hash(number, message[range]) {
                hashed(number, SHA256.hash(message[range].rawSpan), now: now)
            }
        }
    }

    /// The browser has hashed the bytes of an order; an empty digest says that it could not.
    func hashed(_ number: UInt32, _ digest: [UInt8], now: Instant) {
        guard let index = toHash.firstIndex(where: { $0.number == number }) else { return }
        let order = toHash.remove(at: index)
        guard let channel = channels[order.channel], let state = channel.streams[order.stream]
        else { return }
        for (index, message) in state.unhashed.enumerated() {
            for block in message.blocks where block.number == number {
                let digest =
                    digest.count == 32 ? digest : SHA256.hash(message.bytes[block.range].rawSpan)
                state.unhashed[index].digests.append(BlockDigest(block.range, digest))
            }
        }
        while let first = state.unhashed.first, first.isHashed {
            state.unhashed.removeFirst()
            state.unhashedBytes -= first.bytes.count
            read(first.bytes, first.digests, on: order.stream, of: channel, now: now)
        }
        channel.consumeTaken(of: order.stream, now: now)
        guard state.unhashed.isEmpty, state.hasFinishedUnhashed else { return }
        state.hasFinishedUnhashed = false
        finished(order.stream, of: channel, now: now)
    }

    private func read(
        _ message: [UInt8], _ digests: [BlockDigest], on stream: UInt32, of channel: PageChannel,
        now: Instant
    ) {
        guard let state = channel.streams[stream] else { return }
        let id = channel.id(of: stream)
        do throws(DecodeError) {
            guard let received = try state.intake?.receive(message, digests: digests) else {
                return
            }
            exchange.receive(received, on: id, now: now)
        } catch {
            exchange.malformed(error, on: id, now: now)
        }
    }
}

/// An order to the browser to hash a block, and whose it is.
struct HashOrder {
    let number: UInt32
    let channel: UInt32
    let stream: UInt32
}
