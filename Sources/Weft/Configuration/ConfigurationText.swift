// Changing one key in the lines of a TOML file while everything else stays as it is. TOMLKit
// writes files without their comments; people's comments are worth keeping.

/// Edits of the lines of a configuration file.
///
/// It knows the plain forms that the template has. The caller parses the result and compares, so
/// a file in an odd form is refused, never spoilt.
enum ConfigurationText {
    /// Replaces the line of a key, or inserts one where it belongs.
    static func set(_ key: ConfigurationKey, to value: String, in lines: inout [String]) {
        let line = "\(key.leaf) = \(value)"
        guard let section = section(key.section, in: lines) else {
            while lines.last?.isEmpty == true { lines.removeLast() }
            lines += ["", "[\(key.section)]", line, ""]
            return
        }
        if let existing = assignment(of: key.leaf, in: lines, within: section) {
            lines.replaceSubrange(existing, with: [line])
        } else if let example = section.first(where: { isExample(of: key.leaf, lines[$0]) }) {
            lines.insert(line, at: example + 1)
        } else {
            lines.insert(line, at: section.lowerBound)
        }
    }

    /// The lines after the header of a section, up to the next header.
    private static func section(_ name: Substring, in lines: [String]) -> Range<Int>? {
        let header = lines.firstIndex { line in
            trimmed(line).hasPrefix("[") && headerName(line) == name
        }
        guard let header else { return nil }
        let end = lines[(header + 1)...].firstIndex { headerName($0) != nil }
        return (header + 1)..<(end ?? lines.count)
    }

    private static func headerName(_ line: String) -> Substring? {
        let line = trimmed(line)
        guard line.first == "[", let end = line.firstIndex(of: "]") else { return nil }
        // A line of a multi-line list may start with a bracket too, but holds quotes or commas.
        let name = line[line.index(after: line.startIndex)..<end]
        return name.contains { $0 == "\"" || $0 == "," } || name.isEmpty ? nil : trimmed(name)
    }

    /// The lines of `leaf = value`, also when a list goes over several lines.
    private static func assignment(
        of leaf: Substring, in lines: [String], within section: Range<Int>
    ) -> Range<Int>? {
        guard let first = section.first(where: { assigns(leaf, trimmed(lines[$0])) })
        else { return nil }
        var depth = 0
        for index in first..<section.upperBound {
            depth += openBrackets(in: lines[index])
            if depth <= 0 { return first..<(index + 1) }
        }
        return first..<section.upperBound
    }

    private static func assigns(_ leaf: Substring, _ line: Substring) -> Bool {
        line.hasPrefix(leaf) && trimmed(line.dropFirst(leaf.count)).hasPrefix("=")
    }

    private static func isExample(of leaf: Substring, _ line: String) -> Bool {
        let line = trimmed(line)
        return line.hasPrefix("#") && assigns(leaf, trimmed(line.dropFirst()))
    }

    /// Opening less closing brackets outside of strings and comments.
    private static func openBrackets(in line: String) -> Int {
        var depth = 0
        var quote: Character?
        var escaped = false
        for character in line {
            if let open = quote {
                if escaped {
                    escaped = false
                } else if character == "\\" && open == "\"" {
                    escaped = true
                } else if character == open {
                    quote = nil
                }
            } else {
                switch character {
                case "\"", "'": quote = character
                case "#": return depth
                case "[": depth += 1
                case "]": depth -= 1
                default: break
                }
            }
        }
        return depth
    }

    private static func trimmed(_ text: some StringProtocol) -> Substring {
        var text = Substring(text)
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return text
    }
}
