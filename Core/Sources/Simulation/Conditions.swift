// What the links of a virtual network are like.

import Wire

/// What the links of a virtual network are like. Connections are TCP's, so what is lost is sent
/// again and comes late; only what stays lost ends a connection.
public struct Conditions: Sendable {
    /// How far hosts are from the middle of the network, in milliseconds; each draws its own. One
    /// way takes the sum of both ends'.
    public var distance: ClosedRange<Int64> = 3...22
    /// How much longer than that a way may take, in microseconds.
    public var jitter: Int64 = 3_000
    /// How many bytes a second each host can send, and how many it can receive; nil for no limit.
    public var bandwidth: Int?
    /// The share of packets that is lost.
    public var loss = 0.0
    /// The chance that a message is the last of its connection, which both ends notice.
    public var breakage = 0.0
    /// For how long hosts gather what happens before their nodes hear of it, all at once.
    public var gathering: Duration = .zero
    /// What becomes of a dial to an address that nobody has.
    public var strangers = Host.Door.silent

    /// Good links.
    public init() {}

    /// The bytes of a packet.
    static let packet = 1_400
    /// The shortest time until a packet is sent again.
    static let patience: Duration = .milliseconds(200)
    /// After so many losses of a packet in a row, its connection is over.
    static let attempts = 8
    /// When the end of a connection is noticed that ended without a word.
    static let silence: Duration = .seconds(30)
    /// How long a peer that is asked for a sign of life may be silent.
    static let checkTime: Duration = .seconds(2)
    /// How often a way is gone until a dialled connection can be used: one round trip of TCP, two
    /// of what secures it.
    static let waysOfDialling = 5
}

extension SeededGenerator {
    /// Whether something with this probability happens.
    mutating func chance(_ probability: Double) -> Bool {
        probability > 0 && Double(next() >> 11) * 0x1p-53 < probability
    }

    /// A number below `limit`, which is more than zero.
    mutating func below(_ limit: Int) -> Int {
        Int(next().multipliedFullWidth(by: UInt64(limit)).high)
    }
}
