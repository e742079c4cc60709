// Prices. The unit of account is the *credit*: what one unit of gas costs at the usual price. Bytes
// are counted too, so that content and computation pay for each other.

/// What gas costs: credits for each 1,000 units.
public struct Price: Hashable, Sendable, Comparable {
    /// Credits for each 1,000 units of gas.
    public let rate: UInt32

    /// A price of so many credits for each 1,000 units of gas.
    public init(rate: UInt32) { self.rate = rate }

    /// One credit for a unit of gas.
    public static let usual = Price(rate: 1_000)
    /// Nothing.
    public static let free = Price(rate: 0)

    /// What so much gas costs, rounded up; never overflows for a call's gas.
    public func amount(for gas: UInt64) -> UInt64 {
        let (high, low) = gas.multipliedFullWidth(by: UInt64(rate))
        guard high < 1_000 else { return .max }
        let (quotient, remainder) = UInt64(1_000).dividingFullWidth((high, low))
        return quotient + (remainder > 0 && quotient < .max ? 1 : 0)
    }

    public static func < (left: Price, right: Price) -> Bool { left.rate < right.rate }
}
