// Times as RFC 3339 text, against Foundation's calendar and the specification's examples.

import Foundation
import Testing
import Wire

@Suite struct TimestampTests {
    @Test(
        "times are read to the nanosecond, in any zone",
        arguments: [
            ("1970-01-01T00:00:00Z", 0, 0),
            ("2024-01-19T16:33:20.858209Z", 1_705_682_000, 858_209_000),
            ("1996-12-19T16:39:57-08:00", 851_042_397, 0),
            ("1985-04-12T23:20:50.52Z", 482_196_050, 520_000_000),
            ("1937-01-01T12:00:27.87+00:20", -1_041_337_173, 870_000_000),
            ("2000-02-29t23:59:59.999999999z", 951_868_799, 999_999_999),
            ("2123-09-22T10:37:33.1234567899Z", 4_851_052_653, 123_456_789),
            ("0000-01-01T00:00:00Z", -62_167_219_200, 0),
            ("9999-12-31T23:59:59.5Z", 253_402_300_799, 500_000_000),
        ])
    func reads(text: String, seconds: Int64, nanoseconds: UInt32) throws {
        let time = try Timestamp(rfc3339: Array(text.utf8).rawSpan)
        #expect(time == Timestamp(seconds: seconds, nanoseconds: nanoseconds))
        #expect(try Timestamp(rfc3339: Array(time.rfc3339.utf8).rawSpan) == time)
    }

    @Test(
        "what is no time is refused",
        arguments: [
            "", "2024", "2024-13-01T00:00:00Z", "2024-00-01T00:00:00Z", "2023-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z", "2024-01-32T00:00:00Z", "2024-01-01T24:00:00Z",
            "2024-01-01T00:60:00Z", "2016-12-31T23:59:60Z", "2024-01-01T00:00:00",
            "2024-01-01 00:00:00Z", "2024-01-01T00:00:00.Z", "2024-01-01T00:00:00Z ",
            "2024-01-01T00:00:00+24:00", "0000-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01",
            "+024-01-01T00:00:00Z", "2024-01-01T00:00:00,5Z",
        ])
    func refuses(text: String) {
        #expect(throws: DecodeError.self) { try Timestamp(rfc3339: Array(text.utf8).rawSpan) }
    }

    @Test("text agrees with Foundation's calendar, and reads back")
    func agreesWithFoundation() throws {
        let formatter = ISO8601DateFormatter()
        // A prime step lands on every month, weekday and kind of year.
        for seconds in stride(from: Int64(-9_000_000_000), to: 20_000_000_000, by: 12_345_677) {
            let time = Timestamp(seconds: seconds)
            let date = Date(timeIntervalSince1970: Double(seconds))
            #expect(time.rfc3339 == formatter.string(from: date))
            #expect(try Timestamp(rfc3339: Array(time.rfc3339.utf8).rawSpan) == time)
        }
    }

    @Test func sumsStayInTheCalendar() {
        let time = Timestamp(seconds: 10, nanoseconds: 5)
        #expect(time.adding(seconds: 5) == Timestamp(seconds: 15, nanoseconds: 5))
        #expect(time.adding(seconds: .max).rfc3339.hasPrefix("9999-12-31T23:59:59"))
        #expect(time < time.adding(seconds: 1))
    }
}
