// Dates as HTTP writes them (RFC 9110, section 5.6.7).

import Wire

/// Writes dates as HTTP does.
public enum HTTPDate {
    private static let days = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    /// A time in seconds since 1970 as, for example, `Sun, 06 Nov 1994 08:49:37 GMT`; nil for one
    /// before 1970 or after 9999, which HTTP has no form for.
    public static func text(_ seconds: Int64) -> String? {
        guard (0..<253_402_300_800).contains(seconds) else { return nil }
        let day = Int(seconds / 86_400)
        let second = Int(seconds % 86_400)
        // Days since 0000-03-01 and eras of 400 years, so that leap days come last in a year.
        let shifted = day + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted % 146_097
        let yearOfEra =
            (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let month = (5 * dayOfYear + 2) / 153
        let dayOfMonth = dayOfYear - (153 * month + 2) / 5 + 1
        let year = yearOfEra + era * 400 + (month >= 10 ? 1 : 0)
        let clock = [second / 3_600, second / 60 % 60, second % 60].map(two)
        return "\(days[day % 7]), \(two(dayOfMonth)) \(months[(month + 2) % 12]) "
            + "\(year) \(clock.joined(separator: ":")) GMT"
    }

    /// The seconds since 1970 of a text of that form; nil if it is none.
    public static func seconds(_ text: String) -> Int64? {
        let parts = text.prefix(64).split(separator: " ")
        guard parts.count == 6, parts[5] == "GMT",
            let month = months.firstIndex(of: String(parts[2]))
        else { return nil }
        let standard = Array("\(parts[3])-\(two(month + 1))-\(parts[1])T\(parts[4])Z".utf8)
        // What is no time in this form is none in that.
        return (try? Timestamp(rfc3339: standard.rawSpan))?.seconds
    }

    private static func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
}
