// What comes from somewhere else, such as the name of a file, must not command a terminal.

extension String {
    /// The text with control characters made visible, as `\x1b`. Tabs, ends of lines, and the ways
    /// in which this program sets text off stay.
    var visible: String {
        guard unicodeScalars.contains(where: Self.isControl) else { return self }
        var text = ""
        var rest = self[...]
        while let scalar = rest.unicodeScalars.first {
            if let style = StandardOutput.styles.first(where: { rest.hasPrefix($0) }) {
                text += style
                rest = rest.dropFirst(style.count)
                continue
            }
            if Self.isControl(scalar) {
                let digits = String(scalar.value, radix: 16)
                text += "\\x" + (digits.count < 2 ? "0" : "") + digits
            } else {
                text.unicodeScalars.append(scalar)
            }
            rest.unicodeScalars.removeFirst()
        }
        return text
    }

    /// C0, DEL and C1 but what moves to the next column or line.
    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value < 0x20 && scalar != "\t" && scalar != "\n" || (0x7f..<0xa0) ~= scalar.value
    }
}
