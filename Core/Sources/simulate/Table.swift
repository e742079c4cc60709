// Names and figures, for people and for programs.

/// Rows of a name and a figure.
struct Table {
    private var rows: [(name: String, value: String, isText: Bool)] = []

    mutating func add(_ name: String, _ value: Double, digits: Int) {
        rows.append((name, Self.decimal(value, digits), false))
    }

    mutating func add(_ name: String, _ text: String) {
        rows.append((name, text, true))
    }

    /// One JSON object.
    var json: String {
        let fields = rows.map { "\"\($0.name)\":" + ($0.isText ? "\"\($0.value)\"" : $0.value) }
        return "{" + fields.joined(separator: ",") + "}"
    }

    /// One row a line.
    var text: String {
        let width = rows.map { $0.name.utf8.count }.max() ?? 0
        let lines = rows.map { row in
            row.name + String(repeating: " ", count: width + 2 - row.name.utf8.count) + row.value
        }
        return lines.joined(separator: "\n")
    }

    private static func decimal(_ value: Double, _ digits: Int) -> String {
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        let whole = Int64((abs(value) * scale).rounded())
        let sign = value < 0 && whole > 0 ? "-" : ""
        guard digits > 0 else { return sign + String(whole) }
        let unit = Int64(scale)
        let rest = String(whole % unit)
        let zeros = String(repeating: "0", count: digits - rest.utf8.count)
        return sign + String(whole / unit) + "." + zeros + rest
    }
}

extension Duration {
    var inSeconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }
}
