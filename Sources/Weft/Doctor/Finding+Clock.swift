// Whether the clock is right, by those of others: HTTP servers that say what time it is, and peers
// whose records were signed, as they say, in our future.

extension Finding {
    /// How far a clock may be off before it matters, in seconds.
    private static let tolerance: Int64 = 60
    /// How many peers must have signed something in our future.
    private static let fewestWitnesses = 2

    /// How right the clock is.
    ///
    /// - Parameters:
    ///   - offsets: how far it is ahead of those of HTTP servers, in seconds.
    ///   - signed: when peers signed the records that they last sent, as seconds from now. Most
    ///     were signed a while ago, so that they show a clock that is behind, none that is ahead.
    static func clock(
        _ offsets: [(name: String, seconds: Int64)], signed: [Int64] = []
    ) -> Finding {
        let subject = "clock"
        let future = signed.filter { $0 > tolerance }.sorted()
        let details = offsets.map { "\($0.name): \($0.seconds) s" } + witnesses(future, signed)
        if offsets.isEmpty {
            guard future.count >= fewestWitnesses, future.count * 2 > signed.count else {
                return Finding(
                    subject, signed.count >= fewestWitnesses ? .good : .note,
                    signed.count >= fewestWitnesses
                        ? "The clock is not behind those of peers."
                        : "There was nobody whose clock this one could be compared with.",
                    details: details)
            }
            return wrong(subject, "at least \(future[0]) seconds behind", details)
        }
        // One of them may be wrong; the middle one is not, unless most are.
        let sorted = offsets.map(\.seconds).sorted()
        let offset = sorted[sorted.count / 2]
        guard abs(offset) > tolerance else {
            return Finding(subject, .good, "The clock is right.", details: details)
        }
        return wrong(
            subject, "\(abs(offset)) seconds \(offset > 0 ? "ahead" : "behind")", details)
    }

    private static func wrong(_ subject: String, _ how: String, _ details: [String]) -> Finding {
        Finding(
            subject, .problem,
            "The clock is \(how), so that signed names and certificates look expired or not yet "
                + "valid.",
            details: details, advice: "Let the system set its clock ('timedatectl set-ntp true').")
    }

    private static func witnesses(_ future: [Int64], _ signed: [Int64]) -> [String] {
        guard !signed.isEmpty else { return [] }
        return ["records of \(future.count) of \(signed.count) peers were signed in the future"]
    }

    /// When a peer signed the record with this number, in seconds since 1970: the number is that,
    /// in seconds, milliseconds, microseconds or nanoseconds; nil if it is none of them.
    static func signingTime(_ number: UInt64) -> Int64? {
        // From 2015 to 2100.
        let plausible: ClosedRange<UInt64> = 1_420_000_000...4_102_444_800
        for unit: UInt64 in [1, 1_000, 1_000_000, 1_000_000_000] where plausible ~= number / unit {
            return Int64(number / unit)
        }
        return nil
    }
}
