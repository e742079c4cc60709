// The bytes of the mesh by protocol, and the ceilings of all of them and of two kinds.

import Exchange
public import Multiformats
import NIOCore
import Synchronization
import Transports

/// The bytes of one protocol, over all connections.
final class ProtocolTraffic: Sendable {
    let received = Meter()
    let sent = Meter()
    /// The ceilings of its kind.
    let inbound: Throttle
    let outbound: Throttle

    init(inbound: Throttle, outbound: Throttle) {
        self.inbound = inbound
        self.outbound = outbound
    }
}

/// What the mesh sends and receives, and how much it may.
public final class MeshTraffic: Sendable {
    /// One direction of one kind of traffic.
    public struct Flow: Hashable, Sendable {
        /// Bytes since the start.
        public let bytes: UInt64
        /// Bytes per second, over the last seconds.
        public let bytesPerSecond: UInt64
        /// How many bytes may pass in a second; nil for any number.
        public let limit: UInt64?
        /// How often the limit held somebody back since the start.
        public let heldBack: UInt64

        init(_ reading: Meter.Reading, _ throttle: Throttle) {
            bytes = reading.total
            bytesPerSecond = reading.rate
            limit = throttle.rate
            heldBack = throttle.waits
        }
    }

    /// Both directions of one kind of traffic.
    public struct Flows: Hashable, Sendable {
        /// What came.
        public let received: Flow
        /// What went.
        public let sent: Flow
    }

    let wire: Bandwidth
    private let exchangeTraffic: ProtocolTraffic
    private let otherTraffic: ProtocolTraffic
    /// One entry for each protocol that this node speaks.
    private let protocols = Mutex<[ProtocolName: ProtocolTraffic]>([:])

    init(timersOn eventLoop: any EventLoop) {
        func throttle() -> Throttle { Throttle(timersOn: eventLoop) }
        wire = Bandwidth(timersOn: eventLoop)
        exchangeTraffic = ProtocolTraffic(inbound: throttle(), outbound: throttle())
        otherTraffic = ProtocolTraffic(inbound: throttle(), outbound: throttle())
    }

    // MARK: Counting

    /// The bytes of a protocol that this node speaks.
    subscript(name: ProtocolName) -> ProtocolTraffic {
        protocols.withLock { known in
            if let found = known[name] { return found }
            let kind = kind(of: name)
            let new = ProtocolTraffic(inbound: kind.inbound, outbound: kind.outbound)
            known[name] = new
            return new
        }
    }

    private func kind(of name: ProtocolName) -> ProtocolTraffic {
        ExchangeIntake(name, openedBy: .us) != nil ? exchangeTraffic : otherTraffic
    }

    func set(_ bandwidth: Configuration.Bandwidth, total: Configuration.Bandwidth.Rates) {
        for (throttle, rate) in [
            (wire.inbound, total.inbound), (wire.outbound, total.outbound),
            (exchangeTraffic.inbound, bandwidth.exchange.inbound),
            (exchangeTraffic.outbound, bandwidth.exchange.outbound),
            (otherTraffic.inbound, bandwidth.other.inbound),
            (otherTraffic.outbound, bandwidth.other.outbound),
        ] where throttle.rate != rate {
            throttle.setRate(rate)
        }
    }

    // MARK: Reading

    /// Everything on the wire, with handshakes and encryption.
    public var total: Flows {
        Flows(
            received: Flow(wire.received.reading, wire.inbound),
            sent: Flow(wire.sent.reading, wire.outbound))
    }

    /// Blocks and the requests for them.
    public var exchange: Flows { sum(exchangeTraffic) { kind(of: $0) === exchangeTraffic } }

    /// Every other protocol.
    public var other: Flows { sum(otherTraffic) { kind(of: $0) === otherTraffic } }

    /// What each protocol has received and sent on its streams, by name.
    public var byProtocol: [(name: ProtocolName, flows: Flows)] {
        protocols.withLock { $0 }.map { name, traffic in
            (
                name,
                Flows(
                    received: Flow(traffic.received.reading, traffic.inbound),
                    sent: Flow(traffic.sent.reading, traffic.outbound))
            )
        }.sorted { $0.name.description < $1.name.description }
    }

    private func sum(_ kind: ProtocolTraffic, _ isOfKind: (ProtocolName) -> Bool) -> Flows {
        let members = byProtocol.filter { isOfKind($0.name) }.map(\.flows)
        func reading(_ flow: KeyPath<Flows, Flow>) -> Meter.Reading {
            members.reduce(Meter.Reading(total: 0, rate: 0)) { sum, member in
                let part = member[keyPath: flow]
                return Meter.Reading(
                    total: sum.total + part.bytes, rate: sum.rate + part.bytesPerSecond)
            }
        }
        return Flows(
            received: Flow(reading(\.received), kind.inbound),
            sent: Flow(reading(\.sent), kind.outbound))
    }
}
