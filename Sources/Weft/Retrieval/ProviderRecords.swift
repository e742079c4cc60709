// What a node remembers about providers beyond one retrieval: how fast they were, and what they
// did wrong. Bad marks fade by half in every half-life; the table is bounded.

/// What is remembered about providers, by name.
///
/// It is a value without a clock: the time comes in, counted from any fixed beginning.
struct ProviderRecords {
    /// What is remembered about one.
    private struct Record {
        var penalty = 0.0
        var since: Duration = .zero
        var lastFault: Fault?
        var rate: Double?
        var lastUse: Duration = .zero
    }

    /// How many are remembered.
    static let capacity = 512
    /// In which time a bad mark counts half.
    static let halfLife: Duration = .seconds(600)
    /// From which penalty on one is not asked at all.
    static let ban = 4.0

    private var records: [String: Record] = [:]

    /// How many are remembered now.
    var count: Int { records.count }

    /// Notes what a provider did wrong.
    mutating func note(_ name: String, _ fault: Fault, now: Duration) {
        let weight: Double
        switch fault.consequence {
        case .drop: weight = 8
        case .suspend: weight = 0.5
        case .none, .lacksThis, .lacksForm, .pause: return
        }
        change(name, now: now) { record in
            // Breaking off lowers the rank; only lies and rubbish shut a provider out.
            let cap = weight < Self.ban ? max(record.penalty, Self.ban - 1) : 64
            record.penalty = min(record.penalty + weight, cap)
            record.lastFault = fault
        }
    }

    /// Notes how fast a provider was, in bytes a second.
    mutating func note(_ name: String, rate: Double, now: Duration) {
        change(name, now: now) { record in
            record.rate = record.rate.map { $0 * 0.7 + rate * 0.3 } ?? rate
        }
    }

    /// Why a provider is not to be asked now; nil if it may be asked.
    func ban(_ name: String, now: Duration) -> Fault? {
        guard let record = records[name], faded(record, now: now) >= Self.ban else { return nil }
        return record.lastFault
    }

    /// How early a provider is asked: its rate if known, lowered by its bad marks.
    func rank(_ name: String, unknown: Double, now: Duration) -> Double {
        guard let record = records[name] else { return unknown }
        return (record.rate ?? unknown) / (1 + faded(record, now: now))
    }

    private func faded(_ record: Record, now: Duration) -> Double {
        var penalty = record.penalty
        var halvings = (now - record.since) / Self.halfLife
        while halvings >= 1, penalty > 0.001 {
            penalty /= 2
            halvings -= 1
        }
        return penalty * (1 - max(0, min(halvings, 1)) / 2)
    }

    private mutating func change(
        _ name: String, now: Duration, _ body: (inout Record) -> Void
    ) {
        if records[name] == nil, records.count >= Self.capacity {
            // The one that was not used for longest goes.
            if let oldest = records.min(by: { $0.value.lastUse < $1.value.lastUse }) {
                records[oldest.key] = nil
            }
        }
        var record = records[name] ?? Record()
        record.penalty = faded(record, now: now)
        record.since = now
        record.lastUse = now
        body(&record)
        records[name] = record
    }
}
