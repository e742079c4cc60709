import Multiformats
import TestSupport
import Testing
import Wire

@testable import Peering

#if HostCrypto
    /// Publish-subscribe nodes whose messages arrive after 50 ms, in rounds; long ones take longer.
    struct PubSubSwarm {
        static let limits = PubSub.Limits(
            topics: 64, messageBytes: 64 << 10, cachedBytes: 4 << 20)

        var nodes: [PubSub] = []
        var ids: [PeerID] = []
        /// The place in `PubSub.protocols` of the newest that each node speaks.
        var versions: [Int] = []
        var now = instant(1)
        var random = SeededGenerator(seed: 1)
        var streams: [StreamID: (from: Int, to: Int, name: ProtocolName)] = [:]
        var received: [[PubSubMessage]] = []
        var shunned: [(by: Int, PeerID)] = []
        /// What nodes think of messages that they are to judge; nil is nothing, for good.
        var judges: [Int: @Sendable (PubSubMessage) -> PubSub.Verdict?] = [:]
        /// What each was asked to judge.
        var waiting: [[(id: PubSub.ValidationID, message: PubSubMessage)]] = []
        var suggested: [(to: Int, record: PeerRecord)] = []
        var keys: [PrivateKey] = []
        /// RPCs in all, and messages in them.
        var sends = 0
        var copies = 0
        /// What happens to what a node sends to another; nil lets it be.
        var tamper: [Int: @Sendable (PubSubRPC) -> PubSubRPC] = [:]
        /// How much longer what is over a KiB takes.
        var bulkDelay = Duration.zero
        private var mail: [(at: Instant, to: Int, event: StreamEvent)] = []
        /// When the last thing that was sent on a stream arrives.
        private var clear: [StreamID: Instant] = [:]
        private var counter: UInt32 = 1

        init(_ size: Int, version: Int = 0) throws {
            for index in 0..<size {
                let key = PrivateKey.generateEd25519()
                nodes.append(
                    PubSub(key: key, limits: Self.limits, sequence: 1, seed: UInt64(index)))
                ids.append(PeerID(key.publicKey))
                keys.append(key)
                received.append([])
                waiting.append([])
                versions.append(version)
            }
        }

        mutating func connect(_ a: Int, _ b: Int) throws {
            let (here, there) = (
                try address("/ip4/8.8.\(a / 250).\(a % 250)/tcp/1"),
                try address("/ip4/8.8.\(b / 250).\(b % 250)/tcp/1")
            )
            nodes[a].connected(to: ids[b], .outgoing, remote: there, now: now)
            nodes[b].connected(to: ids[a], .incoming, remote: here, now: now)
        }

        /// Everybody dials so many others.
        mutating func connectAtRandom(degree: Int) throws {
            for a in nodes.indices {
                for b in nodes.indices.shuffled(using: &random).prefix(degree) where b != a {
                    try connect(a, b)
                }
            }
        }

        /// A node leaves without a word.
        mutating func kill(_ index: Int) {
            for other in nodes.indices where other != index {
                nodes[other].disconnected(from: ids[index], now: now)
                nodes[index].disconnected(from: ids[other], now: now)
            }
            streams = streams.filter { $0.value.from != index && $0.value.to != index }
        }

        mutating func subscribeAll(to topic: [UInt8]) {
            for index in nodes.indices { nodes[index].subscribe(to: topic, now: now) }
        }

        mutating func run(seconds: Double) {
            let end = now + .milliseconds(Int(seconds * 1_000))
            while now < end {
                for index in nodes.indices {
                    nodes[index].advance(to: now)
                    drain(index)
                }
                now = now + .milliseconds(50)
                let due = mail.filter { $0.at <= now }
                mail.removeAll { $0.at <= now }
                for (_, index, event) in due {
                    nodes[index].receive(event, now: now)
                    drain(index)
                }
            }
        }

        mutating func drain(_ index: Int) {
            while let order = nodes[index].nextTransmit() { carryOut(order, of: index) }
            while let event = nodes[index].nextEvent() {
                switch event {
                case .message(let message, _): received[index].append(message)
                case .validate(let id, let message, _):
                    waiting[index].append((id, message))
                    guard let verdict = judges[index]?(message) else { continue }
                    nodes[index].decide(id, verdict, now: now)
                    while let order = nodes[index].nextTransmit() { carryOut(order, of: index) }
                case .suggested(let record, _): suggested.append((index, record))
                case .shunned(let peer): shunned.append((index, peer))
                }
            }
        }

        private mutating func carryOut(_ order: StreamOrder, of index: Int) {
            switch order {
            case .open(let peer, let names, let request):
                guard let other = ids.firstIndex(of: peer) else { return }
                let spoken = PubSub.protocols[max(versions[index], versions[other])...]
                guard let name = names.first(where: { spoken.contains($0) }) else { return }
                let stream = StreamID(connection: 1, stream: counter)
                counter += 1
                streams[stream] = (index, other, name)
                post(.accepted(stream, ids[index], name), to: other, on: stream)
                post(.opened(request: request, stream, name), to: index, on: stream)
            case .withdraw: break
            case .send(let stream, let bytes):
                guard let ends = streams[stream] else { return }
                guard var rpc = try? PubSubRPC(decoding: bytes.rawSpan) else { return }
                if let change = tamper[index] { rpc = change(rpc) }
                sends += 1
                copies += rpc.messages.count
                let delay: Duration = bytes.count > 1_024 ? bulkDelay : .zero
                post(.message(stream, rpc.encoded), to: ends.to, on: stream, delay)
            case .finish(let stream), .reset(let stream):
                guard let ends = streams.removeValue(forKey: stream) else { return }
                post(.reset(stream), to: ends.from == index ? ends.to : ends.from, on: stream)
            }
        }

        private mutating func post(
            _ event: StreamEvent, to index: Int, on stream: StreamID, _ delay: Duration = .zero
        ) {
            let at = max(now + .milliseconds(50), clear[stream] ?? now) + delay
            clear[stream] = at
            mail.append((at, index, event))
        }

        /// A stream on which one node may say anything to another.
        mutating func stream(from: Int, to: Int) -> StreamID {
            let stream = StreamID(connection: 9, stream: counter)
            counter += 1
            nodes[to].receive(.accepted(stream, ids[from], PubSub.protocols[0]), now: now)
            return stream
        }

        mutating func say(_ rpc: PubSubRPC, on stream: StreamID, to index: Int) {
            nodes[index].receive(.message(stream, rpc.encoded), now: now)
            drain(index)
        }
    }

    extension PubSubMessage {
        /// The message with another signature, as nobody would make it who has the key.
        var forged: PubSubMessage {
            get throws {
                var bytes = encoded
                bytes[bytes.count - 5] ^= 1
                return try PubSubMessage(decoding: bytes.rawSpan)
            }
        }
    }
#endif
