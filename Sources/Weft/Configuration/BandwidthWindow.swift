// Bandwidth that depends on the time of the day.

import Connections

/// Totals that hold on some days between two times.
struct BandwidthWindow: Sendable, Equatable {
    private static let dayNames = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
    private static let minutesPerDay = 24 * 60

    /// The days on which it begins, by their number from Sunday.
    let days: Set<Int>
    /// Minutes of the day; the end may lie before the start, and is then on the day after.
    let start: Int
    let end: Int
    /// What holds then; nil leaves a direction without limit.
    let rates: Configuration.Bandwidth.Rates

    /// Reads `[DAYS] HH:MM-HH:MM [in=RATE] [out=RATE]`, where days are `mon-fri` or `sat,sun`; nil
    /// for anything else.
    init?(_ text: String) {
        var words = text.split(separator: " ")
        var days = Set(0..<7)
        if let first = words.first, first.first?.isLetter == true {
            guard let named = Self.days(first) else { return nil }
            days = named
            words.removeFirst()
        }
        guard let span = words.first?.split(separator: "-", omittingEmptySubsequences: false),
            span.count == 2, let start = Self.minute(span[0]), let end = Self.minute(span[1]),
            start != end
        else { return nil }
        var rates = Configuration.Bandwidth.Rates()
        for word in words.dropFirst() {
            let parts = word.split(separator: "=", maxSplits: 1)
            guard parts.count == 2 else { return nil }
            let rate = Self.rate(String(parts[1]))
            guard rate != nil || parts[1] == "none" else { return nil }
            switch parts[0] {
            case "in": rates.inbound = rate
            case "out": rates.outbound = rate
            default: return nil
            }
        }
        self.days = days
        self.start = start
        self.end = end
        self.rates = rates
    }

    /// Reads a rate; nil if it is none, or too low to keep connections alive.
    static func rate(_ text: String) -> UInt64? {
        guard let rate = ByteCount.parse(text), rate >= RateLine.leastRate else { return nil }
        return rate
    }

    private static func days(_ text: Substring) -> Set<Int>? {
        var days: Set<Int> = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false).map {
                dayNames.firstIndex(of: $0.lowercased())
            }
            guard ends.count == 1 || ends.count == 2, let first = ends[0],
                let last = ends[ends.count - 1]
            else { return nil }
            var day = first
            days.insert(day)
            while day != last {
                day = (day + 1) % 7
                days.insert(day)
            }
        }
        return days
    }

    private static func minute(_ text: Substring) -> Int? {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, parts.allSatisfy({ $0.count == 2 }), let hour = UInt8(parts[0]),
            let minute = UInt8(parts[1]), minute < 60,
            hour < 24 || hour == 24 && minute == 0
        else { return nil }
        return Int(hour) * 60 + Int(minute)
    }

    /// Whether it holds at a minute of a day, which is counted from Sunday.
    func contains(day: Int, minute: Int) -> Bool {
        if start < end { return days.contains(day) && start <= minute && minute < end }
        // Over midnight: what began yesterday may not be over.
        return days.contains(day) && minute >= start
            || days.contains((day + 6) % 7) && minute < end
    }
}

extension Configuration.Bandwidth {
    /// The totals at a minute of a day.
    func total(day: Int, minute: Int) -> Rates {
        // Configurations are checked when they are read.
        schedule.lazy.compactMap { BandwidthWindow($0) }
            .first { $0.contains(day: day, minute: minute) }?.rates ?? total
    }
}
