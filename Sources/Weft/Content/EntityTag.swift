/// Comparison of entity tags (RFC 9110, sections 8.8.3 and 13.1.2).
public enum EntityTag {
    /// Whether an `If-None-Match` value has this tag, compared weakly, or is `*`.
    public static func matches(_ field: String, _ tag: String) -> Bool {
        let wanted = opaque(tag[...])
        var rest = field[...]
        while true {
            rest = rest.drop { $0 == " " || $0 == "\t" || $0 == "," }
            guard let first = rest.first else { return false }
            if first == "*" { return true }
            guard let (candidate, after) = nextTag(of: rest) else { return false }
            if candidate.utf8.elementsEqual(wanted.utf8) { return true }
            rest = after
        }
    }

    private static func nextTag(of text: Substring) -> (Substring, Substring)? {
        let quoted = text.hasPrefix("W/") ? text.dropFirst(2) : text
        guard quoted.first == "\"" else { return nil }
        let body = quoted.dropFirst()
        guard let end = body.firstIndex(of: "\"") else { return nil }
        return (body[..<end], body[body.index(after: end)...])
    }

    private static func opaque(_ tag: Substring) -> Substring {
        nextTag(of: tag)?.0 ?? tag
    }
}
