// The text forms of IP addresses: dotted decimal, and RFC 4291 written as RFC 5952 recommends.

import Wire

enum IPText {
    /// Reads four decimal numbers without leading zeros.
    static func parse4(_ text: ArraySlice<UInt8>) throws(DecodeError) -> [UInt8] {
        let parts = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 4 else {
            throw DecodeError(.malformed, "not an IPv4 address", at: text.startIndex)
        }
        var bytes: [UInt8] = []
        for part in parts { bytes.append(UInt8(try AddressValue.number(part, limit: 255))) }
        return bytes
    }

    /// Reads up to eight groups of up to four hexadecimal digits, of which one run of zeros may be
    /// left out, and the last two may be an IPv4 address.
    static func parse6(_ text: ArraySlice<UInt8>) throws(DecodeError) -> [UInt8] {
        let malformed = DecodeError(.malformed, "not an IPv6 address", at: text.startIndex)
        let colon = UInt8(ascii: ":")
        var head: [UInt8] = []
        var tail: [UInt8]?
        var rest = text
        if rest.starts(with: [colon, colon]) {
            tail = []
            rest = rest.dropFirst(2)
        }
        while !rest.isEmpty {
            let end = rest.firstIndex(of: colon) ?? rest.endIndex
            let group = rest[..<end]
            let isLast = end == rest.endIndex
            let bytes =
                isLast && group.contains(UInt8(ascii: "."))
                ? try parse4(group) : try parseGroup(group)
            if tail == nil { head += bytes } else { tail? += bytes }
            if isLast { break }
            rest = rest[(end + 1)...]
            guard let next = rest.first else { throw malformed }
            if next == colon {
                guard tail == nil else { throw malformed }
                tail = []
                rest = rest.dropFirst()
            }
        }
        let given = head.count + (tail?.count ?? 0)
        guard let tail else {
            guard given == 16 else { throw malformed }
            return head
        }
        // What is left out stands for at least one group of zeros.
        guard given <= 14 else { throw malformed }
        return head + [UInt8](repeating: 0, count: 16 - given) + tail
    }

    private static func parseGroup(_ group: ArraySlice<UInt8>) throws(DecodeError) -> [UInt8] {
        guard 1...4 ~= group.count else {
            throw DecodeError(.malformed, "not an IPv6 address", at: group.startIndex)
        }
        let digits = [UInt8](repeating: UInt8(ascii: "0"), count: 4 - group.count) + group
        return try Multibase.base16.decodeBody(digits.rawSpan)
    }

    /// Four numbers with dots.
    static func format4(_ bytes: ArraySlice<UInt8>) -> String {
        var text: [UInt8] = []
        for (index, byte) in bytes.enumerated() {
            if index > 0 { text.append(UInt8(ascii: ".")) }
            text += Array(String(byte).utf8)
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Lower-case groups, the longest run of two or more zero groups left out, and IPv4 addresses
    /// in IPv6 with dots.
    static func format6(_ bytes: [UInt8]) -> String {
        let groups = (0..<8).map { UInt16(bytes[2 * $0]) << 8 | UInt16(bytes[2 * $0 + 1]) }
        if groups[..<5].allSatisfy({ $0 == 0 }), groups[5] == 0xffff {
            return "::ffff:" + format4(bytes[12...])
        }
        var longest = 0..<0
        var start = 0
        while start < 8 {
            var end = start
            while end < 8, groups[end] == 0 { end += 1 }
            if end - start > longest.count, end - start > 1 { longest = start..<end }
            start = max(end, start) + 1
        }
        var text = ""
        var index = 0
        while index < 8 {
            if index == longest.lowerBound, !longest.isEmpty {
                text += "::"
                index = longest.upperBound
                continue
            }
            if index > 0, index != longest.upperBound || longest.isEmpty { text += ":" }
            text += String(groups[index], radix: 16)
            index += 1
        }
        return text
    }
}
