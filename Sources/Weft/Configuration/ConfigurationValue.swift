// Values of configuration keys, as people write them: sizes with units, durations, lists.

/// The value of one configuration key, as it stands in the file or in JSON.
public enum ConfigurationValue: Sendable, Equatable {
    case string(String)
    case integer(Int64)
    case list([String])

    /// The value in TOML.
    public var toml: String {
        switch self {
        case .string(let text): Self.quote(text)
        case .integer(let number): String(number)
        case .list(let items): "[" + items.map(Self.quote).joined(separator: ", ") + "]"
        }
    }

    /// The value as plain text; the items of a list are on lines of their own.
    public var text: String {
        switch self {
        case .string(let text): text
        case .integer(let number): String(number)
        case .list(let items): items.joined(separator: "\n")
        }
    }

    private static func quote(_ text: String) -> String {
        var out = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\t": out += "\\t"
            case _ where scalar.value < 0x20 || scalar.value == 0x7f:
                let digits = String(scalar.value, radix: 16, uppercase: true)
                out += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out + "\""
    }
}

/// Sizes in bytes as text.
public enum ByteCount {
    private static let units: [(name: String, factor: UInt64)] = [
        ("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10),
        ("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000),
        ("KB", 1000), ("B", 1),
    ]

    /// Reads `1048576`, `10GiB`, `10 GiB` or `1.5TB`; nil if it is none of these or too large.
    public static func parse(_ text: String) -> UInt64? {
        var number = Substring(text)
        var factor: UInt64 = 1
        if let unit = units.first(where: { text.hasSuffix($0.name) }) {
            number = number.dropLast(unit.name.count)
            factor = unit.factor
        }
        while number.last == " " { number = number.dropLast() }
        guard let first = number.first, first.isASCII, first.isNumber else { return nil }
        if let whole = UInt64(number) {
            let (product, overflow) = whole.multipliedReportingOverflow(by: factor)
            return overflow ? nil : product
        }
        guard factor > 1, let value = Double(number) else { return nil }
        return UInt64(exactly: (value * Double(factor)).rounded())
    }

    /// The size in the largest binary unit that divides it.
    public static func text(_ bytes: UInt64) -> String {
        for unit in units.prefix(4) where bytes >= unit.factor && bytes % unit.factor == 0 {
            return "\(bytes / unit.factor)\(unit.name)"
        }
        return String(bytes)
    }
}

/// Durations as text.
public enum DurationText {
    private static let units: [(name: String, milliseconds: Int64)] = [
        ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1),
    ]

    /// Reads `30s`, `250ms`, `5m`, `48h`, `7d` and sums of them such as `1h30m`; a bare number
    /// counts seconds. Nil if it is none of these or over a century.
    public static func parse(_ text: String) -> Duration? {
        var rest = Substring(text)
        var total: Int64 = 0
        let limit: Int64 = 36_500 * 86_400_000
        guard !rest.isEmpty else { return nil }
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && $0.isNumber || $0 == "." }
            rest = rest.dropFirst(digits.count)
            let name = rest.prefix { $0.isLetter }
            rest = rest.dropFirst(name.count)
            let unit = units.first { $0.name == (name.isEmpty ? "s" : name) }
            guard let unit, digits.first?.isNumber == true, let number = Double(digits),
                number * Double(unit.milliseconds) <= Double(limit)
            else { return nil }
            total += Int64((number * Double(unit.milliseconds)).rounded())
            guard total <= limit, !name.isEmpty || rest.isEmpty else { return nil }
        }
        return .milliseconds(total)
    }

    /// The duration in as few of the units as it takes.
    public static func text(_ duration: Duration) -> String {
        var rest = duration.wholeMilliseconds
        guard rest > 0 else { return "0s" }
        var out = ""
        for unit in units where rest >= unit.milliseconds {
            out += "\(rest / unit.milliseconds)\(unit.name)"
            rest %= unit.milliseconds
        }
        return out
    }
}
