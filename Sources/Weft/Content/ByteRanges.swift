/// What a `Range` header field asks of a representation of known size (RFC 9110, section 14).
public enum ByteRanges: Equatable, Sendable {
    /// No range, or one that this server may ignore: the whole is answered.
    case whole
    /// These ranges, in the order asked, each within the size and not empty.
    case parts([Range<UInt64>])
    /// None of the ranges overlaps the content.
    case unsatisfiable

    /// More ranges than this are not worth answering one by one; the whole is answered.
    public static let maxParts = 16

    /// Reads the field's value. A field that is no `bytes` range is ignored, as the RFC says.
    public init(_ field: String?, size: UInt64) {
        guard let field, let specs = Self.specs(of: field) else {
            self = .whole
            return
        }
        var parts: [Range<UInt64>] = []
        for spec in specs {
            switch Self.range(spec, size: size) {
            case .invalid:
                self = .whole
                return
            case .outside: continue
            case .range(let range): parts.append(range)
            }
        }
        if parts.isEmpty {
            self = .unsatisfiable
        } else if parts.count > Self.maxParts || Self.isWasteful(parts, size: size) {
            self = .whole
        } else {
            self = .parts(parts)
        }
    }

    private enum Part {
        case invalid
        case outside
        case range(Range<UInt64>)
    }

    private static func specs(of field: String) -> [Substring]? {
        let trimmed = field.drop { $0 == " " }
        guard trimmed.prefix(6).lowercased() == "bytes=" else { return nil }
        return trimmed.dropFirst(6).split(separator: ",").map { spec in
            var spec = spec.drop { $0 == " " || $0 == "\t" }
            while let last = spec.last, last == " " || last == "\t" { spec.removeLast() }
            return spec
        }
    }

    private static func range(_ spec: Substring, size: UInt64) -> Part {
        let ends = spec.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        guard ends.count == 2, ends.allSatisfy({ $0.utf8.allSatisfy(isDigit) }) else {
            return .invalid
        }
        if ends[0].isEmpty {
            guard let suffix = UInt64(ends[1]) else { return .invalid }
            guard suffix > 0, size > 0 else { return .outside }
            return .range((size - min(suffix, size))..<size)
        }
        guard let start = UInt64(ends[0]) else { return .invalid }
        if ends[1].isEmpty { return start < size ? .range(start..<size) : .outside }
        guard let last = UInt64(ends[1]), last >= start else { return .invalid }
        guard start < size else { return .outside }
        return .range(start..<(min(last, size - 1) + 1))
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (48...57).contains(byte) }

    /// Ranges that together ask for more than the content has are an attack or a mistake.
    private static func isWasteful(_ parts: [Range<UInt64>], size: UInt64) -> Bool {
        guard parts.count > 1 else { return false }
        var total: UInt64 = 0
        for part in parts {
            let (sum, overflow) = total.addingReportingOverflow(part.length)
            if overflow || sum > size { return true }
            total = sum
        }
        return false
    }
}

extension Range<UInt64> {
    /// How many bytes it has; `count` is an `Int`, which cannot say it of all ranges.
    var length: UInt64 { upperBound - lowerBound }
}
