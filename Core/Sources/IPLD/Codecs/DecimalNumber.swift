// Decimal text to the nearest double, and back in the shortest form that reads back the same,
// written as ECMAScript does (tc39.es/ecma262/#sec-numeric-types-number-tostring), which is what
// dag-json encoders agree on. Reading is done here because the standard library's reader calls C,
// which the browser build does not have.

/// A decimal number as a text has it: digits × 10^exponent.
struct DecimalNumber {
    /// More digits than this change nothing but the last bit's rounding, for which one digit that
    /// says "there was more" is enough (the longest exact midpoint of doubles has 768).
    private static let maxDigits = 800

    /// Significant digits, 0 to 9, without leading zeros.
    private var digits: [UInt8] = []
    private var exponent = 0
    private var hasMore = false

    /// Takes the next digit of the text.
    mutating func append(digit: UInt8, isFraction: Bool) {
        if isFraction { exponent -= 1 }
        guard !(digits.isEmpty && digit == 0) else { return }
        if digits.count < Self.maxDigits {
            digits.append(digit)
        } else {
            exponent += 1
            hasMore = hasMore || digit != 0
        }
    }

    /// Moves the point by what stands after the `e`.
    mutating func scale(by power: Int) {
        exponent += power
    }

    /// The nearest double, ties to even; nil if it would be infinite.
    var value: Double? {
        guard !digits.isEmpty else { return 0 }
        let magnitude = digits.count + exponent
        if magnitude > 310 { return nil }
        if magnitude < -330 { return 0 }
        if digits.count <= 15, abs(exponent) <= 22 {
            var whole: UInt64 = 0
            for digit in digits { whole = whole * 10 + UInt64(digit) }
            var power = 1.0
            for _ in 0..<abs(exponent) { power *= 10 }
            return exponent < 0 ? Double(whole) / power : Double(whole) * power
        }
        return exactValue
    }

    /// The quotient of two big integers, rounded once.
    private var exactValue: Double? {
        var numerator = BigInteger(0)
        for digit in digits { numerator.multiply(by: 10, adding: UInt32(digit)) }
        var power = exponent
        if hasMore {
            numerator.multiply(by: 10, adding: 1)
            power -= 1
        }
        var denominator = BigInteger(1)
        for _ in 0..<abs(power) {
            if power > 0 {
                numerator.multiply(by: 10, adding: 0)
            } else {
                denominator.multiply(by: 10, adding: 0)
            }
        }
        // Bring the quotient into 1..<2, and remember by which power of two.
        var binaryExponent = numerator.bitWidth - denominator.bitWidth
        if binaryExponent > 0 {
            denominator.shiftLeft(by: binaryExponent)
        } else {
            numerator.shiftLeft(by: -binaryExponent)
        }
        if numerator < denominator {
            numerator.shiftLeft(by: 1)
            binaryExponent -= 1
        }
        var quotient: UInt64 = 0
        for _ in 0..<64 {
            quotient <<= 1
            if !(numerator < denominator) {
                numerator.subtract(denominator)
                quotient |= 1
            }
            numerator.shiftLeft(by: 1)
        }
        return Self.rounded(quotient, binaryExponent, isExact: numerator.isZero)
    }

    /// The double nearest to `quotient` × 2^(`binaryExponent` − 63), whose top bit is set.
    private static func rounded(
        _ quotient: UInt64, _ binaryExponent: Int, isExact: Bool
    ) -> Double? {
        let isNormal = binaryExponent >= -1022
        let precision = isNormal ? 53 : 53 - (-1022 - binaryExponent)
        guard precision >= 0 else { return 0 }
        let dropped = UInt64(64 - precision)
        var mantissa = quotient >> dropped
        let rest = dropped == 64 ? quotient : quotient & ((1 << dropped) - 1)
        let half: UInt64 = 1 << (dropped - 1)
        if rest > half || (rest == half && (!isExact || mantissa & 1 == 1)) { mantissa += 1 }
        // A carry out of the mantissa raises the exponent, which is what rounding up means.
        let bits =
            isNormal ? UInt64(binaryExponent + 1022) << 52 + mantissa : mantissa
        let value = Double(bitPattern: bits)
        return value.isFinite ? value : nil
    }
}

/// A whole number without bound, least significant word first, as far as reading decimals needs.
private struct BigInteger {
    private var words: [UInt32]

    init(_ value: UInt32) {
        words = value == 0 ? [] : [value]
    }

    var isZero: Bool { words.isEmpty }

    var bitWidth: Int {
        guard let last = words.last else { return 0 }
        return words.count * 32 - last.leadingZeroBitCount
    }

    mutating func multiply(by factor: UInt32, adding addend: UInt32) {
        var carry = UInt64(addend)
        for index in words.indices {
            let product = UInt64(words[index]) * UInt64(factor) + carry
            words[index] = UInt32(truncatingIfNeeded: product)
            carry = product >> 32
        }
        if carry != 0 { words.append(UInt32(carry)) }
    }

    mutating func shiftLeft(by count: Int) {
        guard count > 0, !words.isEmpty else { return }
        let bits = UInt64(count % 32)
        var carry: UInt64 = 0
        for index in words.indices {
            let wide = UInt64(words[index]) << bits | carry
            words[index] = UInt32(truncatingIfNeeded: wide)
            carry = wide >> 32
        }
        if carry != 0 { words.append(UInt32(carry)) }
        if count >= 32 {
            words.insert(contentsOf: [UInt32](repeating: 0, count: count / 32), at: 0)
        }
    }

    /// Takes away a number that is not larger.
    mutating func subtract(_ other: BigInteger) {
        var borrow: UInt64 = 0
        for index in words.indices {
            let taken = (index < other.words.count ? UInt64(other.words[index]) : 0) + borrow
            let word = UInt64(words[index])
            borrow = word < taken ? 1 : 0
            words[index] = UInt32(truncatingIfNeeded: word &- taken)
        }
        while words.last == 0 { words.removeLast() }
    }

    static func < (left: BigInteger, right: BigInteger) -> Bool {
        guard left.words.count == right.words.count else {
            return left.words.count < right.words.count
        }
        for index in left.words.indices.reversed() where left.words[index] != right.words[index] {
            return left.words[index] < right.words[index]
        }
        return false
    }
}

extension [UInt8] {
    /// Appends the shortest decimal text that reads back as `number`, which must be finite; a
    /// whole number keeps a `.0`, so that it reads back as a float.
    mutating func appendDecimal(_ number: Double) {
        if number.sign == .minus { append(UInt8(ascii: "-")) }
        let (digits, point) = Self.shortestDigits(of: number.magnitude)
        let zero = UInt8(ascii: "0")
        let dot = UInt8(ascii: ".")
        switch point {
        case 1...21:
            append(contentsOf: digits.prefix(point))
            append(contentsOf: repeatElement(zero, count: Swift.max(0, point - digits.count)))
            append(dot)
            append(contentsOf: digits.count > point ? digits[point...] : [zero])
        case -5...0:
            append(zero)
            append(dot)
            append(contentsOf: repeatElement(zero, count: -point))
            append(contentsOf: digits)
        default:
            append(digits[0])
            if digits.count > 1 {
                append(dot)
                append(contentsOf: digits.dropFirst())
            }
            append(UInt8(ascii: "e"))
            append(UInt8(ascii: point > 0 ? "+" : "-"))
            append(contentsOf: "\(abs(point - 1))".utf8)
        }
    }

    /// The digits that tell `magnitude` from its neighbours, and how many stand before the point.
    private static func shortestDigits(of magnitude: Double) -> ([UInt8], Int) {
        var digits: [UInt8] = []
        var point: Int?
        var exponent = 0
        var exponentIsNegative = false
        var isInExponent = false
        for byte in magnitude.description.utf8 {
            switch byte {
            case UInt8(ascii: "."): point = digits.count
            case UInt8(ascii: "e"): isInExponent = true
            case UInt8(ascii: "-"): exponentIsNegative = true
            case UInt8(ascii: "+"): break
            default:
                if isInExponent {
                    exponent = exponent * 10 + Int(byte - UInt8(ascii: "0"))
                } else {
                    digits.append(byte)
                }
            }
        }
        let before = (point ?? digits.count) + (exponentIsNegative ? -exponent : exponent)
        let leading = digits.prefix { $0 == UInt8(ascii: "0") }.count
        digits.removeFirst(leading)
        while digits.last == UInt8(ascii: "0") { digits.removeLast() }
        return digits.isEmpty ? ([UInt8(ascii: "0")], 1) : (digits, before - leading)
    }
}
