// The `_redirects` file of a web site (specs.ipfs.tech/http-gateways/web-redirects-file): rules
// for paths that do not exist, the first that matches counts.

/// The rules of a `_redirects` file.
struct RedirectRules {
    /// The largest file that is read, in bytes.
    static let maxBytes = 64 << 10

    /// Why a file was refused.
    struct Problem: Error {
        let message: String
    }

    /// What to do with a path.
    struct Action: Equatable {
        /// Where it leads: a path of the site, or for a redirect also a URL.
        let target: String
        /// 200 rewrites, 301…308 redirect, 404, 410 and 451 answer the target's content.
        let status: Int
    }

    private struct Rule {
        let from: [Substring]
        let isPrefix: Bool
        let to: String
        let status: Int
    }

    private static let statuses = [200, 301, 302, 303, 307, 308, 404, 410, 451]
    private let rules: [Rule]

    /// Reads a file of at most ``maxBytes``.
    init(_ text: String) throws(Problem) {
        var rules: [Rule] = []
        let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        for (index, line) in lines.enumerated() {
            if let rule = try Self.rule(line, number: index + 1) { rules.append(rule) }
        }
        self.rules = rules
    }

    private static func rule(_ line: Substring, number: Int) throws(Problem) -> Rule? {
        let words = line.split { $0 == " " || $0 == "\t" }
        guard let from = words.first, from.first != "#" else { return nil }
        func problem(_ text: String) -> Problem { Problem(message: "line \(number): \(text)") }
        guard words.count == 2 || words.count == 3 else {
            throw problem("a rule is 'from to [status]'")
        }
        guard from.first == "/" else { throw problem("the path '\(from)' must begin with '/'") }
        var status = 301
        if words.count == 3 {
            guard let number = Int(words[2]) else {
                throw problem("the status '\(words[2])' is not a number")
            }
            guard statuses.contains(number) else {
                throw problem("unsupported redirect status '\(words[2])'")
            }
            status = number
        }
        let to = String(words[1])
        guard to.first == "/" || (to.contains("://") && (301...308).contains(status)) else {
            throw problem("the target '\(to)' must begin with '/', or be a URL to redirect to")
        }
        var segments = from.split(separator: "/")
        let isPrefix = segments.last == "*"
        if isPrefix { segments.removeLast() }
        guard !segments.contains(where: { $0.contains("*") }) else {
            throw problem("'*' may only stand at the end of '\(from)'")
        }
        return Rule(from: segments, isPrefix: isPrefix, to: to, status: status)
    }

    /// What the first matching rule says about a path of these decoded segments.
    func action(for segments: [String]) -> Action? {
        for rule in rules {
            if let values = Self.match(rule, segments) {
                return Action(target: Self.fill(rule.to, with: values), status: rule.status)
            }
        }
        return nil
    }

    private static func match(
        _ rule: Rule, _ segments: [String]
    ) -> [(name: Substring, value: String)]? {
        guard rule.isPrefix ? segments.count >= rule.from.count : segments.count == rule.from.count
        else { return nil }
        var values: [(name: Substring, value: String)] = []
        for (pattern, segment) in zip(rule.from, segments) {
            if pattern.first == ":" {
                values.append(
                    (pattern.dropFirst(), PercentCoding.encode(segment, for: .pathSegment)))
            } else if !matches(pattern, segment) {
                return nil
            }
        }
        if rule.isPrefix {
            let rest = segments.dropFirst(rule.from.count)
            let splat = rest.map { PercentCoding.encode($0, for: .pathSegment) }
            values.append(("splat", splat.joined(separator: "/")))
        }
        return values
    }

    private static func matches(_ pattern: Substring, _ segment: String) -> Bool {
        pattern.utf8.elementsEqual(segment.utf8)
            || PercentCoding.decode(pattern).map { $0.utf8.elementsEqual(segment.utf8) } ?? false
    }

    private static func fill(
        _ target: String, with values: [(name: Substring, value: String)]
    ) -> String {
        target.split(separator: "/", omittingEmptySubsequences: false).map { part in
            guard part.first == ":" else { return String(part) }
            return values.first { $0.name == part.dropFirst() }?.value ?? String(part)
        }.joined(separator: "/")
    }
}
