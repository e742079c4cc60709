// Points in time as integers and as text (RFC 3339). Time comes into `Core` as an argument; it has
// no clock of its own.

/// A point in time of the Gregorian calendar, UTC, to the nanosecond.
public struct Timestamp: Hashable, Sendable {
    /// Seconds since the start of 1970; leap seconds do not count.
    public let seconds: Int64
    /// Nanoseconds after that second, below 10⁹.
    public let nanoseconds: UInt32

    /// Seconds of the years 0000 to 9999, the only ones that RFC 3339 can write.
    private static let writableSeconds: ClosedRange<Int64> = -62_167_219_200...253_402_300_799

    /// The time `seconds` and `nanoseconds` after the start of 1970, brought into the years 0000
    /// to 9999.
    public init(seconds: Int64, nanoseconds: UInt32 = 0) {
        precondition(nanoseconds < 1_000_000_000, "nanoseconds do not reach a second")
        self.seconds = min(
            max(seconds, Self.writableSeconds.lowerBound), Self.writableSeconds.upperBound)
        self.nanoseconds = nanoseconds
    }

    /// This time and `seconds` later, at most to the end of the year 9999.
    public func adding(seconds: Int64) -> Timestamp {
        let (sum, overflow) = self.seconds.addingReportingOverflow(seconds)
        return Timestamp(
            seconds: overflow ? (seconds > 0 ? .max : .min) : sum, nanoseconds: nanoseconds)
    }
}

extension Timestamp: Comparable {
    public static func < (left: Timestamp, right: Timestamp) -> Bool {
        (left.seconds, left.nanoseconds) < (right.seconds, right.nanoseconds)
    }
}

extension Timestamp {
    /// Reads RFC 3339 text that fills `text`, such as `2026-03-05T12:00:00.5Z`. Digits after the
    /// ninth of the fraction are dropped; a second of 60 is refused.
    public init(rfc3339 text: RawSpan) throws(DecodeError) {
        var reader = ByteReader(text)
        let year = try reader.readDigits(4)
        try reader.expect(UInt8(ascii: "-"))
        let month = try reader.readDigits(2)
        try reader.expect(UInt8(ascii: "-"))
        let day = try reader.readDigits(2)
        guard let separator = reader.peek, separator | 0x20 == UInt8(ascii: "t") else {
            throw reader.error(.malformed, "not a time as RFC 3339 has it")
        }
        try reader.skip(1)
        let hour = try reader.readDigits(2)
        try reader.expect(UInt8(ascii: ":"))
        let minute = try reader.readDigits(2)
        try reader.expect(UInt8(ascii: ":"))
        let second = try reader.readDigits(2)
        let nanoseconds = try reader.readFraction()
        let offset = try reader.readZone()
        guard reader.isAtEnd, (1...12).contains(month), day >= 1,
            day <= Self.days(inMonth: month, of: year), hour < 24, minute < 60, second < 60
        else { throw reader.error(.malformed, "there is no such time") }
        let days = Self.days(year: year, month: month, day: day)
        let local = days * 86_400 + hour * 3_600 + minute * 60 + second
        guard Self.writableSeconds.contains(local - offset) else {
            throw reader.error(.malformed, "the time lies outside the years 0000 to 9999")
        }
        self.init(seconds: local - offset, nanoseconds: nanoseconds)
    }

    /// The text of RFC 3339 in UTC, its fraction as short as it gets.
    public var rfc3339: String {
        let days = (seconds >= 0 ? seconds : seconds - 86_399) / 86_400
        let time = seconds - days * 86_400
        let (year, month, day) = Self.date(ofDay: days)
        var out: [UInt8] = []
        out.reserveCapacity(30)
        out.appendDigits(year, count: 4)
        out.append(UInt8(ascii: "-"))
        out.appendDigits(month, count: 2)
        out.append(UInt8(ascii: "-"))
        out.appendDigits(day, count: 2)
        out.append(UInt8(ascii: "T"))
        out.appendDigits(time / 3_600, count: 2)
        out.append(UInt8(ascii: ":"))
        out.appendDigits(time / 60 % 60, count: 2)
        out.append(UInt8(ascii: ":"))
        out.appendDigits(time % 60, count: 2)
        if nanoseconds > 0 {
            out.append(UInt8(ascii: "."))
            out.appendDigits(Int64(nanoseconds), count: 9)
            while out.last == UInt8(ascii: "0") { out.removeLast() }
        }
        out.append(UInt8(ascii: "Z"))
        return String(decoding: out, as: UTF8.self)
    }

    private static func days(inMonth month: Int64, of year: Int64) -> Int64 {
        switch month {
        case 2:
            let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
            return isLeap ? 29 : 28
        case 4, 6, 9, 11: return 30
        default: return 31
        }
    }

    /// Days from the start of 1970 to a date. Years are counted from March, so that the leap day
    /// is the last, in eras of 400 years, which all have the same length.
    private static func days(year: Int64, month: Int64, day: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }

    /// The date that lies `days` after the start of 1970, the same way back.
    private static func date(ofDay days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let leapDays = dayOfEra / 1_460 - dayOfEra / 36_524 + dayOfEra / 146_096
        let yearOfEra = (dayOfEra - leapDays) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }
}

extension ByteReader {
    @_lifetime(self: copy self)
    fileprivate mutating func expect(_ byte: UInt8) throws(DecodeError) {
        guard try readByte() == byte else {
            throw error(.malformed, "not a time as RFC 3339 has it")
        }
    }

    @_lifetime(self: copy self)
    fileprivate mutating func readDigits(_ count: Int) throws(DecodeError) -> Int64 {
        var value: Int64 = 0
        for _ in 0..<count {
            let digit = try readByte() &- UInt8(ascii: "0")
            guard digit < 10 else { throw error(.malformed, "not a time as RFC 3339 has it") }
            value = value * 10 + Int64(digit)
        }
        return value
    }

    /// Reads a fraction of a second, if there is one, in nanoseconds.
    @_lifetime(self: copy self)
    fileprivate mutating func readFraction() throws(DecodeError) -> UInt32 {
        guard peek == UInt8(ascii: ".") else { return 0 }
        try skip(1)
        var value: UInt32 = 0
        var unit: UInt32 = 100_000_000
        var count = 0
        while let byte = peek, byte &- UInt8(ascii: "0") < 10 {
            value += UInt32(byte - UInt8(ascii: "0")) * unit
            unit /= 10
            count += 1
            try skip(1)
        }
        guard count > 0 else { throw error(.malformed, "a fraction without digits") }
        return value
    }

    /// Reads `Z` or an offset such as `+01:00`, in seconds.
    @_lifetime(self: copy self)
    fileprivate mutating func readZone() throws(DecodeError) -> Int64 {
        let sign = try readByte()
        if sign | 0x20 == UInt8(ascii: "z") { return 0 }
        guard sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") else {
            throw error(.malformed, "a time without a zone")
        }
        let hours = try readDigits(2)
        try expect(UInt8(ascii: ":"))
        let minutes = try readDigits(2)
        guard hours < 24, minutes < 60 else { throw error(.malformed, "no such time zone") }
        let offset = hours * 3_600 + minutes * 60
        return sign == UInt8(ascii: "-") ? -offset : offset
    }
}

extension [UInt8] {
    fileprivate mutating func appendDigits(_ value: Int64, count: Int) {
        var divisor: Int64 = 1
        for _ in 1..<count { divisor *= 10 }
        while divisor > 0 {
            append(UInt8(ascii: "0") + UInt8(value / divisor % 10))
            divisor /= 10
        }
    }
}
