// What a peer offers to run, and at what price. It is the peer's own word: askers believe what they
// have measured.

import Cryptography
public import Multiformats
import Wire

/// What a peer offers to run.
public struct CallOffer: Hashable, Sendable {
    /// Which contracts.
    public enum Contracts: Hashable, Sendable {
        /// Whichever it can get hold of.
        case any
        /// These alone, at most ``CallProtocol/maxOffered``.
        case these([CID])
    }

    /// Which contracts it runs.
    public var contracts: Contracts
    /// The version of the rules by which it runs them.
    public var rules: UInt32
    /// What gas costs.
    public var price: Price
    /// How much gas it runs in a second, in one call.
    public var speed: UInt64
    /// How many calls it runs at a time.
    public var slots: UInt32
    /// The most gas of one call.
    public var maxGas: UInt64
    /// How long a call has to wait now.
    public var queue: Duration

    /// An offer.
    public init(
        contracts: Contracts = .any, rules: UInt32 = 1, price: Price = .usual, speed: UInt64,
        slots: UInt32, maxGas: UInt64 = CallLimits.maxGas, queue: Duration = .zero
    ) {
        self.contracts = contracts
        self.rules = rules
        self.price = price
        self.speed = speed
        self.slots = slots
        self.maxGas = maxGas
        self.queue = queue
    }

    /// The key of the DHT under which those are found who run a contract: not that of its bytes,
    /// which more peers have.
    public static func providerKey(of contract: CID) -> Multihash {
        let text = Array("weft-call/1:".utf8) + contract.hash.bytes
        return Multihash(code: .sha2_256, digest: SHA256.hash(text.rawSpan))
    }

    /// Whether it includes this call.
    public func includes(_ call: Call) -> Bool {
        guard call.rules == rules, call.gas <= maxGas else { return false }
        switch contracts {
        case .any: return true
        case .these(let list): return list.contains(call.contract)
        }
    }

    /// The protobuf.
    var encoded: [UInt8] {
        var out: [UInt8] = []
        if case .these(let list) = contracts {
            out.appendField(1, varint: 1)
            for contract in list { out.appendField(2, bytes: contract.bytes) }
        }
        out.appendField(3, varint: UInt64(rules))
        out.appendField(4, varint: UInt64(price.rate))
        out.appendField(5, varint: speed)
        out.appendField(6, varint: UInt64(slots))
        out.appendField(7, varint: maxGas)
        out.appendField(8, varint: queue.milliseconds)
        return out
    }

    init(decoding bytes: RawSpan) throws(DecodeError) {
        var reader = ByteReader(bytes)
        var isList = false
        var list: [CID] = []
        self.init(speed: 0, slots: 0)
        while let tag = try reader.readTag() {
            switch (tag.field, tag.wireType) {
            case (1, .varint): isList = try reader.readProtobufVarint() != 0
            case (2, .bytes):
                guard list.count < CallProtocol.maxOffered else {
                    throw reader.error(.overLimit, "call: an offer names too many contracts")
                }
                list.append(try CID(decoding: try reader.readDelimited()).v1)
            case (3, .varint): rules = UInt32(clamping: try reader.readProtobufVarint())
            case (4, .varint):
                price = Price(rate: UInt32(clamping: try reader.readProtobufVarint()))
            case (5, .varint): speed = try reader.readProtobufVarint()
            case (6, .varint): slots = UInt32(clamping: try reader.readProtobufVarint())
            case (7, .varint): maxGas = min(try reader.readProtobufVarint(), CallLimits.maxGas)
            case (8, .varint): queue = Duration(milliseconds: try reader.readProtobufVarint())
            default: try reader.skipValue(of: tag.wireType)
            }
        }
        contracts = isList ? .these(list) : .any
    }
}

extension Duration {
    /// Whole milliseconds, at least zero.
    var milliseconds: UInt64 { UInt64(max(0, wholeNanoseconds) / 1_000_000) }

    /// So many milliseconds, at most an hour: longer waits are nothing that anybody plans with.
    init(milliseconds: UInt64) { self = .milliseconds(Int64(min(milliseconds, 3_600_000))) }
}
