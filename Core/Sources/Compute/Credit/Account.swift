// What one peer and this node have done for each other, and what that is worth.

public import Multiformats
import Wire

/// The ceilings of mutual credit, in credits (one is what a unit of gas costs at the usual price).
public struct CreditLimits: Hashable, Sendable {
    /// Below this, nothing is exchanged and nothing is signed: as much as 10⁹ units of gas.
    public var delta: UInt64 = 1_000_000_000
    /// What a peer may owe that has never done anything for this node.
    public var newcomer: UInt64 = 4_000_000_000
    /// What all such peers together may get in a day: so many identities are no way to more.
    public var newcomers: UInt64 = 256_000_000_000
    /// What any peer may owe.
    public var most: UInt64 = 64_000_000_000

    /// The usual ceilings.
    public init() {}

    /// How much of a sum has faded after a time, of which so much does in a day. Hours count when
    /// they are full, so that not every change of a balance brings a second one.
    static func fading(of sum: UInt64, perDay: UInt64, since: UInt64, time: UInt64) -> UInt64 {
        guard time > since else { return 0 }
        return min(sum, perDay.scaled(by: (time - since) / 3_600, over: 24))
    }
}

/// A peer's account with this node. Sums, in credits, since the two met.
public struct Account: Hashable, Sendable {
    /// What this node did for the peer.
    public internal(set) var served: UInt64 = 0
    /// What the peer did for this node.
    public internal(set) var received: UInt64 = 0
    /// How much of ``served`` the peer has signed for.
    public internal(set) var signedByPeer: UInt64 = 0
    /// How much of ``received`` this node has signed for.
    public internal(set) var signedHere: UInt64 = 0
    /// The gas of what this node did since the peer signed last.
    public internal(set) var unsignedGas: UInt64 = 0
    /// What was taken off ``served`` because the peer signed for less.
    public internal(set) var writtenOff: UInt64 = 0
    /// When this node last did something for the peer, in seconds since 1970.
    public internal(set) var servedAt: UInt64 = 0

    /// An account of two who have had nothing to do with each other.
    public init() {}

    /// What the peer owes; negative if this node does.
    public var balance: Int64 { Int64(clamping: Int128(served) - Int128(received)) }
    /// What the peer owes, or nothing.
    var debt: UInt64 { served - min(served, received) }
    /// What the peer has not signed for yet.
    var unsigned: UInt64 { served - min(served, signedByPeer) }
    /// Whether the peer has never done anything for this node.
    var isNewcomer: Bool { received == 0 }

    /// How much of the debt has faded by a time: as much a day as a stranger may owe. Otherwise who
    /// has owed as much as it may once, and has nothing to do for this node, could never come back.
    func faded(at time: UInt64, _ limits: CreditLimits) -> UInt64 {
        CreditLimits.fading(of: debt, perDay: limits.newcomer, since: servedAt, time: time)
    }

    /// Takes that off.
    mutating func fade(by amount: UInt64) {
        served -= min(served, amount)
        signedByPeer = min(signedByPeer, served)
    }

    /// How much more may be written off. Two who count honestly differ by what crosses on its way
    /// and by the few calls that are asked twice; who signs for a trifle of what it got would
    /// otherwise never owe anything.
    func forgivable(_ limits: CreditLimits) -> UInt64 {
        let most = limits.delta.adding(served / 16)
        return most - min(most, writtenOff)
    }

    /// What the peer may owe: more as it does more for this node, and hardly anything as long as it
    /// does not sign for what it got.
    func limit(_ limits: CreditLimits) -> UInt64 {
        unsigned <= limits.delta.adding(limits.delta) ? ceiling(limits) : 0
    }

    /// The same for a peer that signs.
    func ceiling(_ limits: CreditLimits) -> UInt64 {
        min(limits.most, limits.newcomer.adding(received / 2))
    }
}

/// One change of a balance, with its cause, so that nobody has to guess where a number comes from.
public struct BalanceChange: Hashable, Sendable {
    /// Why a balance changed.
    public enum Cause: Hashable, Sendable {
        /// This node ran a call for the peer.
        case served(call: CID, gas: UInt64)
        /// The peer ran a call for this node.
        case received(call: CID, gas: UInt64)
        /// The peer took back a call that this node was running; the gas is about what it had used.
        case withdrawn(call: CID, gas: UInt64)
        /// The peer signed for less than this node counts, and is believed.
        case writtenOff
        /// The peer lied, and is not paid for that.
        case lied
        /// Time has passed since this node did something for the peer.
        case faded
        /// The peer has signed for so much of what it got, which changes no balance.
        case signed(UInt64)
        /// This node has signed for so much of what it got, which changes no balance.
        case acknowledged(UInt64)
    }

    /// Whose balance it is.
    public let peer: PeerID
    /// Why it changed.
    public let cause: Cause
    /// By how much; positive: the peer owes more.
    public let amount: Int64
    /// The account after that.
    public let account: Account
    /// When, in seconds since 1970.
    public let time: UInt64
    /// How many changes of this kind these are, one after another: more than one only where many
    /// had to be written at once. Then the cause is the last one's, with the gas of all.
    public private(set) var count: UInt32

    /// What the balance is after that.
    public var balance: Int64 { account.balance }

    /// A change.
    public init(
        peer: PeerID, cause: Cause, amount: Int64, account: Account, time: UInt64,
        count: UInt32 = 1
    ) {
        self.peer = peer
        self.cause = cause
        self.amount = amount
        self.account = account
        self.time = time
        self.count = count
    }

    /// This change and a later one of the same kind and peer as one; nil if it is another's, or of
    /// another kind.
    public func merged(with later: BalanceChange) -> BalanceChange? {
        guard peer == later.peer else { return nil }
        let cause: Cause
        switch (self.cause, later.cause) {
        case (.served(_, let gas), .served(let call, let more)):
            cause = .served(call: call, gas: gas.adding(more))
        case (.received(_, let gas), .received(let call, let more)):
            cause = .received(call: call, gas: gas.adding(more))
        case (.withdrawn(_, let gas), .withdrawn(let call, let more)):
            cause = .withdrawn(call: call, gas: gas.adding(more))
        default: return nil
        }
        return BalanceChange(
            peer: peer, cause: cause, amount: amount &+ later.amount, account: later.account,
            time: later.time, count: count + later.count)
    }
}
