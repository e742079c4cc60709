// Counts and durations for Prometheus (text exposition format 0.0.4). The registry holds only what
// this node measures; a general metrics system would be larger than all of them.

import Synchronization

/// The measurements of one node. Recording is a lock and an addition; nothing allocates after a
/// combination of labels has been seen once.
public final class Metrics: Sendable {
    /// The upper bounds of the duration histograms, in seconds.
    public static let durationBounds: [Double] = [
        0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60,
    ]
    /// How many different label values one counter keeps; further ones are counted as `other`.
    public static let maxSeries = 256

    /// A number that only grows, told apart by labels.
    public enum Counter: String, CaseIterable, Sendable {
        case requests = "weft_http_requests_total"
        case bytesSent = "weft_http_response_bytes_total"
        case cacheReads = "weft_cache_reads_total"
        case providerAnswers = "weft_fetch_provider_answers_total"
        case fetchedBytes = "weft_fetch_bytes_total"

        fileprivate var help: String {
            switch self {
            case .requests: "HTTP requests answered, by server and status class."
            case .bytesSent: "Bytes of HTTP response bodies, by server."
            case .cacheReads: "Reads of the block store, by result."
            case .providerAnswers: "Answers of providers asked for content, by result."
            case .fetchedBytes: "Bytes received from providers."
            }
        }
    }

    /// Durations in buckets, told apart by labels.
    public enum Histogram: String, CaseIterable, Sendable {
        case requestSeconds = "weft_http_request_duration_seconds"
        case fetchSeconds = "weft_fetch_duration_seconds"

        fileprivate var help: String {
            switch self {
            case .requestSeconds: "Time from a request's head to the end of its answer, by server."
            case .fetchSeconds: "Time from a fetch to the end of its body, by result."
            }
        }
    }

    /// Something that is read when it is asked for, such as the size of the store.
    public struct Reading: Sendable {
        let name: String
        let help: String
        let type: String
        let series: [(labels: String, value: Double)]

        /// A value now.
        public init(_ name: String, help: String, _ value: Double) {
            self.name = name
            self.help = help
            type = "gauge"
            series = [("", value)]
        }

        /// What has been counted elsewhere, by labels in exposition form.
        public init(
            counted name: String, help: String, _ series: [(labels: String, value: UInt64)]
        ) {
            self.name = name
            self.help = help
            type = "counter"
            self.series = series.map { ($0.labels, Double($0.value)) }
        }
    }

    private struct Series: Hashable {
        let metric: String
        let labels: String
    }

    private struct Distribution {
        var buckets = [UInt64](repeating: 0, count: Metrics.durationBounds.count)
        var count: UInt64 = 0
        var sum: Double = 0
    }

    private struct State {
        var counters: [Series: UInt64] = [:]
        var histograms: [Series: Distribution] = [:]
    }

    private let state = Mutex(State())

    /// A registry in which nothing has been counted.
    public init() {}

    /// Adds to a counter. `labels` is in exposition form, such as `server="gateway"`.
    public func count(_ counter: Counter, _ labels: String = "", by amount: UInt64 = 1) {
        state.withLock { state in
            let labels = state.counters.count < Self.maxSeries ? labels : #"series="other""#
            let series = Series(metric: counter.rawValue, labels: labels)
            state.counters[series, default: 0] &+= amount
        }
    }

    /// Adds a duration to a histogram.
    public func observe(_ histogram: Histogram, _ labels: String = "", _ duration: Duration) {
        let parts = duration.components
        let seconds = Double(parts.seconds) + Double(parts.attoseconds) * 1e-18
        state.withLock { state in
            let labels = state.histograms.count < Self.maxSeries ? labels : #"series="other""#
            let series = Series(metric: histogram.rawValue, labels: labels)
            var distribution = state.histograms[series] ?? Distribution()
            distribution.count &+= 1
            distribution.sum += seconds
            if let bucket = Self.durationBounds.firstIndex(where: { seconds <= $0 }) {
                distribution.buckets[bucket] &+= 1
            }
            state.histograms[series] = distribution
        }
    }

    /// Everything counted so far and `readings`, in the text exposition format.
    public func exposition(readings: [Reading]) -> String {
        let state = state.withLock { $0 }
        var text = ""
        for reading in readings {
            text += Self.preamble(reading.name, reading.help, reading.type)
            for (labels, value) in reading.series {
                text += "\(reading.name)\(Self.braced(labels)) \(Self.number(value))\n"
            }
        }
        for counter in Counter.allCases {
            text += Self.preamble(counter.rawValue, counter.help, "counter")
            let series = state.counters.filter { $0.key.metric == counter.rawValue }
            for (series, value) in series.sorted(by: { $0.key.labels < $1.key.labels }) {
                text += "\(counter.rawValue)\(Self.braced(series.labels)) \(value)\n"
            }
        }
        for histogram in Histogram.allCases {
            text += Self.preamble(histogram.rawValue, histogram.help, "histogram")
            let series = state.histograms.filter { $0.key.metric == histogram.rawValue }
            for (series, value) in series.sorted(by: { $0.key.labels < $1.key.labels }) {
                text += Self.lines(of: value, named: series.metric, labels: series.labels)
            }
        }
        return text
    }

    private static func lines(of value: Distribution, named name: String, labels: String) -> String
    {
        let comma = labels.isEmpty ? "" : ","
        var text = ""
        var running: UInt64 = 0
        for (bound, count) in zip(durationBounds, value.buckets) {
            running += count
            text += "\(name)_bucket{\(labels)\(comma)le=\"\(number(bound))\"} \(running)\n"
        }
        text += "\(name)_bucket{\(labels)\(comma)le=\"+Inf\"} \(value.count)\n"
        text += "\(name)_sum\(braced(labels)) \(value.sum)\n"
        text += "\(name)_count\(braced(labels)) \(value.count)\n"
        return text
    }

    private static func preamble(_ name: String, _ help: String, _ type: String) -> String {
        "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
    }

    private static func braced(_ labels: String) -> String { labels.isEmpty ? "" : "{\(labels)}" }

    private static func number(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? "\(Int64(value))" : "\(value)"
    }
}
