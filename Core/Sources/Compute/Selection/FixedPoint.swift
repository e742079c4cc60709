// Arithmetic of costs: whole numbers that stop at their largest value instead of overflowing. No
// floating point, so that every machine chooses alike.

import Wire

extension UInt64 {
    /// `self × numerator ÷ denominator`, rounded down, at most the largest number.
    func scaled(by numerator: UInt64, over denominator: UInt64) -> UInt64 {
        let (high, low) = multipliedFullWidth(by: numerator)
        guard denominator > high else { return .max }
        return denominator.dividingFullWidth((high, low)).quotient
    }

    /// The sum, at most the largest number.
    func adding(_ other: UInt64) -> UInt64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}

extension Duration {
    /// Whole microseconds, at least zero.
    var microseconds: UInt64 { UInt64(Swift.max(0, wholeNanoseconds) / 1_000) }

    /// So many microseconds, at most a day.
    init(microseconds: UInt64) {
        self = .microseconds(Int64(Swift.min(microseconds, 86_400_000_000)))
    }
}
