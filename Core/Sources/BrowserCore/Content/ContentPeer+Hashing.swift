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
        guard case .exchange(let intake) = channel.streams[stream]?.use else { return }
        var blocks: [(number: UInt32, range: Range<Int>)] = []
        for range in intake.blocks(in: message, ofAtLeast: Self.leastHashedElsewhere) {
            hashCount &+= 1
            blocks.append((hashCount, range))
        }
        if blocks.isEmpty, channel.streams[stream]?.unhashed.isEmpty == true {
            return read(message, [], on: stream, of: channel, now: now)
        }
        channel.streams[stream]?.unhashed.append(UnhashedMessage(bytes: message, blocks: blocks))
        channel.streams[stream]?.unhashedBytes += message.count
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
        guard let channel = channels[order.channel],
            let messages = channel.streams[order.stream]?.unhashed
        else { return }
        for (index, message) in messages.enumerated() {
            for block in message.blocks where block.number == number {
                let digest =
                    digest.count == 32 ? digest : SHA256.hash(message.bytes[block.range].rawSpan)
                channel.streams[order.stream]?.unhashed[index].digests.append(
                    BlockDigest(block.range, digest))
            }
        }
        while let first = channel.streams[order.stream]?.unhashed.first, first.isHashed {
            channel.streams[order.stream]?.unhashed.removeFirst()
            channel.streams[order.stream]?.unhashedBytes -= first.bytes.count
            read(first.bytes, first.digests, on: order.stream, of: channel, now: now)
        }
        channel.consumeTaken(of: order.stream, now: now)
        guard let state = channel.streams[order.stream], state.unhashed.isEmpty,
            state.hasFinishedUnhashed
        else { return }
        channel.streams[order.stream]?.hasFinishedUnhashed = false
        finished(order.stream, of: channel, now: now)
    }

    private func read(
        _ message: [UInt8], _ digests: [BlockDigest], on stream: UInt32, of channel: PageChannel,
        now: Instant
    ) {
        guard case .exchange(var intake) = channel.streams[stream]?.use else { return }
        let id = channel.id(of: stream)
        do throws(DecodeError) {
            let received = try intake.receive(message, digests: digests)
            channel.streams[stream]?.use = .exchange(intake)
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
